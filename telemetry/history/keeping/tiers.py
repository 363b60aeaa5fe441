"""Thinning out: raw readings become the rows of a tier, one for each 5 minutes.

A step takes some neighbouring raw blocks of a series. Their readings are read and
summed up outside of transactions; then the rows are written, the raw blocks are
deleted and `SeriesHead.raw_from_us` is moved, all in one transaction that the lease
fences. A step that ends anywhere else has changed nothing, and is made again.

Rows are appended to the series' last block of the tier. What is older than that
(late readings, imports) goes to the rows of its time: count, sum, minimum, maximum,
first and last stay exact, increase and integral as near as rows can tell
(`tier_rows.py`). A reading that comes once more after its bucket was thinned out
counts again: nobody can tell any more.

A block that cannot be read stays where it is, with a notice (`faults.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db import DataError, IntegrityError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Least, Length

from .. import blocks, faults
from ..lease import Held
from ..models import Block, SeriesHead
from ..pack import Corrupt
from ..tick import Floats, Int64s, repeats
from ..tier_rows import BUCKET_US
from .tier_blocks import (
    Change,
    Place,
    of_series,
    places_of,
    put,
    tell_corrupt,
    with_data,
)

# What one transaction deletes, at most.
STEP_BLOCKS = 8
STEP_READINGS = 65_536
# What a row of 5 minutes takes, measured at 1 Hz with two decimals.
ROW_BYTES = 11


@dataclass(slots=True)
class Step:
    """What one step has done."""

    blocks: int = 0
    readings: int = 0
    # Of the blocks' data: bytes that went, less those that came.
    freed_bytes: int = 0
    # Blocks that could not be read or thinned out: leave them alone.
    damaged: list[int] = field(default_factory=list)


# Of blocks `with_sizes`: whether they would take less room as rows. Those of slow
# series, where few readings share a row, would not.
IS_SMALLER_AS_ROWS = Q(size__gt=F("made") * ROW_BYTES)


def with_sizes(rows: QuerySet[Block]) -> QuerySet[Block]:
    """Raw blocks, each with its `size` in bytes and how many rows would be `made`."""
    buckets = (F("end_us") - F("start_us")) / BUCKET_US + 1
    return rows.annotate(size=Length("data"), made=Least(F("length"), buckets))


def due(series_id: int, before_us: int, skipped: Collection[int] = ()) -> list[Place]:
    """The oldest raw blocks that end before `before_us`, enough for a step.

    Those that would take more room as rows stay as they are.
    """
    rows = with_sizes(of_series(series_id, blocks.RAW)).filter(
        IS_SMALLER_AS_ROWS, start_us__lt=before_us, end_us__lt=before_us
    )
    if skipped:
        rows = rows.exclude(id__in=list(skipped))
    found: list[Place] = []
    readings = 0
    for place in places_of(rows[:STEP_BLOCKS]):
        readings += place.length
        if found and readings > STEP_READINGS:
            break
        found.append(place)
    return found


def thin_out(
    held: Held, series_id: int, before_us: int, skipped: Collection[int] = ()
) -> Step | None:
    """One step: some of a series' raw blocks that end before a time become rows.

    skipped: ids of blocks that are to be left alone. None: there are no others.
    Raises LeaseLost, and DatabaseError when the database is away or full.
    """
    places = due(series_id, before_us, skipped)
    return _thin_out(held, series_id, places) if places else None


def _thin_out(held: Held, series_id: int, places: Sequence[Place]) -> Step:
    step = Step()
    raw, readings = _readable(series_id, places, step)
    if not raw:
        return step
    change, placed = put(series_id, readings)
    rest = readings[0][placed:], readings[1][placed:]
    until_us = int(readings[0][placed - 1]) + 1
    if len(rest[0]):
        for start, stop in blocks.halves(len(rest[0]), blocks.CAP):
            part = rest[0][start:stop], rest[1][start:stop]
            change.made.append(blocks.build(series_id, *part))
    change.deleted += raw
    try:
        step.freed_bytes = _write(held, series_id, change, until_us)
    except (DataError, IntegrityError) as error:
        return _set_aside(held, series_id, raw, step, error)
    step.blocks, step.readings = len(raw), placed
    return step


def _set_aside(
    held: Held, series_id: int, raw: Sequence[Place], step: Step, error: Exception
) -> Step:
    """What the database refuses stays raw, with a notice, and stops nothing else."""
    if len(raw) == 1:
        (place,) = raw
        reason = f"expected rows of 5 minutes, got {error}"
        faults.note(series_id, blocks.RAW, place.start_us, place.end_us, reason)
        step.damaged.append(place.id)
        return step
    for place in raw:
        one = _thin_out(held, series_id, [place])
        step.blocks += one.blocks
        step.readings += one.readings
        step.freed_bytes += one.freed_bytes
        step.damaged += one.damaged
    return step


# --- reading --------------------------------------------------------------------


def _readable(
    series_id: int, places: Sequence[Place], step: Step
) -> tuple[list[Place], tuple[Int64s, Floats]]:
    """The blocks that can be read, and their readings by time, each once."""
    found: list[Place] = []
    times: list[Int64s] = [np.zeros(0, np.int64)]
    values: list[Floats] = [np.zeros(0, np.float64)]
    for place, row in zip(places, with_data(places), strict=True):
        try:
            block_times, block_values = blocks.read(row)
        except Corrupt as error:
            tell_corrupt(row, error)
            step.damaged.append(place.id)
            continue
        found.append(place)
        times.append(block_times)
        values.append(block_values)
    return found, _by_time(np.concatenate(times), np.concatenate(values))


def _by_time(times_us: Int64s, values: Floats) -> tuple[Int64s, Floats]:
    """Blocks may overlap where one could not be read when a reading came again."""
    if (times_us[1:] > times_us[:-1]).all():
        return times_us, values
    order = np.argsort(times_us, kind="stable")
    times_us, values = times_us[order], values[order]
    is_new = ~repeats(times_us, values)
    return times_us[is_new], values[is_new]


# --- writing ----------------------------------------------------------------------


def _write(held: Held, series_id: int, change: Change, until_us: int) -> int:
    """The one transaction of a step; how many bytes of data it has freed.

    until_us: readings before this are thinned out. A series without a head (its
    writer has not folded yet) gets none here: the next step moves its `raw_from_us`.
    """
    freed = sum(place.bytes for place in change.deleted)
    freed -= sum(len(block.data) for block in change.made)
    heads = SeriesHead.objects.filter(series_id=series_id)
    is_before = Q(raw_from_us=None) | Q(raw_from_us__lt=until_us)
    with held.transaction():
        replace(change)
        heads.filter(is_before).update(raw_from_us=until_us)
    return freed


def replace(change: Change) -> None:
    """Delete and make blocks of a series, inside the caller's transaction."""
    Block.objects.filter(id__in=[place.id for place in change.deleted]).delete()
    blocks.insert(blocks.with_free_parts(change.made))
