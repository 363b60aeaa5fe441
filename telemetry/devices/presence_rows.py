"""The rows of presence: read at a start, written in batches, merged between processes.

Runs on the database thread. Several processes may write the row of one device: the
one with the newest socket says whether it is online, all of them when it was last
heard.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from .models import Device, DevicePresence
from .times import EPOCH, datetime_of, us_of

# The longest transaction whose rows are noticed although a later one came first.
OVERLAP = timedelta(seconds=5)
# Other processes read a row again when this much later was heard of the device.
HEARD_SECONDS = 30.0
# In the order of `Seen`.
WRITTEN = (
    *("is_online", "changed_at", "last_seen_at", "close_code", "address", "skew_ms"),
    *("writer_id", "written_at"),
)
FIELDS = ("device_id", *WRITTEN)


class Seen(NamedTuple):
    """What a row says. Times are µs, None: never."""

    device_id: int
    is_online: bool
    changed_us: int | None
    last_seen_us: int | None
    close_code: int
    address: str
    skew_ms: float | None
    # The process with the socket; 0: none that lives.
    writer: int
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row as this process would have it.

    has_state: whether a socket of this process made it so; else it has only heard of
    the device by another door.
    """

    seen: Seen
    has_state: bool = True


def read_all() -> Iterator[Seen]:
    """All rows."""
    return _read(DevicePresence.objects.all())


def newest() -> datetime:
    """When a row was last written, as the database's clock has it."""
    latest: datetime | None = DevicePresence.objects.aggregate(at=Max("written_at"))[
        "at"
    ]
    return latest or EPOCH


def read_news(since: datetime, without: int) -> list[Seen]:
    """Rows that other processes wrote after `since`. One query."""
    rows = DevicePresence.objects.filter(written_at__gt=since)
    return list(_read(rows.exclude(writer_id=without)))


def write_alone(lines: Sequence[Line]) -> None:
    """Write the rows of the only process there is."""
    _write(lines, _upsert)


def write_among_others(lines: Sequence[Line], writer: int) -> None:
    """Write the rows, where no other process knows better."""
    _write(lines, partial(_merge, writer=writer))


def _write(lines: Sequence[Line], write: Callable[[Sequence[Line]], None]) -> None:
    try:
        write(lines)
    except IntegrityError:
        # A device was removed for good: the others' rows must not wait for it.
        wanted = [line.seen.device_id for line in lines]
        there = set(Device.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        write([line for line in lines if line.seen.device_id in there])


def _upsert(lines: Sequence[Line]) -> None:
    _store([line.seen for line in lines], set())


def _merge(lines: Sequence[Line], writer: int) -> None:
    with transaction.atomic():
        stored = _locked(lines)
        missing = [line for line in lines if line.seen.device_id not in stored]
        if missing:
            # First nothing: another process may make the same rows now.
            DevicePresence.objects.bulk_create(
                [DevicePresence(device_id=line.seen.device_id) for line in missing],
                ignore_conflicts=True,
            )
            stored |= _locked(missing)
        now = timezone.now()
        changed: list[Seen] = []
        quiet: set[int] = set()
        for line in lines:
            before = stored[line.seen.device_id]
            after = merged(before, line, writer)
            if after == before:
                continue
            changed.append(after)
            if is_quiet(before, after, now):
                quiet.add(after.device_id)
        _store(changed, quiet)


def merged(stored: Seen, line: Line, writer: int) -> Seen:
    """What the row says from now on; `writer` is who writes. Pure."""
    mine = line.seen
    heard = [each for each in (stored.last_seen_us, mine.last_seen_us) if each]
    last_seen_us = max(heard, default=None)
    if not line.has_state or not _knows_better(mine, stored, writer):
        return stored._replace(last_seen_us=last_seen_us)
    return mine._replace(last_seen_us=last_seen_us, written_at=stored.written_at)


def _knows_better(mine: Seen, stored: Seen, writer: int) -> bool:
    if stored.writer in (0, writer):
        return True
    # The end of an older socket says nothing of a newer one elsewhere.
    return mine.is_online and (
        not stored.is_online or (mine.changed_us or 0) >= (stored.changed_us or 0)
    )


def is_quiet(before: Seen, after: Seen, now: datetime) -> bool:
    """Whether other processes need not hear of the change yet. Pure."""
    if before.written_at is None or before.last_seen_us is None:
        return False
    is_same = after._replace(
        last_seen_us=before.last_seen_us, skew_ms=before.skew_ms
    ) == before._replace(written_at=after.written_at)
    age = (now - before.written_at).total_seconds()
    return is_same and 0 <= age < HEARD_SECONDS


def _locked(lines: Sequence[Line]) -> dict[int, Seen]:
    """The rows of these devices, which nobody else changes in this transaction."""
    device_ids = [line.seen.device_id for line in lines]
    rows = DevicePresence.objects.filter(device_id__in=device_ids)
    locked = rows.select_for_update(no_key=True).order_by("device_id")
    return {seen.device_id: seen for seen in _read(locked)}


def _read(rows: QuerySet[DevicePresence]) -> Iterator[Seen]:
    for pk, is_online, changed_at, seen_at, *rest in rows.values_list(*FIELDS):
        yield Seen(pk, is_online, us_of(changed_at), us_of(seen_at), *rest)


def _store(rows: Sequence[Seen], quiet: Collection[int]) -> None:
    """Write the rows as they are; the quiet ones keep the moment of their writing."""
    if not rows:
        return
    # The database's clock: those of several machines differ.
    DevicePresence.objects.bulk_create(
        [
            DevicePresence(
                device_id=row.device_id,
                is_online=row.is_online,
                changed_at=datetime_of(row.changed_us),
                last_seen_at=datetime_of(row.last_seen_us),
                close_code=row.close_code,
                address=row.address,
                skew_ms=row.skew_ms,
                writer_id=row.writer,
                written_at=row.written_at if row.device_id in quiet else Now(),
            )
            for row in rows
        ],
        update_conflicts=True,
        unique_fields=["device"],
        update_fields=WRITTEN,
    )
