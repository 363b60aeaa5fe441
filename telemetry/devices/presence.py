"""Who is online and when each device was last heard, in memory, written in batches.

Lives on the event loop. The hub calls `flush` every few seconds and when it drains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from django.db import DatabaseError, IntegrityError

from ..protocol.clock import now_us
from ..threads import on_database_thread
from .models import Device, DevicePresence
from .rows import slices
from .times import datetime_of, us_of

# A socket that ended without a close frame: what a process that died left behind.
ABNORMAL = 1006
ADDRESS_CHARACTERS = 64
WRITTEN = [
    *("is_online", "changed_at", "last_seen_at"),
    *("close_code", "address", "skew_ms"),
]
Listener = Callable[[Collection[int]], None]


class Watcher(Protocol):
    """Who writes down every socket of every device: events, statistics."""

    def connected(self, device_id: int, address: str, now_us: int) -> None: ...
    def disconnected(self, device_id: int, code: int, now_us: int) -> None: ...


@dataclass(slots=True)
class PresenceEntry:
    """One device. Times are µs, None: never. close_code: of the last socket, 0: open.

    changed_us: when is_online last became what it is. A device that only ever posts
    over HTTP is never online, but is seen.
    """

    is_online: bool = False
    changed_us: int | None = None
    last_seen_us: int | None = None
    close_code: int = 0
    address: str = ""
    # Device clock minus hub clock; None: unknown.
    skew_ms: float | None = None
    # Sockets of this process: a new one opens before the superseded one has ended.
    sockets: int = 0


# What is known of a device that was never heard of. Never changed.
UNSEEN = PresenceEntry()


class Presence:
    """The presence of all devices, one object a process."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers
        self._entries: dict[int, PresenceEntry] = {}
        self._unwritten: set[int] = set()
        self._listeners: list[Listener] = []

    def get(self, device_id: int) -> PresenceEntry:
        """What is known of a device; for reading only."""
        return self._entries.get(device_id, UNSEEN)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with the ids that came, went, or were first heard."""
        self._listeners.append(listener)

    def connect(self, device_id: int, address: str, now_us: int) -> None:
        """A socket of the device has opened."""
        for watcher in self._watchers:
            watcher.connected(device_id, address, now_us)
        entry = self._entry(device_id)
        entry.sockets += 1
        entry.address = address[:ADDRESS_CHARACTERS]
        entry.last_seen_us = max(now_us, entry.last_seen_us or 0)
        was_online, entry.is_online, entry.close_code = entry.is_online, True, 0
        if not was_online:
            entry.changed_us = now_us
            self._notify([device_id])

    def disconnect(self, device_id: int, close_code: int, now_us: int) -> None:
        """A socket of the device has ended; it is offline if it was the last one."""
        for watcher in self._watchers:
            watcher.disconnected(device_id, close_code, now_us)
        entry = self._entry(device_id)
        entry.sockets = max(0, entry.sockets - 1)
        if entry.sockets == 0 and entry.is_online:
            entry.is_online = False
            entry.close_code = close_code
            entry.changed_us = now_us
            self._notify([device_id])

    def heard(self, device_ids: Iterable[int], now_us: int) -> None:
        """Something came from these devices, by whatever door."""
        first = []
        for device_id in device_ids:
            entry = self._entry(device_id)
            if entry.last_seen_us is None:
                first.append(device_id)
                entry.last_seen_us = now_us
            elif now_us > entry.last_seen_us:
                entry.last_seen_us = now_us
        if first:
            self._notify(first)

    def measured(self, device_id: int, skew_ms: float) -> None:
        """A device's clock is this much ahead of the hub's."""
        self._entry(device_id).skew_ms = skew_ms

    async def load(self) -> None:
        """Read what the last process left; who was online then is offline now."""
        loaded = await on_database_thread(_load)
        for device_id, entry in loaded.items():
            if device_id in self._entries:
                continue  # It came while the rows were read.
            if entry.is_online:
                entry.is_online, entry.close_code = False, ABNORMAL
                entry.changed_us = entry.last_seen_us or now_us()
                self._unwritten.add(device_id)
                for watcher in self._watchers:
                    watcher.disconnected(device_id, ABNORMAL, entry.changed_us)
            self._entries[device_id] = entry

    async def flush(self) -> None:
        """Write what changed since the last flush.

        Raises DatabaseError; what was not written is written the next time.
        """
        unwritten, self._unwritten = self._unwritten, set()
        written: set[int] = set()
        try:
            for part in slices(unwritten):
                lines = [self._row(device_id) for device_id in part]
                await on_database_thread(_write, lines)
                written.update(part)
        except DatabaseError:
            self._unwritten |= unwritten - written
            raise

    def _entry(self, device_id: int) -> PresenceEntry:
        self._unwritten.add(device_id)
        entry = self._entries.get(device_id)
        if entry is None:
            entry = self._entries[device_id] = PresenceEntry()
        return entry

    def _row(self, device_id: int) -> DevicePresence:
        entry = self._entries[device_id]
        return DevicePresence(
            device_id=device_id,
            is_online=entry.is_online,
            changed_at=datetime_of(entry.changed_us),
            last_seen_at=datetime_of(entry.last_seen_us),
            close_code=entry.close_code,
            address=entry.address,
            skew_ms=entry.skew_ms,
        )

    def _notify(self, device_ids: Collection[int]) -> None:
        for listener in self._listeners:
            listener(device_ids)


def _load() -> dict[int, PresenceEntry]:
    rows = DevicePresence.objects.values_list("device_id", *WRITTEN)
    return {
        pk: PresenceEntry(is_online, us_of(changed), us_of(seen), code, address, skew)
        for pk, is_online, changed, seen, code, address, skew in rows
    }


def _write(lines: list[DevicePresence]) -> None:
    try:
        _upsert(lines)
    except IntegrityError:
        # A device was removed for good: the others' rows must not wait for it.
        wanted = [line.device_id for line in lines]
        there = set(Device.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        _upsert([line for line in lines if line.device_id in there])


def _upsert(lines: list[DevicePresence]) -> None:
    DevicePresence.objects.bulk_create(
        lines,
        update_conflicts=True,
        unique_fields=["device"],
        update_fields=WRITTEN,
    )
