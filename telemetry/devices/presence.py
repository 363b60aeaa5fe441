"""Who is online and when each device was last heard, in memory, written in batches.

Lives on the event loop. The hub calls `flush` every few seconds and when it drains;
and `look`, where other processes have devices as well: what is online there is online
here. Of its own sockets a process knows best.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from django.utils import timezone

from ..protocol.clock import now_us
from ..threads import on_database_thread
from . import presence_rows, sharing
from .entry_rows import slices
from .presence_rows import Line, Seen
from .times import EPOCH

# A socket that ended without a close frame: what a process that died left behind.
ABNORMAL = 1006
ADDRESS_CHARACTERS = 64
# A device that went to another process is online there within this time, or nowhere.
MOVED_SECONDS = 15.0
# After so long without news nothing is read twice any more.
SETTLED_SECONDS = 10.0
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
    # When the newest of them opened.
    connected_us: int = field(default=0, compare=False)
    # Whether a socket of this process made it what it is, and not another process.
    is_own: bool = field(default=False, compare=False)


# What is known of a device that was never heard of. Never changed.
UNSEEN = PresenceEntry()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A device with a newer socket in another process than the one it has here.

    row: what that process wrote; None: it has not yet, and has `until` to do so.
    """

    row: Seen | None
    until: float = 0.0


class Presence:
    """The presence of all devices, one object a process."""

    def __init__(self, *watchers: Watcher, is_shared: bool | None = None) -> None:
        """is_shared: whether other processes write to the same database."""
        self._watchers = watchers
        self.is_shared = sharing.is_shared() if is_shared is None else is_shared
        self.writer = 0
        self._entries: dict[int, PresenceEntry] = {}
        self._unwritten: set[int] = set()
        self._listeners: list[Listener] = []
        self._takeover_listeners: list[Listener] = []
        self._elsewhere: dict[int, Elsewhere] = {}
        # How far the looks have come, and which rows are no news.
        self._newest = EPOCH
        self._seen: dict[int, datetime | None] = {}
        self._news_at = time.monotonic()

    def get(self, device_id: int) -> PresenceEntry:
        """What is known of a device; for reading only."""
        return self._entries.get(device_id, UNSEEN)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with the ids that came, went, or were first heard."""
        self._listeners.append(listener)

    def listen_for_takeovers(self, listener: Listener) -> None:
        """Call `listener` with ids that have a newer socket in another process."""
        self._takeover_listeners.append(listener)

    # --- sockets of this process --------------------------------------------------

    def connect(self, device_id: int, address: str, now_us: int) -> None:
        """A socket of the device has opened."""
        for watcher in self._watchers:
            watcher.connected(device_id, address, now_us)
        entry = self._entry(device_id)
        # Who was online elsewhere has come here: later than whatever is known.
        is_move = entry.is_online and not entry.is_own
        entry.connected_us = max(now_us, (entry.changed_us or 0) + 1 if is_move else 0)
        self._elsewhere.pop(device_id, None)
        entry.sockets += 1
        entry.is_own = True
        entry.address = address[:ADDRESS_CHARACTERS]
        entry.last_seen_us = max(now_us, entry.last_seen_us or 0)
        was_online, entry.is_online, entry.close_code = entry.is_online, True, 0
        if is_move:
            entry.changed_us = entry.connected_us
        if not was_online:
            entry.changed_us = now_us
            self._notify([device_id])

    def disconnect(self, device_id: int, close_code: int, now_us: int) -> None:
        """A socket of the device has ended; it is offline if it was the last one."""
        for watcher in self._watchers:
            watcher.disconnected(device_id, close_code, now_us)
        entry = self._entry(device_id)
        entry.sockets = max(0, entry.sockets - 1)
        if entry.sockets or not entry.is_online:
            return
        other = self._elsewhere.get(device_id)
        if other is None:
            self._go_offline(entry, close_code, now_us)
            self._notify([device_id])
        elif other.row is not None:
            del self._elsewhere[device_id]
            self._adopt(entry, other.row)

    def moved(self, device_id: int) -> None:
        """The device has a newer socket in another process: this one's end is no end.

        Its row will say so; if none does before long, it is offline.
        """
        if device_id not in self._elsewhere:
            until = time.monotonic() + MOVED_SECONDS
            self._elsewhere[device_id] = Elsewhere(None, until)

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

    # --- the database ---------------------------------------------------------------

    async def load(self, writer: int = 0) -> None:
        """Read what there is. `writer` is this process.

        A process that has the database to itself finds what the last one left: who
        was online then is offline now. Among others the sweep says who is gone.
        """
        self.writer = writer
        self._newest = await on_database_thread(presence_rows.newest)
        loaded = await on_database_thread(lambda: list(presence_rows.read_all()))
        for row in loaded:
            if row.device_id in self._entries:
                continue  # It came while the rows were read.
            entry = self._entries[row.device_id] = PresenceEntry()
            self._adopt(entry, row)
            self._seen[row.device_id] = row.written_at
            if row.is_online and not self.is_shared:
                gone_us = row.last_seen_us or now_us()
                self._unwritten.add(row.device_id)
                self._go_offline(entry, ABNORMAL, gone_us)
                for watcher in self._watchers:
                    watcher.disconnected(row.device_id, ABNORMAL, gone_us)

    async def flush(self) -> None:
        """Write what changed since the last flush.

        Raises DatabaseError; what was not written is written the next time.
        """
        unwritten, self._unwritten = self._unwritten, set()
        written: set[int] = set()
        try:
            for part in slices(unwritten):
                lines = [self._line(device_id) for device_id in part]
                await on_database_thread(self._write, lines)
                written.update(part)
        except BaseException:
            # Also when it is cancelled between two slices.
            self._unwritten |= unwritten - written
            raise

    async def look(self) -> None:
        """Read what other processes wrote since the last look. Raises DatabaseError."""
        since = min(self._newest, timezone.now())
        if time.monotonic() < self._news_at + SETTLED_SECONDS or since < self._newest:
            # A transaction commits later than it stamps its rows.
            since -= presence_rows.OVERLAP
        rows = await on_database_thread(presence_rows.read_news, since, self.writer)
        self._take(rows)
        self._forget_moved()

    def _write(self, lines: list[Line]) -> None:
        if self.is_shared:
            presence_rows.write_among_others(lines, self.writer)
        else:
            presence_rows.write_alone(lines)

    # --- what others wrote ------------------------------------------------------------

    def _take(self, rows: Iterable[Seen]) -> None:
        changed: list[int] = []
        taken: list[int] = []
        seen: dict[int, datetime | None] = {}
        for row in rows:
            seen[row.device_id] = row.written_at
            if row.written_at is not None:
                self._newest = max(self._newest, row.written_at)
            if self._seen.get(row.device_id) == row.written_at:
                continue
            self._news_at = time.monotonic()
            entry = self._entries.setdefault(row.device_id, PresenceEntry())
            if not entry.sockets:
                self._elsewhere.pop(row.device_id, None)
                if self._adopt(entry, row):
                    changed.append(row.device_id)
            elif row.is_online and (row.changed_us or 0) > entry.connected_us:
                self._elsewhere[row.device_id] = Elsewhere(row)
                taken.append(row.device_id)
            else:
                # It is online here, whatever another has made of its row.
                self._unwritten.add(row.device_id)
                known = self._elsewhere.get(row.device_id)
                if known is not None and known.row is not None:
                    del self._elsewhere[row.device_id]
        self._seen = seen
        if changed:
            self._notify(changed)
        for listener in self._takeover_listeners if taken else ():
            listener(taken)

    def _adopt(self, entry: PresenceEntry, row: Seen) -> bool:
        """Take over what a row says; whether listeners want to know."""
        was = (entry.is_online, entry.last_seen_us is None)
        entry.last_seen_us = max(entry.last_seen_us or 0, row.last_seen_us or 0) or None
        is_older = (row.changed_us or 0) < (entry.changed_us or 0)
        if not (entry.is_own and not row.is_online and is_older):
            entry.is_own = row.writer == self.writer
            entry.is_online, entry.changed_us = row.is_online, row.changed_us
            entry.close_code, entry.address = row.close_code, row.address
            entry.skew_ms = row.skew_ms
        return was != (entry.is_online, entry.last_seen_us is None)

    def _forget_moved(self) -> None:
        """Devices that went to another process, which never said that they came."""
        now = time.monotonic()
        waiting = [
            (device_id, other.until)
            for device_id, other in self._elsewhere.items()
            if other.row is None
        ]
        for device_id, until in waiting:
            if until <= now:
                del self._elsewhere[device_id]
                entry = self._entry(device_id)
                if entry.is_online and not entry.sockets:
                    self._go_offline(entry, ABNORMAL, now_us())
                    self._notify([device_id])

    # --- entries ----------------------------------------------------------------

    def _go_offline(self, entry: PresenceEntry, code: int, time_us: int) -> None:
        entry.is_own, entry.is_online = True, False
        entry.close_code, entry.changed_us = code, time_us

    def _entry(self, device_id: int) -> PresenceEntry:
        self._unwritten.add(device_id)
        entry = self._entries.get(device_id)
        if entry is None:
            entry = self._entries[device_id] = PresenceEntry()
        return entry

    def _line(self, device_id: int) -> Line:
        entry = self._entries[device_id]
        seen = Seen(
            device_id,
            entry.is_online,
            entry.changed_us,
            entry.last_seen_us,
            entry.close_code,
            entry.address,
            entry.skew_ms,
            self.writer if entry.is_own else 0,
        )
        return Line(seen, entry.is_own)

    def _notify(self, device_ids: Collection[int]) -> None:
        for listener in self._listeners:
            listener(device_ids)
