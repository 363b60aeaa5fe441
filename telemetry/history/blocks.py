"""Blocks: built from readings or from rows of a tier, and read back.

Whoever writes them holds the lease (`lease.py`). Sizes: at most 16,384 readings,
measured to give 0.66 byte a reading for a whole SQLite file where 4,096 give 1.16.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from django.db import connection

from . import pack, summary
from .models import Block
from .summary import Summaries
from .tick import Floats, Int64s

# Readings of a block of raw readings, at most.
CAP = 16_384
RAW = 0
TIER_SECONDS = 300


class NewBlock(NamedTuple):
    """A block that is not written yet; the columns of `Block`."""

    series_id: int
    resolution_seconds: int
    part: int
    length: int
    is_open: bool
    data: bytes
    # The summary, in the order of the fields of Summaries.
    start_us: int
    end_us: int
    count: int  # type: ignore[assignment]  # not the method of tuple
    minimum: float
    maximum: float
    sum: float
    first: float
    last: float
    increase: float
    integral: float


# The ORM makes an object of each row and asks each field in turn: half of the time
# of sealing short blocks (measured).
_INTO = f"{Block._meta.db_table} ({', '.join(NewBlock._fields)})"
_VALUES = ", ".join(["%s"] * len(NewBlock._fields))
_INSERT = f"INSERT INTO {_INTO} VALUES ({_VALUES})"  # noqa: S608
# On PostgreSQL a third of the time of an INSERT each (measured: 27 µs for 80 a row).
_COPY = f"COPY {_INTO} FROM STDIN"


def insert(new: Iterable[NewBlock]) -> None:
    """Write blocks. Inside a transaction of the lease's holder."""
    rows = list(new)
    if not rows:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            cursor.executemany(_INSERT, rows)


def with_free_parts(
    new: Sequence[NewBlock], gone: Collection[int] = ()
) -> list[NewBlock]:
    """Blocks of one series with parts that come after those of the same start.

    gone: ids of blocks that are deleted with it.
    """
    if not new:
        return []
    same = Block.objects.filter(
        series_id__in={block.series_id for block in new},
        start_us__in={block.start_us for block in new},
    ).exclude(id__in=gone)
    free: dict[tuple[int, int], int] = {}
    for resolution_seconds, start_us, part in same.values_list(
        "resolution_seconds", "start_us", "part"
    ):
        place = resolution_seconds, start_us
        free[place] = max(free.get(place, 0), part + 1)
    found: list[NewBlock] = []
    for block in new:
        place = block.resolution_seconds, block.start_us
        found.append(block._replace(part=free.get(place, 0)))
        free[place] = found[-1].part + 1
    return found


def build(
    series_id: int,
    times_us: Int64s,
    values: Floats,
    part: int = 0,
    is_open: bool = False,
) -> NewBlock:
    """A new block of raw readings, of which there is at least one.

    times_us: µs, ascending, equal ones in order of arrival.
    """
    (fields,) = summary.of_all(times_us, values).rows()
    data = pack.pack(times_us, values)
    return NewBlock(series_id, RAW, part, len(values), is_open, data, *fields)


def build_tier(
    series_id: int, rows: Summaries, part: int = 0, is_open: bool = False
) -> NewBlock:
    """A new block of 5-minute rows, of which there is at least one."""
    (fields,) = summary.merged(rows, np.zeros(1, np.int64)).rows()
    data = pack.pack_columns(rows.columns())
    return NewBlock(series_id, TIER_SECONDS, part, len(rows), is_open, data, *fields)


def read(block: Block) -> tuple[Int64s, Floats]:
    """Times (µs) and values of a block of raw readings. Raises pack.Corrupt."""
    return pack.unpack(bytes(block.data), block.length)


def read_tier(block: Block) -> Summaries:
    """The rows of a block of a tier. Raises pack.Corrupt."""
    columns = pack.unpack_columns(bytes(block.data), block.length, summary.DTYPES)
    return Summaries(*columns)


def pieces(times_us: Int64s, most: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of parts of at most `most` readings, all but the last full.

    A part ends where the time changes, unless more than half of it would be of one
    time: equal times in one block let a repeat be found there.
    """
    start, count = 0, len(times_us)
    while count - start > most:
        stop = start + most
        at = int(np.searchsorted(times_us, times_us[stop]))
        # A long run of one time (a stuck clock) is cut all the same.
        if times_us[stop] == times_us[stop - 1] and at > start + most // 2:
            stop = at
        yield start, stop
        start = stop
    yield start, count


def halves(count: int, most: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of parts of about the same length, at most `most` each."""
    parts = -(-count // most)
    edges = [count * at // parts for at in range(parts + 1)]
    yield from zip(edges[:-1], edges[1:], strict=True)
