"""How far apart each series' readings come: the median of its last intervals. Pure.

A commit only leaves the time before of each series that it moved: two steps of numpy,
however many series. Once a second what has been left goes into ring buffers, indexed
by series id like all of `Heads`; medians are made when somebody asks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .tick import Columns, Int32s, Int64s

# Intervals that count; and how many it takes before they tell anything.
INTERVALS = 20
LEAST = 3
# How often what was noted is taken, in time of arrival.
TAKE_US = 1_000_000
NEVER = np.iinfo(np.int64).min
# Missed periods before something is late, and the least: those of devices/status.py.
LATE_PERIODS = 3
LATE_US = 5_000_000
# What a young process holds, in series: 100 bytes each.
_FIRST = 1024

Series = Int32s | Int64s


class Intervals:
    """Used by `Heads` alone, on its thread. `grow` comes before a new series.

    An interval is single precision: seven digits of a duration are plenty.
    """

    def __init__(self) -> None:
        # The time of the reading before the last, of those that moved.
        self._before_us: Int64s = np.full(_FIRST, NEVER, np.int64)
        self._due_us = NEVER
        # Empty places sort to the end.
        self._ring = np.full((_FIRST, INTERVALS), np.inf, np.float32)
        self._written = np.zeros(_FIRST, np.uint32)
        # The last medians, and what had been written by then.
        self._periods_us: Int64s = np.zeros(_FIRST, np.int64)
        self._written_then = np.zeros(_FIRST, np.uint32)

    def note(self, series: Series | int, before_us: Int64s | int) -> None:
        """Some series are about to move on from these times, each once.

        Where several readings come at once it is the last of them that moves on, from
        where one before it would be.
        """
        self._before_us[series] = before_us

    def take(self, times_us: Int64s, now_us: int, *, must: bool = False) -> None:
        """Take what was noted, if a second has passed, or it must be.

        times_us: of the last reading of each series, by id. One interval a series:
        of many in a second the last stands for all.
        """
        if now_us < self._due_us and not must:
            return
        self._due_us = now_us + TAKE_US
        moved = np.flatnonzero(self._before_us != times_us)
        intervals_us = times_us[moved] - self._before_us[moved]
        self._before_us[moved] = times_us[moved]
        # The first of a series overflows, and so is below 0 as well.
        is_good = intervals_us > 0
        self._write(moved[is_good], intervals_us[is_good])

    def _write(self, series: Series, intervals_us: Int64s) -> None:
        written = self._written[series]
        self._ring[series, written % INTERVALS] = intervals_us
        self._written[series] = written + 1

    def suppose(self, series: Series, periods_us: Int64s) -> None:
        """Take over what another process knows, or this one knew in an earlier life.

        It counts like as many intervals as the ring holds: new ones tell more only
        when they are the most.
        """
        self._ring[series] = periods_us[:, None]
        self._written[series] += INTERVALS
        self._written_then[series] = self._written[series]
        self._periods_us[series] = periods_us

    def is_known(self, series: int) -> bool:
        """Whether the series has any interval."""
        return bool(self._written[series])

    def periods_us(self, series: Series) -> Int64s:
        """The median interval of each of `series`, 0: not known yet."""
        is_old = self._written[series] != self._written_then[series]
        if is_old.any():
            self._settle(series[is_old])
        return self._periods_us[series]

    def grow(self, size: int) -> None:
        """Make room for series with ids below `size`."""
        more = size - len(self._written)
        if more <= 0:
            return
        never = np.full(more, NEVER, np.int64)
        self._before_us = np.concatenate([self._before_us, never])
        empty = np.full((more, INTERVALS), np.inf, np.float32)
        self._ring = np.concatenate([self._ring, empty])
        zeros = np.zeros(more, np.uint32)
        self._written = np.concatenate([self._written, zeros])
        self._written_then = np.concatenate([self._written_then, zeros])
        unknown = np.zeros(more, np.int64)
        self._periods_us = np.concatenate([self._periods_us, unknown])

    def _settle(self, series: Series) -> None:
        written = self._written[series]
        count = np.minimum(written, INTERVALS).astype(np.intp)
        ordered: npt.NDArray[np.float32] = np.sort(self._ring[series], axis=1)
        rows = np.arange(len(series))
        is_told = count >= LEAST
        low = ordered[rows, (count - 1) // 2].astype(np.float64)
        high = ordered[rows, count // 2]
        medians = np.where(is_told, (low + high) / 2, 0.0)
        # Known, and yet nothing, there is not.
        self._periods_us[series] = np.maximum(np.rint(medians), is_told)
        self._written_then[series] = written


def usual_intervals_us(columns: Columns, series: Int32s) -> Int64s:
    """The median of the last intervals of each of `series` in readings that come as a
    whole, as a file's do; 0: too few of them to tell.
    """
    counts = columns.counts
    found: Int64s = np.zeros(len(series), np.int64)
    for place, at in enumerate(np.searchsorted(columns.ids, series).tolist()):
        start = int(columns.starts[at])
        end = start + int(counts[at])
        apart_us = np.diff(columns.times_us[max(start, end - INTERVALS - 1) : end])
        apart_us = apart_us[apart_us > 0]
        if len(apart_us) >= LEAST:
            found[place] = round(float(np.median(apart_us)))
    return found


def device_periods_us(
    periods_us: Int64s, lasts_us: Int64s, device_of: Int32s, devices: int
) -> Int64s:
    """How often each device is expected to send: as its fastest series; 0: not known.

    Of each series: its period, the time of its last reading, its device's place. A
    series that has stopped while others of its device go on counts no more.
    """
    newest_us = np.zeros(devices, np.int64)
    np.maximum.at(newest_us, device_of, lasts_us)
    patience_us = np.maximum(LATE_PERIODS * periods_us, LATE_US)
    counts = (periods_us > 0) & (newest_us[device_of] - lasts_us <= patience_us)
    unknown = np.iinfo(np.int64).max
    fastest_us = np.full(devices, unknown, np.int64)
    np.minimum.at(fastest_us, device_of[counts], periods_us[counts])
    fastest_us[fastest_us == unknown] = 0
    return fastest_us
