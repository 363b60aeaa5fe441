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

from . import blocks, faults, summary, watermarks
from .blocks import NewBlock
from .journal import decode_columns, highest_plausible_id, paged, tell_corrupt, to_us
from .keeping.removal import dead_series
from .late import insert_late
from .lease import Held
from .models import Block, Journal, Writer
from .pack import Corrupt, pack, unpack
from .tick import Columns, Floats, Int32s, Int64s, sort_columns, without_repeats
from .writing import Change, Pace, Writing

# What is sorted and compressed at once.
SLICE_READINGS = 65_536
SLICE_SERIES = 256
# A new part is merged with the block before it while that is less than so many
# times as long: each reading is rewritten about log4(16,384 / part) times.
MERGE_FACTOR = 4
_NEVER = np.iinfo(np.int64).min
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


class Open(NamedTuple):
    """A block at the end of its series, which new readings may be merged into."""

    series: int
    id: int
    start_us: int
    part: int
    end_us: int
    length: int


@dataclass(slots=True)
class Output:
    """A block to be: readings from `start` to `stop` of the slice's arrays."""

    series: int
    part: int
    is_open: bool
    start: int
    stop: int


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
        for made in _seal_slice(kept, writing):
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


# --- blocks ---------------------------------------------------------------------


def _seal_slice(columns: Columns, writing: Writing) -> Iterator[int]:
    """Put some series' readings into blocks; yields how many a step has made."""
    found = _open_blocks(columns.ids)
    ends = {series: max(one.end_us for one in some) for series, some in found.items()}
    # Retention may leave a closed block as the last one.
    ends |= _last_ends([one for one in columns.ids.tolist() if one not in ends])
    ends_us = np.array(
        [ends.get(series, _NEVER) for series in columns.ids.tolist()], np.int64
    )
    is_late = columns.times_us <= np.repeat(ends_us, columns.counts)
    if is_late.any():
        late = _part(columns, is_late)
        yield from _insert(late, writing)
        found.update(_open_blocks(late.ids))
        columns = _part(columns, ~is_late)
    changes = _append(columns, found)
    yield from writing.write(changes)


def _last_ends(ids: Sequence[int]) -> dict[int, int]:
    """Where the raw readings of series end that have no open block."""
    rows = Block.objects.filter(series_id__in=ids, resolution_seconds=blocks.RAW)
    last = rows.order_by().values("series_id").annotate(end_us=Max("end_us"))
    return dict(last.values_list("series_id", "end_us")) if ids else {}


def _part(columns: Columns, is_in: np.ndarray) -> Columns:
    return sort_columns(
        columns.series[is_in], columns.times_us[is_in], columns.values[is_in]
    )


def _open_blocks(ids: Int32s) -> dict[int, list[Open]]:
    rows = (
        Block.objects.filter(
            series_id__in=ids.tolist(), resolution_seconds=blocks.RAW, is_open=True
        )
        .order_by("series_id", "start_us", "part")
        .values_list("series_id", "id", "start_us", "part", "end_us", "length")
    )
    found: dict[int, list[Open]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Open(*row))
    return found


def _insert(late: Columns, writing: Writing) -> Iterator[int]:
    """Readings that are not after all of their series' blocks: one by one."""
    for at, series in enumerate(late.ids.tolist()):
        start = int(late.starts[at])
        stop = start + int(late.counts[at])
        insertions = insert_late(
            series, late.times_us[start:stop], late.values[start:stop]
        )
        for insertion in insertions:
            yield from writing.write([Change(insertion.made, insertion.deleted, [])])


def _append(columns: Columns, found: dict[int, list[Open]]) -> list[Change]:
    """What becomes of the series' blocks, with readings later than all of them."""
    counts = columns.counts.tolist()
    merged = {
        series: _mergeable(found.get(series, ()), count)
        for series, count in zip(columns.ids.tolist(), counts, strict=True)
    }
    decoded = _decoded([block for some in merged.values() for block in some])
    times: list[Int64s] = []
    values: list[Floats] = []
    outputs: list[list[Output]] = []
    changes: list[Change] = []
    at = 0
    for series, start, count in zip(
        columns.ids.tolist(), columns.starts.tolist(), counts, strict=True
    ):
        # After a damaged one nothing is merged with what is before it.
        some = merged[series]
        while some and not all(block.id in decoded for block in some):
            some = some[1:]
        parts = [decoded[block.id] for block in some]
        parts.append(
            (
                columns.times_us[start : start + count],
                columns.values[start : start + count],
            )
        )
        own = _outputs(series, parts, some[0] if some else None, at)
        at = own[-1].stop
        times += [part[0] for part in parts]
        values += [part[1] for part in parts]
        outputs.append(own)
        deleted = [block.id for block in some]
        has_full = len(own) > 1 or own[0].stop - own[0].start >= blocks.CAP
        # What comes before a full block is never merged any more.
        closed = [
            block.id
            for block in found.get(series, ())
            if has_full and block.id not in deleted
        ]
        changes.append(Change([], deleted, closed))
    _build(outputs, changes, times, values)
    return changes


def _mergeable(found: Sequence[Open], count: int) -> list[Open]:
    """Those at the end that become one with a new part of `count` readings."""
    length, first = count, len(found)
    while first:
        before = found[first - 1].length
        if before >= blocks.CAP or before >= MERGE_FACTOR * length:
            break
        length += before
        first -= 1
        if length > blocks.CAP:
            break
    return list(found[first:])


def _decoded(found: Sequence[Open]) -> dict[int, tuple[Int64s, Floats]]:
    """The readings of blocks by id, without the damaged ones."""
    by_id = {block.id: block for block in found}
    rows = Block.objects.filter(id__in=list(by_id)).values_list("id", "data")
    decoded: dict[int, tuple[Int64s, Floats]] = {}
    for block_id, data in rows:
        block = by_id[block_id]
        try:
            decoded[block_id] = unpack(bytes(data), block.length)
        except Corrupt as error:
            faults.note(
                block.series, blocks.RAW, block.start_us, block.end_us, str(error)
            )
    return decoded


def _outputs(
    series: int, parts: list[tuple[Int64s, Floats]], first: Open | None, at: int
) -> list[Output]:
    """The blocks that parts, one after another, make; `at`: where they begin."""
    count = sum(len(part[0]) for part in parts)
    part = first.part if first is not None else 0
    if count <= blocks.CAP:
        return [Output(series, part, True, at, at + count)]
    times_us = np.concatenate([times for times, _ in parts])
    outputs: list[Output] = []
    for start, stop in blocks.pieces(times_us, blocks.CAP):
        if outputs:
            is_same = times_us[start] == times_us[outputs[-1].start - at]
            part = part + 1 if is_same else 0
            outputs[-1].is_open = False
        outputs.append(Output(series, part, True, at + start, at + stop))
    return outputs


def _build(
    outputs: list[list[Output]],
    changes: list[Change],
    times: list[Int64s],
    values: list[Floats],
) -> None:
    """Make the blocks of `outputs`: their summaries all at once."""
    if not outputs:
        return
    all_times, all_values = np.concatenate(times), np.concatenate(values)
    flat = [output for own in outputs for output in own]
    starts = np.array([output.start for output in flat], np.int64)
    summaries = summary.of_readings(all_times, all_values, starts)
    rows = summaries.rows()
    for own, change in zip(outputs, changes, strict=True):
        for output in own:
            part = slice(output.start, output.stop)
            change.made.append(
                NewBlock(
                    output.series,
                    blocks.RAW,
                    output.part,
                    output.stop - output.start,
                    output.is_open,
                    pack(all_times[part], all_values[part]),
                    *next(rows),
                )
            )
