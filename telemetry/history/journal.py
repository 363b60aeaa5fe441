"""The journal: one durable row for all that arrived in a few milliseconds.

`columns`, all little-endian:

    byte 0      format version
    bytes 1-4   CRC-32 of all that follows; version 1 has none
    then        int32 series, int64 µs UTC and float64 values, in order of arrival

`marks` says how far each device's session moved by the same commit: readings and
watermarks are one row, so neither can be on disk without the other (docs/adr/0001).
"""

from __future__ import annotations

import logging
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet

from .. import counters
from ..devices.models import Series
from ..devices.sharing import is_shared
from . import owners
from .models import Journal, TextReading, Writer
from .owners import Superseded
from .pack import Corrupt
from .tick import Columns, Floats, Int32s, Int64s, sort_columns

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
READING_BYTES = 4 + 8 + 8
# Rows that are read at once: so many at most, which hold about so many readings.
PAGE_ROWS = 2_000
PAGE_READINGS = 200_000
# Ids of series are small and dense, and some arrays are indexed by them. One this far
# above all that exist is damage: it must not take all memory.
ID_MARGIN = 1_000_000
_HEADER = struct.Struct("<BI")
# Where the columns begin, by version.
_COLUMNS_FROM = {1: 1, FORMAT_VERSION: _HEADER.size}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Mark(msgspec.Struct, frozen=True):
    """How far a device's session got; `offset_us` is an uptime clock's anchor."""

    last_seq: int
    offset_us: int | None = None


SessionKey = tuple[int, str]
_marks_decoder = msgspec.msgpack.Decoder(list[tuple[int, str, int, int | None]])


@dataclass(slots=True)
class Gathered:
    """Readings of many devices on their way into one commit, as columns."""

    series: array[int] = field(default_factory=lambda: array("i"))
    times_us: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    texts: list[tuple[int, int, str]] = field(default_factory=list)
    marks: dict[SessionKey, Mark] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.series) + len(self.texts)

    def arrays(self) -> tuple[Int32s, Int64s, Floats]:
        """The columns as numpy arrays, without a copy."""
        return (
            np.frombuffer(self.series, np.int32),
            np.frombuffer(self.times_us, np.int64),
            np.frombuffer(self.values, np.float64),
        )


def encode_columns(series: Int32s, times_us: Int64s, values: Floats) -> bytes:
    """Three columns as the bytes of a journal row."""
    columns = (
        series.astype("<i4", copy=False).tobytes(),
        times_us.astype("<i8", copy=False).tobytes(),
        values.astype("<f8", copy=False).tobytes(),
    )
    checksum = 0
    for column in columns:
        checksum = zlib.crc32(column, checksum)
    return b"".join((_HEADER.pack(FORMAT_VERSION, checksum), *columns))


def decode_columns(
    row: bytes, *, most_readings: int | None = None, highest_id: int | None = None
) -> tuple[Int32s, Int64s, Floats]:
    """The columns of a journal row, in order of arrival. Raises Corrupt.

    Corrupt are also more than `most_readings`, and series above `highest_id`.
    """
    version = row[0] if row else None
    start = _COLUMNS_FROM.get(row[0]) if row else None
    count, rest = divmod(len(row) - start, READING_BYTES) if start else (0, 0)
    if start is None or count < 0 or rest:
        raise Corrupt(
            f"expected version {FORMAT_VERSION} and {READING_BYTES} bytes a reading, "
            f"got version {version} and {len(row)} bytes"
        )
    if version == FORMAT_VERSION:
        _check(row)
    if most_readings is not None and count > most_readings:
        raise Corrupt(f"expected at most {most_readings} readings, got {count}")
    series = np.frombuffer(row, "<i4", count, start).astype(np.int32)
    if count and series.min() < 1:
        raise Corrupt(f"expected ids of series from 1, got {series.min()}")
    if highest_id is not None and count and series.max() > highest_id:
        raise Corrupt(f"expected ids of series to {highest_id}, got {series.max()}")
    return (
        series,
        np.frombuffer(row, "<i8", count, start + 4 * count).astype(np.int64),
        np.frombuffer(row, "<f8", count, start + 12 * count).astype(np.float64),
    )


def _check(row: bytes) -> None:
    _version, checksum = _HEADER.unpack_from(row)
    found = zlib.crc32(memoryview(row)[_HEADER.size :])
    if found != checksum:
        raise Corrupt(f"expected a checksum of {checksum:08x}, got {found:08x}")


def highest_plausible_id() -> int:
    """Series of a row that is read now have ids up to this. One short statement."""
    newest = Series.objects.aggregate(id=Max("id"))["id"] or 0
    return int(newest) + ID_MARGIN


def readable_columns(
    writer: int, number: int, row: bytes, *, highest_id: int | None = None
) -> tuple[Int32s, Int64s, Floats] | None:
    """`decode_columns`, or None for a corrupt row: the others are good."""
    try:
        return decode_columns(row, highest_id=highest_id)
    except Corrupt as error:
        tell_corrupt(writer, number, error)
        return None


def tell_corrupt(writer: int, number: int, error: Corrupt) -> None:
    """Count and log a row that cannot be read."""
    counters.CORRUPT_ROWS.inc()
    logger.error("journal row %s/%s is corrupt: %s", writer, number, error)


def encode_marks(marks: dict[SessionKey, Mark]) -> bytes:
    """Marks as the bytes of a journal row."""
    return msgspec.msgpack.encode(
        [
            (device, session, mark.last_seq, mark.offset_us)
            for (device, session), mark in marks.items()
        ]
    )


def decode_marks(row: bytes) -> dict[SessionKey, Mark]:
    """The marks of a journal row. Raises Corrupt."""
    try:
        marks = _marks_decoder.decode(row)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"expected marks, got {error}") from None
    return {
        (device, session): Mark(last_seq, offset_us)
        for device, session, last_seq, offset_us in marks
    }


@dataclass(frozen=True, slots=True)
class Row:
    """One commit with its place in the order of its writer."""

    writer: int
    number: int
    received_us: int
    gathered: Gathered

    def write(self) -> None:
        """Commit the row durably; repeating it is harmless.

        Raises OperationalError when the database is away, locked or full: repeat
        the same row before anything later. Raises DatabaseError or ValueError when
        what it carries cannot be stored, and Superseded when devices of its marks
        have gone to another process: nothing of it is stored, nor will be.
        """
        marks, columns = self._content()
        try:
            with transaction.atomic(durable=True):
                self._check_owners()
                Journal.objects.bulk_create(
                    [
                        Journal(
                            writer_id=self.writer,
                            number=self.number,
                            received_at=from_us(self.received_us),
                            count=len(self.gathered),
                            marks=marks,
                            columns=columns,
                        )
                    ]
                )
                if self.gathered.texts:
                    TextReading.objects.bulk_create(
                        [
                            TextReading(
                                series_id=text_series,
                                time_us=time_us,
                                received_us=self.received_us,
                                value=value,
                            )
                            for text_series, time_us, value in self.gathered.texts
                        ],
                        batch_size=500,
                    )
        except (IntegrityError, Superseded):
            # An earlier try had reached the disk although its answer was lost. If
            # devices have gone since, that was before: whoever took them over has
            # seen it.
            if not self.is_stored():
                raise

    def _check_owners(self) -> None:
        # Without a number nobody was promised anything.
        if self.gathered.marks and is_shared():
            devices = {device for device, _ in self.gathered.marks}
            if lost := owners.lost(devices, self.writer):
                raise Superseded(lost)

    def is_stored(self) -> bool:
        """Whether this very row is on disk, as an earlier try may have left it.

        Its bytes are compared: another row under its number is no success.
        """
        rows = Journal.objects.filter(
            writer_id=self.writer,
            number=self.number,
            received_at=from_us(self.received_us),
        )
        found = rows.values_list("marks", "columns").first()
        return found is not None and self._content() == tuple(map(bytes, found))

    def _content(self) -> tuple[bytes, bytes]:
        marks = encode_marks(self.gathered.marks)
        return marks, encode_columns(*self.gathered.arrays())

    def columns(self) -> Columns:
        """The row's readings by (series, time)."""
        return sort_columns(*self.gathered.arrays())


def open_writer(now_us: int) -> Writer:
    """A new writer: one start of one process."""
    now = from_us(now_us)
    return Writer.objects.create(started_at=now, heartbeat_at=now)


def unfolded_marks(writer: Writer) -> Iterator[dict[SessionKey, Mark]]:
    """The marks of a writer's rows that are not in DeviceSession yet, in order.

    Those of a corrupt row are left out.
    """
    rows = Journal.objects.filter(writer_id=writer.id, number__gt=writer.folded_to)
    for number, marks in paged(rows, "marks"):
        try:
            yield decode_marks(marks)
        except Corrupt as error:
            tell_corrupt(writer.id, number, error)


def rows_after(
    writer: int, number: int, to_number: int | None = None
) -> Iterator[tuple[int, int, bytes]]:
    """(number, received_us, columns) of a writer's rows, ascending by number."""
    rows = Journal.objects.filter(writer_id=writer, number__gt=number)
    if to_number is not None:
        rows = rows.filter(number__lte=to_number)
    for found in paged(rows, "received_at", "columns"):
        yield found[0], to_us(found[1]), bytes(found[2])


def paged(rows: QuerySet[Journal], *fields: str) -> Iterator[tuple[Any, ...]]:
    """(number, *fields) of one writer's rows, ascending, a few at once.

    In short statements: an open cursor lets the WAL grow.
    """
    after = -1
    while True:
        next_rows = rows.filter(number__gt=after).order_by("number")
        counts = list(next_rows.values_list("number", "count")[:PAGE_ROWS])
        for first, last in _pages(counts):
            page = rows.filter(number__gte=first, number__lte=last).order_by("number")
            yield from page.values_list("number", *fields)
        if len(counts) < PAGE_ROWS:
            return
        after = counts[-1][0]


def _pages(counts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(first, last) number of rows that hold about PAGE_READINGS; at least a row.

    counts: (number, readings) of each row.
    """
    first, last, readings = 0, 0, 0
    for number, count in counts:
        if first and readings + count > PAGE_READINGS:
            yield first, last
            first, readings = 0, 0
        first = first or number
        last, readings = number, readings + count
    if first:
        yield first, last


def from_us(us: int) -> datetime:
    """µs since the epoch as an aware datetime, exact."""
    return EPOCH + timedelta(microseconds=us)


def to_us(moment: datetime) -> int:
    """An aware datetime as µs since the epoch, exact."""
    return (moment - EPOCH) // timedelta(microseconds=1)
