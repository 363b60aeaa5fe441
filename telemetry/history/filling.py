"""Sealing's second half: a slice of readings becomes blocks, at their series' ends.

Later readings are merged with the last blocks while those are small; earlier ones go
in among the others one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db.models import Max

from . import blocks, faults, summary
from .blocks import NewBlock
from .late import insert_late
from .models import Block
from .pack import Corrupt, pack, unpack
from .tick import Columns, Floats, Int32s, Int64s, sort_columns
from .writing import Change, Writing

# A new part is merged with the block before it while that is less than so many
# times as long: each reading is rewritten about log4(16,384 / part) times.
MERGE_FACTOR = 4
_NEVER = np.iinfo(np.int64).min


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


def seal_slice(columns: Columns, writing: Writing) -> Iterator[int]:
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
