"""Finds what people edited since the last look. Runs on the database thread.

Rows that sockets depend on carry `changed_at`. A look reads those later than the
newest one seen less an overlap, because a transaction commits later than it stamps
its rows; `seen` says which of them are no news.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max

from .entries import CredentialEntry
from .entry_rows import (
    CREDENTIAL_FIELDS,
    GroupRow,
    Known,
    credential_entry,
    read_devices,
    slices,
)
from .models import Credential, Device, DeviceGroup, GroupAccess, Series
from .times import EPOCH

# The longest transaction whose edits are noticed although a later edit came first.
OVERLAP = timedelta(seconds=5)
# After so long without news nothing is re-read any more.
SETTLED_SECONDS = 10.0
GROUP_FIELDS = ("id", "slug", "name", "auto_create")

Version = tuple[str, int]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the looks have come. newest None: there was none yet."""

    newest: datetime | None = None
    seen: Mapping[Version, datetime] = field(default_factory=dict)
    group_count: int = -1

    def since(self, now: datetime, quiet_seconds: float) -> datetime | None:
        """Rows changed later than this are read; None: the first look.

        A hub whose clock was set back stamps edits earlier than the newest seen.
        """
        if self.newest is None:
            return None
        if quiet_seconds > SETTLED_SECONDS and self.newest <= now:
            return self.newest
        return min(self.newest, now) - OVERLAP


@dataclass(frozen=True, slots=True)
class Interest:
    """What this process held when it asked for the look."""

    devices: Collection[int]
    # What its devices took from their groups, by id.
    groups: Mapping[int, GroupRow]
    # The devices of the groups that it watches, by id.
    members: Mapping[int, frozenset[int]]


@dataclass(slots=True)
class Found:
    """What a look found. Devices `looked_at` that are not in `known` are gone."""

    mark: Mark
    has_news: bool = False
    looked_at: set[int] = field(default_factory=set)
    known: Known = field(default_factory=Known)
    changed_groups: list[GroupRow] = field(default_factory=list)
    gone_groups: set[int] = field(default_factory=set)
    # Slugs of groups whose row or rights changed.
    groups: set[str] = field(default_factory=set)
    credentials: list[CredentialEntry] = field(default_factory=list)


def look(mark: Mark, since: datetime | None, interest: Interest) -> Found:
    """Read what changed later than `since`. Six queries when nothing did.

    Raises DatabaseError; the same look can be repeated.
    """
    return _Look(mark, interest).run(since or (_newest() or EPOCH) - OVERLAP)


class _Look:
    """One look: collects the versions of the rows on its way."""

    def __init__(self, mark: Mark, interest: Interest) -> None:
        self._mark = mark
        self._interest = interest
        self._versions: dict[Version, datetime] = {}

    def run(self, since: datetime) -> Found:
        devices = {row[0] for row in self._fresh(Device, since)}
        devices |= {row[1] for row in self._fresh(Series, since, "device_id")}
        keys = self._fresh(Credential, since, *CREDENTIAL_FIELDS[1:])
        groups = self._fresh(DeviceGroup, since, *GROUP_FIELDS[1:])
        rights = self._fresh(GroupAccess, since, "group__slug")
        count = DeviceGroup.objects.count()
        newest = max([*self._versions.values(), self._mark.newest or EPOCH])
        found = Found(Mark(newest, self._versions, count))
        found.credentials = [credential_entry(row) for row in keys]
        found.groups = {row[1] for row in rights}
        if groups or count != self._mark.group_count:
            found.changed_groups = [GroupRow(*row) for row in groups]
            self._look_at_groups(found)
        found.looked_at |= self._of_interest(devices)
        found.known = read_devices(found.looked_at)
        found.has_news = bool(devices or keys or groups or rights or found.gone_groups)
        return found

    def _fresh(
        self, model: Any, since: datetime, *fields: str
    ) -> list[tuple[Any, ...]]:
        """(id, *fields) of the rows that changed and are not seen yet."""
        table = model._meta.db_table
        rows = model.objects.filter(changed_at__gt=since).order_by()
        fresh = []
        for changed_at, *row in rows.values_list("changed_at", "id", *fields):
            version = (table, row[0])
            self._versions[version] = changed_at
            if self._mark.seen.get(version) != changed_at:
                fresh.append(tuple(row))
        return fresh

    def _look_at_groups(self, found: Found) -> None:
        interest = self._interest
        existing: set[int] = set()
        for part in slices(interest.groups.keys()):
            rows = DeviceGroup.objects.filter(pk__in=part)
            existing |= set(rows.values_list("pk", flat=True))
        found.gone_groups = set(interest.groups) - existing
        for pk in found.gone_groups:
            found.groups.add(interest.groups[pk].slug)
            found.looked_at |= interest.members.get(pk, frozenset())
        for group in found.changed_groups:
            before = interest.groups.get(group.id)
            found.groups |= {group.slug, before.slug if before else group.slug}
            self._look_at_members(group, before, found)

    def _look_at_members(
        self, group: GroupRow, before: GroupRow | None, found: Found
    ) -> None:
        if before is None:
            return  # Nobody here is in it, or asked for it.
        watched = self._interest.members.get(group.id)
        is_same = (group.slug, group.auto_create) == (before.slug, before.auto_create)
        if is_same and watched is None:
            return
        rows = Device.objects.alive().filter(groups=group.id).order_by()
        members = set(rows.values_list("pk", flat=True))
        if watched is not None:
            found.looked_at |= members ^ watched
        if not is_same:
            found.looked_at |= members.intersection(self._interest.devices)

    def _of_interest(self, devices: set[int]) -> set[int]:
        """Those held already, and those that are now in a watched group."""
        held = devices.intersection(self._interest.devices)
        strangers = devices - held
        if not self._interest.members:
            return held
        membership = Device.groups.through.objects
        for part in slices(strangers):
            rows = membership.filter(device_id__in=part).values_list(
                "device_id", "devicegroup_id"
            )
            held |= {pk for pk, group in rows if group in self._interest.members}
        return held


def _newest() -> datetime | None:
    """The latest change of all, to begin with."""
    models: tuple[Any, ...] = (Device, DeviceGroup, GroupAccess, Credential, Series)
    stamps = (model.objects.aggregate(at=Max("changed_at"))["at"] for model in models)
    return max((stamp for stamp in stamps if stamp is not None), default=None)
