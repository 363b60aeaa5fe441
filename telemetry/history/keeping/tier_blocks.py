"""Which blocks of a tier new rows belong to, and what becomes of those.

A row that overlaps a block goes into it. Rows between blocks, or after the last, are
merged with the blocks beside them if these are short (geometrically, as the sealer
does it), and else make blocks of their own. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from django.db.models import QuerySet
from django.db.models.functions import Length

from ... import counters
from .. import blocks, faults, tier_rows
from ..blocks import NewBlock
from ..lease import LeaseLost
from ..models import Block
from ..pack import Corrupt
from ..summary import Summaries
from ..tick import Floats, Int64s

# Rows of one block: two weeks.
CAP_ROWS = 4_096
# New rows are merged with the block beside them while it is less than so many times
# as long: each row is rewritten about log4(4,096 / new rows) times.
MERGE_FACTOR = 4
# What one transaction writes, at most: about 5 ms.
STEP_RUNS = 8
STEP_ROWS = 4 * CAP_ROWS
# How far beside new rows blocks to merge them with are looked for; merging leaves
# log4(4,096) short ones, and a damaged one may lie between.
NEIGHBOURS = 8


class Place(NamedTuple):
    """A block without its data."""

    id: int
    start_us: int
    end_us: int
    length: int
    count: int  # type: ignore[assignment]  # not the method of tuple
    bytes: int


@dataclass(slots=True)
class Change:
    """What becomes of some blocks of one series."""

    made: list[NewBlock] = field(default_factory=list)
    deleted: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """Neighbouring new rows (start ≤ index < stop), and the blocks they go into."""

    start: int
    stop: int
    first: int
    last: int


def of_series(series_id: int, resolution_seconds: int) -> QuerySet[Block]:
    """The blocks of a series, by time."""
    return Block.objects.filter(
        series_id=series_id, resolution_seconds=resolution_seconds
    ).order_by("start_us", "part")


def places_of(rows: QuerySet[Block]) -> list[Place]:
    """The places of some blocks, in their order."""
    columns = ("id", "start_us", "end_us", "length", "count", Length("data"))
    return [Place(*row) for row in rows.values_list(*columns)]


def with_data(places: Iterable[Place]) -> list[Block]:
    """The blocks of some places, in their order.

    Raises LeaseLost when one is gone, which only another holder can have caused.
    """
    ids = [place.id for place in places]
    found = Block.objects.in_bulk(ids)
    for block_id in ids:
        if block_id not in found:
            raise LeaseLost(f"another worker has written block {block_id} anew")
    return [found[block_id] for block_id in ids]


def tell_corrupt(block: Block, error: Corrupt) -> None:
    """Count a block that cannot be read, and keep a notice of it."""
    counters.CORRUPT_BLOCKS.inc()
    faults.note(
        block.series_id,
        block.resolution_seconds,
        block.start_us,
        block.end_us,
        str(error),
    )


def put(series_id: int, readings: tuple[Int64s, Floats]) -> tuple[Change, int]:
    """Blocks of the tier with the readings in them, and how many those are.

    The first readings, if all would be too many blocks for one transaction.
    """
    rows = tier_rows.of_readings(*readings)
    places = _around(series_id, int(rows.first_us[0]), int(rows.last_us[-1]))
    while True:
        runs = _runs(rows, places)
        stop = runs[-1].stop
        decoded, damaged = _decoded(
            [place for run in runs for place in places[run.first : run.last]]
        )
        if not damaged:
            break
        # What belongs to a damaged block goes beside it.
        places = [place for place in places if place.id not in damaged]
    change = Change()
    for run in runs:
        beside = places[run.first : run.last]
        parts = [decoded[place.id] for place in beside]
        joined = tier_rows.combined([*parts, rows.part(run.start, run.stop)])
        change.deleted += beside
        for start, end in blocks.halves(len(joined), CAP_ROWS):
            change.made.append(blocks.build_tier(series_id, joined.part(start, end)))
    return change, int(rows.count[:stop].sum())


def _around(series_id: int, first_us: int, last_us: int) -> list[Place]:
    """The blocks of the tier from `first_us` to `last_us`, and some on both sides."""
    rows = of_series(series_id, blocks.TIER_SECONDS)
    before = rows.filter(start_us__lte=first_us).reverse()[:NEIGHBOURS]
    within = rows.filter(start_us__gt=first_us, start_us__lte=last_us)
    after = rows.filter(start_us__gt=last_us)[:NEIGHBOURS]
    return [*reversed(places_of(before)), *places_of(within), *places_of(after)]


def _runs(rows: Summaries, places: Sequence[Place]) -> list[_Run]:
    """The rows in runs that belong to neighbouring blocks, as many as fit a step.

    A row that overlaps a block belongs to it; rows between blocks are merged with
    those beside them if these are short, and else make a block of their own.
    """
    starts = np.array([place.start_us for place in places], np.int64)
    ends = np.array([place.end_us for place in places], np.int64)
    # Running: beside a damaged block another may lie within its span.
    first = np.searchsorted(np.maximum.accumulate(ends), rows.first_us, "right")
    last = np.maximum(np.searchsorted(starts, rows.last_us, "left"), first)
    is_cut = (first[1:] != first[:-1]) | (last[1:] != last[:-1])
    edges = [0, *(np.flatnonzero(is_cut) + 1).tolist(), len(rows)]
    overlaps: list[_Run] = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        run = _Run(start, stop, int(first[start]), int(last[start]))
        before = overlaps[-1] if overlaps else None
        if before is not None and run.first < before.last:
            # One row lies on two blocks, of which each has others.
            before.stop, before.last = stop, max(before.last, run.last)
        else:
            overlaps.append(run)
    return _widened(overlaps, places)


def _widened(overlaps: Sequence[_Run], places: Sequence[Place]) -> list[_Run]:
    """The runs with the short blocks beside them, as many as fit a step."""
    runs: list[_Run] = []
    written = length = 0
    for at, run in enumerate(overlaps):
        own = places[run.first : run.last]
        more = run.stop - run.start + sum(place.length for place in own)
        if runs and written + more > STEP_ROWS:
            break
        if runs and runs[-1].last == run.first and length + more <= CAP_ROWS:
            # What is beside it is written anew in any case.
            written -= length
            length += more
            run = _Run(runs[-1].start, run.stop, runs.pop().first, run.last)
        else:
            length = more
        lowest = runs[-1].last if runs else 0
        highest = overlaps[at + 1].first if at + 1 < len(overlaps) else len(places)
        while run.first > lowest and _is_merged(places[run.first - 1], length):
            run.first -= 1
            length += places[run.first].length
        while run.last < highest and _is_merged(places[run.last], length):
            length += places[run.last].length
            run.last += 1
        runs.append(run)
        written += length
        if len(runs) >= STEP_RUNS:
            break
    return runs


def _is_merged(beside: Place, length: int) -> bool:
    is_short = beside.length < MERGE_FACTOR * length
    return is_short and beside.length + length <= CAP_ROWS


def _decoded(places: Sequence[Place]) -> tuple[dict[int, Summaries], set[int]]:
    """The rows of blocks by id, and the ids of those that cannot be read."""
    decoded: dict[int, Summaries] = {}
    damaged: set[int] = set()
    for block in with_data(places):
        try:
            decoded[block.id] = blocks.read_tier(block)
        except Corrupt as error:
            tell_corrupt(block, error)
            damaged.add(block.id)
    return decoded, damaged
