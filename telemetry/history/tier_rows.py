"""The rows of a tier: readings summed up by 5 minutes, and rows put together. Pure.

A row never spans two buckets. Rows of one bucket that follow each other become one
exactly (`summary.merged`). Rows that overlap (late readings of a bucket that has
been thinned out before) become one with exact count, sum, minimum, maximum, first
and last; increase and integral are then as near as the rows can tell.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import summary
from .blocks import TIER_SECONDS
from .summary import MICRO, Summaries
from .tick import Floats, Int64s

BUCKET_US = TIER_SECONDS * 1_000_000

Indexes = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


def of_readings(times_us: Int64s, values: Floats) -> Summaries:
    """One row for each bucket that has readings. times_us: ascending."""
    return summary.of_readings(times_us, values, _starts(times_us))


def combined(parts: list[Summaries]) -> Summaries:
    """Rows of several parts in any order as rows by time, one a bucket."""
    rows = summary.joined(parts)
    # A single reading at the start of another row comes before it.
    order = np.lexsort((rows.last_us, rows.first_us))
    rows = chosen(rows, order)
    while (pairs := _overlapping(rows)).size:
        rows = _paired(rows, pairs)
    starts = _starts(rows.first_us)
    return rows if len(starts) == len(rows) else summary.merged(rows, starts)


def chosen(rows: Summaries, indexes: Indexes) -> Summaries:
    """Some rows, copied."""
    return Summaries(*(column[indexes] for column in rows.columns()))


def _starts(times_us: Int64s) -> Int64s:
    """Where a bucket begins: indexes, the first is 0."""
    if not len(times_us):
        return np.zeros(0, np.int64)
    is_start = np.ones(len(times_us), bool)
    buckets = times_us // BUCKET_US
    np.not_equal(buckets[1:], buckets[:-1], out=is_start[1:])
    return np.flatnonzero(is_start)


def _overlapping(rows: Summaries) -> Int64s:
    """Rows (by time) that overlap the next in their bucket, no two neighbours."""
    buckets = rows.first_us // BUCKET_US
    is_pair = (buckets[1:] == buckets[:-1]) & (rows.first_us[1:] < rows.last_us[:-1])
    pairs = np.flatnonzero(is_pair)
    if not len(pairs):
        return pairs
    # The first of each bucket; the others take their turn afterwards.
    is_first = np.ones(len(pairs), bool)
    is_first[1:] = buckets[pairs[1:]] != buckets[pairs[:-1]]
    return pairs[is_first]


def _paired(rows: Summaries, pairs: Int64s) -> Summaries:
    """The rows with each of `pairs` and the next as one."""
    laid = overlaid(chosen(rows, pairs), chosen(rows, pairs + 1))
    is_kept = np.ones(len(rows), bool)
    is_kept[pairs + 1] = False
    columns = [column.copy() for column in rows.columns()]
    for column, new in zip(columns, laid.columns(), strict=True):
        column[pairs] = new
    return chosen(Summaries(*columns), is_kept)


def overlaid(one: Summaries, other: Summaries) -> Summaries:
    """Each row of `one` and the row of `other` that begins within it, as one.

    The longer of the two says what happened in its span. Beyond it the other one
    counts: a counter by its value at the far end, the integral by the other's mean
    height.
    """
    # What overflows is the largest float: the database takes no NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        rows = _overlaid(one, other)
    for column in rows.columns():
        np.nan_to_num(column, copy=False)
    return rows


def _overlaid(one: Summaries, other: Summaries) -> Summaries:
    is_base = one.last_us - one.first_us >= other.last_us - other.first_us
    is_longer = other.last_us > one.last_us
    last = np.where(other.last_us >= one.last_us, other.last, one.last)
    beyond_us = np.maximum(other.last_us - one.last_us, 0)
    after = np.where(is_longer, summary.increases(one.last, other.last), 0.0)
    before = summary.increases(one.first, other.first)
    increase = np.where(is_base, one.increase + after, before + other.increase)
    integral = np.where(
        is_base,
        one.integral + _height(other) * (beyond_us * MICRO),
        _height(one) * ((other.first_us - one.first_us) * MICRO) + other.integral,
    )
    return Summaries(
        one.first_us,
        np.maximum(one.last_us, other.last_us),
        one.count + other.count,
        np.minimum(one.minimum, other.minimum),
        np.maximum(one.maximum, other.maximum),
        one.sum + other.sum,
        one.first,
        last,
        np.maximum(increase, np.maximum(one.increase, other.increase)),
        integral,
    )


def _height(rows: Summaries) -> Floats:
    """The integral over the time it is of; 0 where that is a moment."""
    seconds = (rows.last_us - rows.first_us) * MICRO
    height: Floats = np.divide(
        rows.integral, seconds, out=np.zeros(len(rows)), where=seconds > 0
    )
    return height
