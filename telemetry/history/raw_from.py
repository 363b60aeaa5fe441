"""From when on each series' readings are kept one by one. Pure.

Before that moment the history holds summaries alone, into which no single reading
can be put any more: it is refused as `bad_time`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..protocol.limits import MIN_TIME_US
from .tick import Int32s, Int64s

Bools = npt.NDArray[np.bool_]


class RawFrom:
    """A moment (µs since the epoch) by series id, which only moves forward.

    Fed on one thread, which alone makes it grow; read on any. floor_us: the latest of
    them all, so that nearly every batch needs one comparison and no look at its series.
    """

    def __init__(self) -> None:
        self._from_us: Int64s = np.full(1024, MIN_TIME_US, np.int64)
        self.floor_us = MIN_TIME_US

    def move(self, series: int, from_us: int) -> None:
        """Readings of `series` before `from_us` are thinned out from now on."""
        if series >= len(self._from_us):
            self._grow(series)
        self._from_us[series] = max(from_us, int(self._from_us[series]))
        self.floor_us = max(from_us, self.floor_us)

    def move_all(self, rows: Sequence[tuple[int, int]]) -> None:
        """`move` for many (series id, µs), each series once."""
        if not rows:
            return
        series, from_us = np.array(rows, np.int64).T
        if int(series.max()) >= len(self._from_us):
            self._grow(int(series.max()))
        self._from_us[series] = np.maximum(self._from_us[series], from_us)
        self.floor_us = max(self.floor_us, int(from_us.max()))

    def floor_of(self, series_ids: Iterable[int]) -> int:
        """The earliest time that a reading of each of these series may have."""
        size = len(self._from_us)
        known = (int(self._from_us[each]) for each in series_ids if each < size)
        return max(known, default=MIN_TIME_US)

    def too_old(self, series: Int32s | Int64s, times_us: Int64s) -> Bools:
        """Which readings are before their series' moment; columns of one length."""
        if not len(times_us) or int(times_us.min()) >= self.floor_us:
            return np.zeros(len(times_us), np.bool_)
        from_us = self._from_us
        # Nobody has moved those beyond it, nor 0, which no series has.
        is_old: Bools = times_us < from_us[np.where(series < len(from_us), series, 0)]
        return is_old

    def _grow(self, series: int) -> None:
        size = len(self._from_us)
        more = np.full(max(size, series + 1 - size), MIN_TIME_US, np.int64)
        self._from_us = np.concatenate([self._from_us, more])
