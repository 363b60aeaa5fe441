"""What is known of some neighbouring readings without the readings. Pure.

A summary is count, minimum, maximum, sum, first, last, the times of those two,
increase and integral. Summaries of neighbours merge exactly, in any grouping (sums
of floats but for the last bits), so that blocks, rows of a tier and buckets of a
chart are all the same thing, wider and wider.

*increase* is that of a counter: a step down is a reset, after which the counter has
grown from 0 to what it shows. *integral* is value times seconds, from the first
reading to the last, each value held until the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .tick import Floats, Int64s

MICRO = 1e-6


Row = tuple[int, int, int, float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Summaries:
    """Columns of summaries of one series, by time; times in µs since the epoch."""

    first_us: Int64s
    last_us: Int64s
    count: Int64s
    minimum: Floats
    maximum: Floats
    sum: Floats
    first: Floats
    last: Floats
    increase: Floats
    integral: Floats

    def __len__(self) -> int:
        return len(self.count)

    @property
    def mean(self) -> Floats:
        """The means of the readings."""
        mean: Floats = self.sum / self.count
        return mean

    def columns(self) -> list[npt.NDArray[Any]]:
        """The columns in order of their fields."""
        return [getattr(self, name) for name in NAMES]

    def rows(self) -> Iterator[Row]:
        """Each as a tuple, in order of the fields."""
        return zip(*(column.tolist() for column in self.columns()), strict=True)

    def part(self, start: int | None, stop: int | None) -> Summaries:
        """Some neighbouring ones, without a copy."""
        return Summaries(*(column[start:stop] for column in self.columns()))


NAMES = tuple(field.name for field in fields(Summaries))
INTEGERS = ("first_us", "last_us", "count")
DTYPES: list[type[np.int64] | type[np.float64]] = [
    np.int64 if name in INTEGERS else np.float64 for name in NAMES
]
_NO_COLUMNS: list[npt.NDArray[Any]] = [np.zeros(0, dtype) for dtype in DTYPES]
NONE = Summaries(*_NO_COLUMNS)


def of_readings(
    times_us: Int64s,
    values: Floats,
    starts: Int64s,
    with_area: bool = True,
    work: Floats | None = None,
) -> Summaries:
    """A summary of the readings from each of `starts` (indexes) to the next.

    times_us: ascending. starts: ascending, each once, the first is 0; empty for no
    readings. with_area: False leaves increase and integral NaN, in a third of the
    time. work: an array as long as the readings, which is overwritten; new memory
    takes longer than the arithmetic. What overflows is the largest float: each
    column can be stored.
    """
    if not len(starts):
        return NONE
    lasts = np.append(starts[1:], len(values)) - 1
    with np.errstate(over="ignore", invalid="ignore"):
        sums = _finite(np.add.reduceat(values, starts))
        if with_area:
            work = np.empty(len(values)) if work is None else work
            increase = _increase(values, starts, lasts, work)
            integral = _integral(times_us, values, starts, lasts, work)
        else:
            increase = np.full(len(starts), np.nan)
            integral = increase
    return Summaries(
        times_us[starts],
        times_us[lasts],
        lasts + 1 - starts,
        np.minimum.reduceat(values, starts),
        np.maximum.reduceat(values, starts),
        sums,
        values[starts],
        values[lasts],
        increase,
        integral,
    )


def _increase(values: Floats, starts: Int64s, lasts: Int64s, work: Floats) -> Floats:
    """How much a counter has grown within each part."""
    # From the first to the last, and what each reset took away comes on top.
    before = values[:-1]
    np.multiply(before, values[1:] < before, out=work[:-1])
    work[lasts] = 0.0
    return _finite(values[lasts] - values[starts] + np.add.reduceat(work, starts))


def _integral(
    times_us: Int64s, values: Floats, starts: Int64s, lasts: Int64s, work: Floats
) -> Floats:
    """Value times seconds within each part."""
    np.subtract(times_us[1:], times_us[:-1], out=work[:-1])
    work[lasts] = 0.0
    work *= MICRO
    work *= values
    return _finite(np.add.reduceat(work, starts))


def _finite(column: Floats) -> Floats:
    """What overflowed as the largest float: a database takes no NaN."""
    return np.nan_to_num(column, copy=False)


def merged(rows: Summaries, starts: Int64s) -> Summaries:
    """The summaries from each of `starts` (indexes) to the next as one.

    rows: by time, none overlapping the next. starts: as for `of_readings`.
    """
    if not len(starts):
        return NONE
    lasts = np.append(starts[1:], len(rows)) - 1
    is_inner = np.ones(len(rows), bool)
    is_inner[lasts] = False
    steps = rows.increase.copy()
    areas = rows.integral.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        between_us = rows.first_us[1:] - rows.last_us[:-1]
        joins = increases(rows.last[:-1], rows.first[1:])
        held = rows.last[:-1] * (between_us * MICRO)
        steps[:-1] += np.where(is_inner[:-1], joins, 0.0)
        areas[:-1] += np.where(is_inner[:-1], held, 0.0)
        sums, increase, integral = (
            _finite(np.add.reduceat(column, starts))
            for column in (rows.sum, steps, areas)
        )
    return Summaries(
        rows.first_us[starts],
        rows.last_us[lasts],
        np.add.reduceat(rows.count, starts),
        np.minimum.reduceat(rows.minimum, starts),
        np.maximum.reduceat(rows.maximum, starts),
        sums,
        rows.first[starts],
        rows.last[lasts],
        increase,
        integral,
    )


def joined(parts: list[Summaries]) -> Summaries:
    """Parts one after another."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return NONE
    columns = zip(*(part.columns() for part in parts), strict=True)
    return Summaries(*(np.concatenate(column) for column in columns))


def of_all(times_us: Int64s, values: Floats) -> Summaries:
    """One summary of all readings, of which there is at least one."""
    return of_readings(times_us, values, np.zeros(1, np.int64))


def increases(before: Floats, after: Floats) -> Floats:
    """How much a counter has grown from each value to the one after it."""
    grown: Floats = np.where(after >= before, after - before, after)
    return grown
