"""The sealer: readings leave the journal, sorted and compressed, into blocks.

A pass reads journal rows of all writers, sorts them by (series, time), drops exact
repeats, writes blocks, and then deletes the rows. Blocks are read and compressed
outside of transactions; each transaction is short and fenced by the lease. A pass
that ends anywhere is begun again: what its blocks hold already are exact repeats.

Marks and last values need no work here: a row is sealed only after its writer has
folded them into rows of their own (`watermarks.py`, docs/adr/0006).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db.models import Max, Sum

from . import faults, watermarks
from .filling import seal_slice
from .journal import decode_columns, highest_plausible_id, paged, tell_corrupt, to_us
from .keeping.removal import dead_series
from .lease import Held
from .models import Journal, Writer
from .pack import Corrupt
from .tick import Columns, Floats, Int32s, Int64s, sort_columns, without_repeats
from .writing import Pace, Writing

# What is sorted and compressed at once.
SLICE_READINGS = 65_536
SLICE_SERIES = 256
_FAR = np.iinfo(np.int64).max


class Share(NamedTuple):
    """Rows of one writer in a pass: after < number ≤ to."""

    writer: int
    after: int
    to: int
    readings: int


@dataclass(slots=True)
class Sealed:
    """What a pass has done so far."""

    readings: int = 0
    repeats: int = 0
    blocks: int = 0
    rows: int = 0


def unsealed(most_readings: int) -> list[Share]:
    """The rows for one pass: of each writer the oldest, and folded ones only.

    About `most_readings` in all, at least one row.
    """
    shares: list[Share] = []
    room = most_readings
    in_journal = Journal.objects.order_by("writer_id").values_list(
        "writer_id", flat=True
    )
    writers = Writer.objects.filter(id__in=list(in_journal.distinct()))
    for writer in writers.order_by("id"):
        if room <= 0:
            break
        share = _share(writer, room)
        if share is not None:
            shares.append(share)
            room -= share.readings
    return shares


def oldest_us() -> int:
    """When the oldest unsealed row came in, µs; far ahead if there is none."""
    writers = Journal.objects.order_by("writer_id").values_list("writer_id", flat=True)
    oldest = _FAR
    for writer in Writer.objects.filter(id__in=list(writers.distinct())):
        rows = Journal.objects.filter(writer_id=writer.id, number__gt=writer.sealed_to)
        first = rows.order_by("number").values_list("received_at", flat=True).first()
        if first is not None:
            oldest = min(oldest, to_us(first))
    return oldest


def _share(writer: Writer, room: int) -> Share | None:
    rows = Journal.objects.filter(
        writer_id=writer.id, number__gt=writer.sealed_to, number__lte=writer.folded_to
    )
    whole = rows.aggregate(readings=Sum("count"), to=Max("number"))
    if whole["to"] is None:
        return None
    if whole["readings"] <= room:
        return Share(writer.id, writer.sealed_to, whole["to"], whole["readings"])
    readings, to = 0, writer.sealed_to
    for number, count in rows.order_by("number").values_list("number", "count"):
        if readings and readings + count > room:
            break
        readings, to = readings + count, number
    return Share(writer.id, writer.sealed_to, to, readings)


def seal_steps(
    held: Held, most_readings: int, sealed: Sealed | None = None
) -> Generator[Sealed, None, None]:
    """One pass; each step has made one short transaction, or none.

    Yields its running totals (`sealed`). Raises LeaseLost, and DatabaseError when
    the database is away or full: the rows are in the journal still.
    """
    sealed = Sealed() if sealed is None else sealed
    shares = unsealed(most_readings)
    if not shares:
        return
    series, times_us, values, damaged = _load(shares)
    sealed.readings += len(series)
    writing = Writing(held)
    for columns in _slices(series, times_us, values):
        kept = without_repeats(columns)
        sealed.repeats += len(columns) - len(kept)
        for made in seal_slice(kept, writing):
            sealed.blocks += made
            yield sealed
    for deleted in _delete_rows(held, shares, damaged):
        sealed.rows += deleted
        yield sealed


def seal_pass(held: Held, most_readings: int) -> Sealed:
    """All steps of one pass; nothing to seal gives zeros."""
    sealed = Sealed()
    for _ in seal_steps(held, most_readings, sealed):
        pass
    return sealed


def fold_dead(held: Held, now_us: int, keep_sessions: int) -> None:
    """Fold for writers that died before they could, so that a pass takes them."""
    with_rows = set(Journal.objects.values_list("writer_id", flat=True).distinct())
    for writer in Writer.objects.filter(id__in=with_rows, ended_at=None):
        if watermarks.is_dead(writer, now_us):
            held.touch()
            watermarks.fold_for(writer, now_us, keep_sessions)


# --- the journal ----------------------------------------------------------------


def _load(
    shares: Sequence[Share],
) -> tuple[Int32s, Int64s, Floats, set[tuple[int, int]]]:
    """The readings of all shares in order of arrival, without those of dead series.

    The last are the damaged rows, which stay where they are.
    """
    most = sum(share.readings for share in shares)
    series, times_us = np.empty(most, np.int32), np.empty(most, np.int64)
    values = np.empty(most, np.float64)
    damaged: set[tuple[int, int]] = set()
    dead = np.array(sorted(dead_series()), np.int32)
    at = 0
    highest = highest_plausible_id()
    for writer, number, count, row in _rows(shares):
        try:
            columns = decode_columns(row, most_readings=count, highest_id=highest)
        except Corrupt as error:
            tell_corrupt(writer, number, error)
            # Where it is: its place in the journal, instead of times.
            faults.note(0, 0, writer, number, f"journal row {writer}/{number}: {error}")
            damaged.add((writer, number))
            continue
        if len(dead):
            is_alive = ~np.isin(columns[0], dead)
            columns = columns[0][is_alive], columns[1][is_alive], columns[2][is_alive]
        stop = at + len(columns[0])
        series[at:stop], times_us[at:stop], values[at:stop] = columns
        at = stop
    return series[:at], times_us[:at], values[:at], damaged


def _rows(shares: Sequence[Share]) -> Iterator[tuple[int, int, int, bytes]]:
    """(writer, number, count, columns), a few at once whatever their size."""
    for writer, after, to, _readings in shares:
        rows = Journal.objects.filter(
            writer_id=writer, number__gt=after, number__lte=to
        )
        for number, count, row in paged(rows, "count", "columns"):
            yield writer, number, count, bytes(row)


def _delete_rows(
    held: Held, shares: Sequence[Share], damaged: set[tuple[int, int]]
) -> Iterator[int]:
    """Delete what is in blocks now, and say so of the writer, a few rows at once."""
    for writer, after, to, _readings in shares:
        kept = [number for of, number in damaged if of == writer]
        pace = Pace(64)
        while after < to:
            stop = min(after + pace.count, to)
            rows = Journal.objects.filter(
                writer_id=writer, number__gt=after, number__lte=stop
            )
            with pace, held.transaction():
                deleted, _ = rows.exclude(number__in=kept).delete()
                Writer.objects.filter(id=writer).update(sealed_to=stop)
            after = stop
            yield deleted


def _slices(series: Int32s, times_us: Int64s, values: Floats) -> Iterator[Columns]:
    """The readings by (series, time), some series at once."""
    if not len(series):
        return
    counts = np.bincount(series)
    ids = np.flatnonzero(counts)
    # Small numbers are sorted in linear time.
    rank = np.zeros(len(counts), np.uint16 if len(ids) < 65_536 else np.int32)
    rank[ids] = np.arange(len(ids))
    order = np.argsort(rank[series], kind="stable")
    stops = np.cumsum(counts[ids])
    first = 0
    while first < len(ids):
        start = int(stops[first - 1]) if first else 0
        last = int(np.searchsorted(stops, start + SLICE_READINGS, side="right"))
        last = min(max(last, first + 1), first + SLICE_SERIES)
        chosen = order[start : int(stops[last - 1])]
        yield sort_columns(series[chosen], times_us[chosen], values[chosen])
        first = last
