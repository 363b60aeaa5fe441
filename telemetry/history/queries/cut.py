"""Readings and rows of one series, page by page, into buckets. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import summary, tier_rows
from ..summary import Summaries
from ..tick import Floats, Int64s
from ..tier_rows import BUCKET_US


def edges_of(from_us: int, to_us: int, width_us: int) -> Int64s:
    """The edges of the buckets that hold from ≤ time < to, aligned to the epoch."""
    first_us = from_us // width_us * width_us
    edges_us: Int64s = np.arange(first_us, to_us + width_us, width_us, dtype=np.int64)
    return edges_us


def outward(from_us: int, to_us: int) -> tuple[int, int]:
    """The range widened to whole rows of a tier."""
    return from_us // BUCKET_US * BUCKET_US, -(-to_us // BUCKET_US) * BUCKET_US


class Scratch:
    """Room for one page after the other: new memory takes longer than what is done
    in it. One for each thread."""

    def __init__(self) -> None:
        self._times_us: Int64s = np.zeros(0, np.int64)
        self._values: Floats = np.zeros(0)
        self._work: Floats = np.zeros(0)

    def page(self, readings: int) -> tuple[Int64s, Floats]:
        """Times and values, to be set and used before the next page."""
        if len(self._times_us) < readings:
            self._times_us = np.empty(readings, np.int64)
            self._values = np.empty(readings)
        return self._times_us[:readings], self._values[:readings]

    def work(self, readings: int) -> Floats:
        """One more column."""
        if len(self._work) < readings:
            self._work = np.empty(readings)
        return self._work[:readings]


class Cut:
    """Sums up what it is given between the edges; pages come by time.

    edges_us: ascending; all that is given lies between the first and the last.
    """

    def __init__(
        self, edges_us: Int64s, with_area: bool = True, scratch: Scratch | None = None
    ) -> None:
        self._scratch = scratch or Scratch()
        self._edges_us = edges_us
        self._with_area = with_area
        self._slots: list[Int64s] = []
        self._rows: list[Summaries] = []

    def add_readings(self, times_us: Int64s, values: Floats) -> None:
        """Readings after all that was given before; times ascending."""
        if not len(times_us):
            return
        edges_us = self._edges_us
        ends = [int(times_us[0]), int(times_us[-1])]
        low, high = np.searchsorted(edges_us, ends, "right").tolist()
        # Where a bucket begins, by its edge: a search a bucket, not one a reading.
        cuts = np.searchsorted(times_us, edges_us[low:high])
        starts = np.concatenate([np.zeros(1, np.int64), cuts])
        filled = np.flatnonzero(np.diff(starts, append=len(times_us)))
        self._slots.append(low - 1 + filled)
        work = self._scratch.work(len(values))
        self._rows.append(
            summary.of_readings(times_us, values, starts[filled], self._with_area, work)
        )

    def add_rows(self, rows: Summaries) -> None:
        """Rows after all that was given before, none overlapping the next.

        A row that spans buckets counts where it begins.
        """
        slots = np.searchsorted(self._edges_us, rows.first_us, "right") - 1
        starts = _firsts(slots)
        self._slots.append(slots[starts])
        self._rows.append(summary.merged(rows, starts))

    def forget_from(self, begins_us: int) -> int:
        """Forget all buckets that do not end before `begins_us`; where they begin."""
        slot = int(np.searchsorted(self._edges_us, begins_us, "right")) - 1
        slots, rows = self._all()
        stop = int(np.searchsorted(slots, slot))
        self._slots, self._rows = [slots[:stop]], [rows.part(0, stop)]
        return int(self._edges_us[slot])

    def buckets(self) -> tuple[Int64s, Int64s, Summaries]:
        """Of each bucket that holds anything: its two edges and its summary."""
        slots, rows = self._all()
        if not self._with_area:
            unknown = np.full(len(rows), np.nan)
            rows = replace(rows, increase=unknown, integral=unknown)
        return self._edges_us[slots], self._edges_us[slots + 1], rows

    def _all(self) -> tuple[Int64s, Summaries]:
        if not self._rows:
            return np.zeros(0, np.int64), summary.NONE
        slots, rows = np.concatenate(self._slots), summary.joined(self._rows)
        starts = _firsts(slots)
        if len(starts) < len(slots):
            slots, rows = slots[starts], summary.merged(rows, starts)
        return slots, rows


class TierCut:
    """Puts the rows of a tier before the raw readings that follow them.

    Readings may lie among the rows (late ones, that the next step puts into the
    tier): these become rows of the same width first. early_us: no reading lies
    before. border_us: no row lies at it or later.
    """

    def __init__(self, cut: Cut, early_us: int, border_us: int) -> None:
        self._cut = cut
        self._early_us = early_us // BUCKET_US * BUCKET_US
        self._border_us = border_us
        self._held: list[Summaries] = []

    def add_rows(self, rows: Summaries) -> None:
        """Rows of a block; blocks come by time."""
        at = int(np.searchsorted(rows.first_us, self._early_us))
        if at:
            self._cut.add_rows(rows.part(0, at))
        if at < len(rows):
            self._held.append(rows.part(at, None))

    def add_readings(self, times_us: Int64s, values: Floats) -> None:
        """Raw readings by time, after all rows."""
        at = int(np.searchsorted(times_us, self._border_us))
        if at:
            self._held.append(tier_rows.of_readings(times_us[:at], values[:at]))
        if at < len(times_us):
            self.flush()
            self._cut.add_readings(times_us[at:], values[at:])

    def flush(self) -> None:
        """Give what is held to the cut."""
        if self._held:
            self._cut.add_rows(tier_rows.combined(self._held))
            self._held = []


def _firsts(slots: Int64s) -> Int64s:
    """Where another slot begins: indexes, the first is 0."""
    is_first = np.ones(len(slots), bool)
    np.not_equal(slots[1:], slots[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)
