"""What each device's link does, counted in memory by the hour, written in batches.

Lives on the event loop. Doors add to `of(device)`: an attribute or two a frame. The
hub calls `flush` about once a minute, when an hour ends, and when it drains; a hub
that is killed loses what it has counted since.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import transaction

from ..protocol.clock import now_us
from ..threads import on_database_thread
from . import latency
from .entry_rows import slices
from .records import DeviceHour

logger = logging.getLogger(__name__)

HOUR_US = 3_600_000_000
# Of one hole in the numbers: a device may leave out up to 2⁵³ at once, and sums have
# to fit into the database's 64 bits.
MOST_LOST = 1_000_000_000
COUNTED = ("readings", "connects", "sent_again", "lost", "rejected", "online_seconds")
Key = tuple[int, int]


@dataclass(slots=True)
class Tally:
    """A device's link in one hour, or in a part of it. latency: by bucket."""

    readings: int = 0
    connects: int = 0
    sent_again: int = 0
    lost: int = 0
    rejected: int = 0
    online_seconds: float = 0.0
    latency: dict[int, int] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Take over what another has counted."""
        self.readings += other.readings
        self.connects += other.connects
        self.sent_again += other.sent_again
        self.lost += other.lost
        self.rejected += other.rejected
        self.online_seconds += other.online_seconds
        latency.add(self.latency, other.latency)

    def took(self, seconds: float) -> None:
        """Count a round trip of one of the hub's pings."""
        bucket = latency.bucket_of(seconds * 1000)
        self.latency[bucket] = self.latency.get(bucket, 0) + 1

    def left_out(self, numbers: int) -> None:
        """Count batches whose numbers never came."""
        self.lost += min(numbers, MOST_LOST)


@dataclass(slots=True)
class Attempt:
    """A part that is written, again and again the same one until it is known to be.

    rows: as the last try leaves them, which may have come through though it failed.
    """

    tallies: dict[Key, Tally]
    rows: dict[Key, Tally] = field(default_factory=dict)

    def is_in(self, key: Key, row: Tally) -> bool:
        """Whether a row as it is stored now has what is to be added to it."""
        return row == self.rows.get(key)


@dataclass(slots=True)
class Online:
    """A device with open sockets. since: on the monotonic clock, as last counted."""

    since: float
    sockets: int = 0


class Tallies:
    """One a process."""

    def __init__(
        self, most_held: int = 100_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_held = most_held
        self._monotonic = monotonic
        self._hour = hour_of(now_us())
        self._current: dict[int, Tally] = {}
        self._online: dict[int, Online] = {}
        # By (hour, device): counted, and not written yet.
        self._unwritten: dict[Key, Tally] = {}
        # What of that is being written, or was in vain.
        self._attempt: Attempt | None = None
        # Held by whoever writes, or reads what must neither miss nor double a write.
        self._lock = asyncio.Lock()

    def of(self, device_id: int) -> Tally:
        """What the device does now is counted here. Not to be kept: hours end."""
        tally = self._current.get(device_id)
        if tally is None:
            tally = self._current[device_id] = Tally()
        return tally

    def connected(self, device_id: int, address: str, now_us: int) -> None:
        """A socket of the device has opened."""
        self.of(device_id).connects += 1
        online = self._online.get(device_id)
        if online is None:
            online = self._online[device_id] = Online(self._monotonic())
        online.sockets += 1

    def disconnected(self, device_id: int, code: int, now_us: int) -> None:
        """A socket of the device has ended, or one of an earlier process has."""
        online = self._online.get(device_id)
        if online is None:
            return
        online.sockets -= 1
        if online.sockets == 0:
            self.of(device_id).online_seconds += self._monotonic() - online.since
            del self._online[device_id]

    def turn(self, now_us: int) -> None:
        """Count the time online up to now; what comes next counts for its hour."""
        for device_id in self._online:
            self._settle(device_id)
        current, self._current = self._current, {}
        for device_id, tally in current.items():
            self._keep((self._hour, device_id), tally)
        self._hour = hour_of(now_us)
        self._let_go()

    async def flush(self) -> None:
        """Write what was counted since the last flush.

        Raises DatabaseError; what was not written is written the next time.
        """
        # Goes on when its caller is cancelled: who does not wait for the end of a
        # write does not know what to write again.
        await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        async with self._lock:
            self.turn(now_us())
            await self._try()
            for keys in slices(self._unwritten.keys()):
                self._attempt = Attempt({key: self._unwritten.pop(key) for key in keys})
                await self._try()

    async def _try(self) -> None:
        if self._attempt is not None:
            await on_database_thread(_write, self._attempt)
            self._attempt = None

    async def hours(self, device_id: int, first: int) -> dict[int, Tally]:
        """A device's hours from `first` on, with what is not written yet.

        Until the next flush all of that is of the hour of the last one.
        """
        async with self._lock:
            found = await on_database_thread(read_hours, device_id, first)
            if self._attempt is not None:
                for key, tally in self._attempt.tallies.items():
                    hour, device = key
                    if device == device_id and hour >= first:
                        row = found.setdefault(hour, Tally())
                        if not self._attempt.is_in(key, row):
                            row.add(tally)
            for (hour, device), tally in self._unwritten.items():
                if device == device_id and hour >= first:
                    found.setdefault(hour, Tally()).add(tally)
            # Of this device alone: others would hold up the event loop.
            self._settle(device_id)
            if device_id in self._current and self._hour >= first:
                found.setdefault(self._hour, Tally()).add(self._current[device_id])
            return found

    def _settle(self, device_id: int) -> None:
        """Count a device's time online up to now."""
        online = self._online.get(device_id)
        if online is not None:
            now = self._monotonic()
            self.of(device_id).online_seconds += now - online.since
            online.since = now

    def _keep(self, key: Key, tally: Tally) -> None:
        held = self._unwritten.setdefault(key, tally)
        if held is not tally:
            held.add(tally)

    def _let_go(self) -> None:
        """Forget the oldest hours if the database has been away for very long."""
        excess = len(self._unwritten) - self._most_held
        if excess > 0:
            logger.warning("the quality of %d device hours is lost", excess)
            for key in sorted(self._unwritten)[:excess]:
                del self._unwritten[key]


def hour_of(time_us: int) -> int:
    """Hours since the epoch."""
    return time_us // HOUR_US


def seconds_to_hour(time_us: int) -> float:
    """How long this hour still lasts; never 0."""
    return (HOUR_US - time_us % HOUR_US) / 1e6


def read_hours(device_id: int, first: int) -> dict[int, Tally]:
    """What is written of a device's hours from `first` on."""
    rows = DeviceHour.objects.filter(device_id=device_id, hour__gte=first)
    return {row.hour: _tally(row) for row in rows}


def _tally(row: DeviceHour) -> Tally:
    counts = {int(bucket): count for bucket, count in row.latency.items()}
    counted = {name: getattr(row, name) for name in COUNTED}
    return Tally(**counted, latency=counts)


def _row(key: Key, tally: Tally) -> DeviceHour:
    hour, device_id = key
    counts = {str(bucket): count for bucket, count in sorted(tally.latency.items())}
    counted = {name: getattr(tally, name) for name in COUNTED}
    return DeviceHour(device_id=device_id, hour=hour, latency=counts, **counted)


def _write(attempt: Attempt) -> None:
    """Add to the rows, whoever else adds to them."""
    with transaction.atomic():
        part = attempt.tallies
        stored = _locked(part)
        missing = [key for key in part if key not in stored]
        if missing:
            # First nothing: another process may make the same rows now.
            DeviceHour.objects.bulk_create(
                [_row(key, Tally()) for key in missing], ignore_conflicts=True
            )
            stored |= _locked(missing)
        for key, tally in part.items():
            if not attempt.is_in(key, stored[key]):
                stored[key].add(tally)
        # A try before this one has ended: these rows were locked until it had.
        attempt.rows = stored
        DeviceHour.objects.bulk_create(
            [_row(key, stored[key]) for key in part],
            update_conflicts=True,
            unique_fields=["device_id", "hour"],
            update_fields=[*COUNTED, "latency"],
        )


def _locked(keys: Iterable[Key]) -> dict[Key, Tally]:
    """The rows of these keys, which nobody else changes in this transaction."""
    wanted = set(keys)
    rows = (
        DeviceHour.objects.select_for_update()
        .filter(
            hour__in={hour for hour, _ in wanted},
            device_id__in={device for _, device in wanted},
        )
        .order_by("hour", "device_id")
    )
    found = {(row.hour, row.device_id): _tally(row) for row in rows}
    return {key: tally for key, tally in found.items() if key in wanted}
