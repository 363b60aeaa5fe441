"""The entries that the registry holds, and how a look at the database changes them.

Lives on the event loop and does no I/O. Entries keep their identity: sockets and
watchers hold them.
"""

from __future__ import annotations

from collections.abc import Iterable

from .edits import Found, Interest
from .entries import Change, CredentialEntry, DeviceEntry, GroupEntry
from .entry_rows import GroupRow, Known


class Cache:
    """Devices, keys and watched groups, each entry once."""

    def __init__(self) -> None:
        self.devices: dict[int, DeviceEntry] = {}
        self.slugs: dict[str, DeviceEntry] = {}
        # By prefix.
        self.credentials: dict[str, CredentialEntry] = {}
        # Watched groups by slug; they stay current for good.
        self.groups: dict[str, GroupEntry] = {}
        # What held devices took from their groups, watched or not.
        self._group_rows: dict[int, GroupRow] = {}
        # Prefixes whose end has not been told yet.
        self._expiring: set[str] = set()
        # What people edited of the devices that were held, by the fields' names.
        self._edits: dict[int, frozenset[str]] = {}

    def interest(self) -> Interest:
        """A copy of what is held, for another thread to compare with."""
        return Interest(
            devices=frozenset(self.devices),
            groups=dict(self._group_rows),
            members={
                group.id: frozenset(device.id for device in group.devices)
                for group in self.groups.values()
            },
        )

    def keep(self, known: Known) -> None:
        """Hold what was read, but for what is held already.

        Not even a group's row is replaced: the next look has to find the
        difference, because devices that are held still have the old one.
        """
        for pk, row in known.groups.items():
            self._group_rows.setdefault(pk, row)
        for device in known.devices.values():
            if device.id not in self.devices:
                self._hold(device)
        for prefix, credential in known.credentials.items():
            self.credentials.setdefault(prefix, credential)
            if credential.expires_us is not None:
                self._expiring.add(prefix)
        self._fill_groups({slug for d in known.devices.values() for slug in d.groups})

    def watch(self, row: GroupRow) -> GroupEntry:
        """The group's entry, with its devices, all of which must be held."""
        if row.slug not in self.groups:
            self._group_rows.setdefault(row.id, row)
            self.groups[row.slug] = GroupEntry(row.id, row.slug, row.name)
            self._fill_groups({row.slug})
        return self.groups[row.slug]

    def apply(self, found: Found) -> Change:
        """Take over what a look found; what differs from what was held."""
        groups = set(found.groups)
        self._apply_groups(found)
        devices = set()
        for pk in found.looked_at:
            before = self.devices.get(pk)
            old = before.groups if before else frozenset()
            if self._apply_device(pk, found.known.devices.get(pk)):
                devices.add(pk)
                now = self.devices.get(pk)
                groups |= old | (now.groups if now else frozenset())
        for pk, row in found.known.groups.items():
            self._group_rows.setdefault(pk, row)
        self._fill_groups(groups)
        keys = {key.device_id for key in found.credentials if self._apply_key(key)}
        return Change(frozenset(devices), frozenset(groups), frozenset(keys))

    def take_edits(self) -> dict[int, frozenset[str]]:
        """The names of the fields that people edited since the last call."""
        edits, self._edits = self._edits, {}
        return edits

    def expired(self, now_us: int) -> frozenset[int]:
        """Devices of the keys that have ended since the last call."""
        ended = [p for p in self._expiring if not self.credentials[p].is_usable(now_us)]
        self._expiring.difference_update(ended)
        return frozenset(self.credentials[prefix].device_id for prefix in ended)

    def _hold(self, device: DeviceEntry) -> None:
        self.devices[device.id] = device
        self.slugs[device.slug] = device

    def _forget(self, device: DeviceEntry) -> None:
        self.devices.pop(device.id, None)
        # The slug of a deleted device may be another's by now.
        if self.slugs.get(device.slug) is device:
            del self.slugs[device.slug]

    def _apply_device(self, pk: int, new: DeviceEntry | None) -> bool:
        held = self.devices.get(pk)
        if held == new:
            return False
        if held is None:
            if new is not None:
                self._hold(new)
        elif new is None:
            self._forget(held)
        else:
            self._forget(held)
            if fields := held.edited_fields(new):
                self._edits[pk] = fields
            held.become(new)
            self._hold(held)
        return True

    def _apply_groups(self, found: Found) -> None:
        for row in found.changed_groups:
            before = self._group_rows.get(row.id)
            if before is None:
                continue
            self._group_rows[row.id] = row
            entry = self.groups.get(before.slug)
            if entry is not None and entry.id == row.id:
                del self.groups[before.slug]
                entry.slug, entry.name = row.slug, row.name
                self.groups[row.slug] = entry
        for pk in found.gone_groups:
            row = self._group_rows.pop(pk)
            entry = self.groups.get(row.slug)
            if entry is not None and entry.id == pk:
                del self.groups[row.slug]
                entry.devices = []

    def _fill_groups(self, slugs: Iterable[str]) -> None:
        """Make the lists of devices of these groups anew, where watched."""
        members: dict[str, list[DeviceEntry]] = {
            slug: [] for slug in slugs if slug in self.groups
        }
        if not members:
            return
        for device in self.devices.values():
            for slug in device.groups & members.keys():
                members[slug].append(device)
        for slug, devices in members.items():
            self.groups[slug].devices = sorted(devices, key=lambda d: d.slug)

    def _apply_key(self, key: CredentialEntry) -> bool:
        held = self.credentials.get(key.prefix)
        if held is None:
            return False  # It is read when somebody comes with it.
        before = (held.expires_us, held.is_revoked)
        held.expires_us, held.is_revoked = key.expires_us, key.is_revoked
        if held.expires_us is not None:
            self._expiring.add(held.prefix)
        return before != (held.expires_us, held.is_revoked)
