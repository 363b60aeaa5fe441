"""Columns of readings, in order and summed up: what one commit changed. Pure.

Columns are three arrays of one length: series (int32), time (int64, µs UTC) and
value (float64), in order of arrival.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Readings by (series, time), equal times in order of arrival.

    `starts[i]` is where the readings of `ids[i]` begin.
    """

    series: Int32s
    times_us: Int64s
    values: Floats
    ids: Int32s
    starts: Int64s

    def __len__(self) -> int:
        return len(self.series)

    @property
    def counts(self) -> Int64s:
        """Readings of each of `ids`."""
        return np.diff(self.starts, append=len(self.series))

    def of(self, series: int, from_us: int, to_us: int) -> tuple[Int64s, Floats]:
        """Times and values of one series with from ≤ time < to."""
        at = int(np.searchsorted(self.ids, series))
        if at == len(self.ids) or self.ids[at] != series:
            return self.times_us[:0], self.values[:0]
        start = int(self.starts[at])
        stop = int(self.starts[at + 1]) if at + 1 < len(self.ids) else len(self)
        times = self.times_us[start:stop]
        low, high = np.searchsorted(times, [from_us, to_us])
        return times[low:high], self.values[start + low : start + high]


def sort_columns(series: Int32s, times_us: Int64s, values: Floats) -> Columns:
    """Sort readings by (series, time); the sort is stable, so arrival breaks ties."""
    order = np.lexsort((times_us, series))
    ordered = series[order]
    is_first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    return Columns(ordered, times_us[order], values[order], ordered[starts], starts)


def without_repeats(columns: Columns) -> Columns:
    """The columns without exact repeats; of equal readings the first is kept.

    A reading is (series, time, value), bit for bit: 0.0 and −0.0 are two.
    """
    series, times_us = columns.series, columns.times_us
    is_same_time = (times_us[1:] == times_us[:-1]) & (series[1:] == series[:-1])
    if not is_same_time.any():
        return columns
    is_repeat = repeats(times_us, columns.values, series)
    kept = ~is_repeat
    return sort_columns(series[kept], times_us[kept], columns.values[kept])


def repeats(
    times_us: Int64s, values: Floats, series: Int32s | None = None
) -> npt.NDArray[np.bool_]:
    """Which readings repeat an earlier one exactly. Of one series, or several."""
    bits = np.ascontiguousarray(values).view(np.int64)
    keys: list[npt.NDArray[Any]] = [bits, times_us]
    if series is not None:
        keys.append(series)
    order = np.lexsort(keys)
    is_same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        is_same &= key[order[1:]] == key[order[:-1]]
    is_repeat = np.zeros(len(order), dtype=bool)
    is_repeat[order[1:]] = is_same
    return is_repeat


NO_READINGS = sort_columns(
    np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float64)
)


@dataclass(frozen=True, slots=True)
class Tick:
    """What one commit changed, per series; feeds acks, live frames and alerts.

    The arrays have one entry a series, ascending, and cover the readings that are
    not older than what the series had before; `texts` is the newest of each series of
    kind text: (series, time, text). `late` are ranges in which older ones
    came in: (series, from, to), µs, both included.
    """

    writer: int
    number: int
    received_us: int
    series: Int32s
    times_us: Int64s
    last: Floats
    minimum: Floats
    maximum: Floats
    counts: Int64s
    late: list[tuple[int, int, int]] = field(default_factory=list)
    texts: list[tuple[int, int, str]] = field(default_factory=list)
