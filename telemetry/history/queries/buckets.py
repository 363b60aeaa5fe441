"""Any range of any series as a few hundred summaries, or as it is where it is short.

`read_buckets` answers with exact minimum, maximum, sum and count a bucket. All
series of one answer share one width; empty buckets are left out: gaps stay gaps.
What a long range takes is one page of readings at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np
from django.utils.translation import gettext as _

from ..blocks import RAW, TIER_SECONDS
from ..summary import NONE
from ..tail import Tail
from ..tick import Int64s
from ..tier_rows import BUCKET_US
from .answer import Answer, Missing, SeriesBuckets
from .assembly import Assembly
from .catalogue import SERIES_AT_ONCE, Bytes, Entries, Gone, blocks_of
from .cut import Scratch, edges_of, outward
from .ladder import (
    LADDER_US,
    BadRange,
    TooMuch,
    check_points,
    check_range,
    check_width,
    width_for,
)
from .series_reading import SeriesReading, TierMet, assembly_of, in_tier
from .unsealed import Asked, unsealed

__all__ = [
    "LADDER_US",
    "Answer",
    "BadRange",
    "Missing",
    "SeriesBuckets",
    "TooMuch",
    "read_buckets",
    "read_edges",
    "width_for",
]

# Readings of all series together that are given as they are: 8 MB.
MOST_RAW = 500_000


def read_buckets(
    series_ids: Iterable[int],
    from_us: int,
    to_us: int,
    points: int,
    *,
    tail: Tail | None = None,
    width_us: int | None = None,
    most_readings: int | None = None,
    raw_if_few: bool = True,
    with_area: bool | Collection[int] = True,
) -> Answer:
    """The readings with from ≤ time < to in about `points` buckets a series.

    width_us: of the buckets, instead of one from the ladder. raw_if_few: give the
    readings themselves where no series has more than `points` of them (and no width
    is asked for). most_readings: how many may be read. with_area: False where neither
    duty nor rate is wanted, or the series of which they are: the others take half
    the time. Raises BadRange, and TooMuch. Blocks: call it on a thread.
    """
    asked = Asked(sorted(set(series_ids)), from_us, to_us)
    check_range(from_us, to_us)
    check_points(points, len(asked.series))
    width = width_us or width_for(to_us - from_us, points)
    check_width(width, to_us - from_us)
    reading = _Reading(asked, tail, most_readings)
    if raw_if_few and width_us is None:
        answer = reading.raw(points)
        if answer is not None:
            return answer
    return reading.buckets(width, with_area)


def read_edges(
    series_ids: Iterable[int],
    edges_us: Int64s,
    *,
    tail: Tail | None = None,
    most_readings: int | None = None,
    with_area: bool | Collection[int] = True,
) -> Answer:
    """Buckets between neighbouring edges (µs, ascending, two or more); else as
    `read_buckets`. Where a tier was read an edge is as exact as its rows."""
    from_us, to_us = int(edges_us[0]), int(edges_us[-1])
    check_range(from_us, to_us)
    asked = Asked(sorted(set(series_ids)), from_us, to_us)
    check_points(len(edges_us) - 1, len(asked.series))
    reading = _Reading(asked, tail, most_readings)
    return reading.at_edges(edges_us, with_area)


class _Reading:
    """One request: what is not sealed is read when it begins, blocks by and by."""

    def __init__(
        self, asked: Asked, tail: Tail | None, most_readings: int | None
    ) -> None:
        self._asked = asked
        self._most_readings = most_readings
        # Whole rows of a tier, should there be one.
        self._span = outward(asked.from_us, asked.to_us)
        wide = Asked(asked.series, *self._span, with_before=True)
        self._recent = unsealed(wide, tail)
        self._first: tuple[list[int], Entries] | None = None
        self._read = 0

    def raw(self, points: int) -> Answer | None:
        """The readings themselves; None where they are more than `points`."""
        from_us, to_us = self._asked.from_us, self._asked.to_us
        answer = Answer(from_us, to_us, None, RAW, {})
        self._read = 0
        for some, entries in self._groups():
            if len(in_tier(entries, from_us, to_us)):
                return None
            for series in some:
                own = entries[entries["series_id"] == series]
                found = self._few(series, own, points)
                if found is None or answer.readings > MOST_RAW:
                    return None
                of_series, missing = found
                answer.series[series] = of_series
                answer.missing += missing
                answer.readings += len(of_series.raw[0]) if of_series.raw else 0
        return answer

    def _few(
        self, series: int, entries: Entries, points: int
    ) -> tuple[SeriesBuckets, Iterable[Missing]] | None:
        from_us, to_us = self._asked.from_us, self._asked.to_us
        while True:
            is_inside = (entries["start_us"] >= from_us) & (entries["end_us"] < to_us)
            few = entries["count"][is_inside].sum() <= points
            if len(in_tier(entries, from_us, to_us)) or not few:
                return None
            assembly = self._assembly(series, entries, from_us, to_us)
            self._charge(assembly.raw_readings())
            try:
                times_us, values = assembly.read_all()
                break
            except Gone:
                entries = blocks_of([series], *self._span)
        if len(times_us) > points:
            return None
        for _rows in assembly.tier_rows(Bytes([])):
            pass  # None is in the range: the last one before it is looked at.
        none = np.zeros(0, np.int64)
        # Copies: a view would hold whole blocks.
        raw = times_us.copy(), values.copy()
        buckets = SeriesBuckets(raw, none, none, NONE, assembly.before, from_us, to_us)
        return buckets, assembly.missing

    def buckets(self, width_us: int, with_area: bool | Collection[int]) -> Answer:
        """Buckets of one width, aligned to the epoch; wider where a tier is read."""
        from_us, to_us = self._asked.from_us, self._asked.to_us
        edges_us = edges_of(from_us, to_us, width_us)
        answer = Answer(from_us, to_us, width_us, RAW, {})
        if self._fill(answer, edges_us, with_area, may_have_tier=False):
            return answer
        from_us, to_us = outward(from_us, to_us)
        width_us = -(-width_us // BUCKET_US) * BUCKET_US
        edges_us = edges_of(from_us, to_us, width_us)
        answer = Answer(from_us, to_us, width_us, RAW, {})
        self._fill(answer, edges_us, with_area)
        return answer

    def at_edges(self, edges_us: Int64s, with_area: bool | Collection[int]) -> Answer:
        """Buckets between neighbouring edges."""
        answer = Answer(int(edges_us[0]), int(edges_us[-1]), None, RAW, {})
        self._fill(answer, edges_us, with_area)
        return answer

    def _fill(
        self,
        answer: Answer,
        edges_us: Int64s,
        with_area: bool | Collection[int],
        *,
        may_have_tier: bool = True,
    ) -> bool:
        """Read all series; False: there is a tier, and there may be none."""
        self._read = 0
        scratch = Scratch()
        from_us, to_us = answer.from_us, answer.to_us
        for some, entries in self._groups():
            if len(in_tier(entries, from_us, to_us)):
                if not may_have_tier:
                    return False
                answer.resolution_seconds = TIER_SECONDS
            planned = [
                SeriesReading(
                    self._assembly(series, entries, from_us, to_us),
                    edges_us,
                    with_area if isinstance(with_area, bool) else series in with_area,
                    scratch,
                )
                for series in some
            ]
            for each in planned:
                self._charge(each.readings)
            source = Bytes(block for each in planned for block in each.block_ids())
            for each in planned:
                try:
                    each.read(source, may_have_tier)
                except TierMet:
                    return False
                if each.has_tier:
                    answer.resolution_seconds = TIER_SECONDS
                answer.series[each.series] = each.buckets()
                answer.missing += each.missing
                answer.readings += int(answer.series[each.series].summaries.count.sum())
        return True

    def _assembly(
        self, series: int, entries: Entries, from_us: int, to_us: int
    ) -> Assembly:
        return assembly_of(series, entries, self._recent[series], from_us, to_us)

    def _groups(self) -> Iterator[tuple[list[int], Entries]]:
        """Some series and their blocks; the first are kept for a second look."""
        series = self._asked.series
        for start in range(0, len(series), SERIES_AT_ONCE):
            if start == 0 and self._first is not None:
                yield self._first
                continue
            some = series[start : start + SERIES_AT_ONCE]
            group = some, blocks_of(some, *self._span)
            self._first = self._first or group
            yield group

    def _charge(self, readings: int) -> None:
        self._read += readings
        if self._most_readings is not None and self._read > self._most_readings:
            raise TooMuch(
                _(
                    "expected at most %(most)d readings in the range, got more: "
                    "choose a shorter one"
                )
                % {"most": self._most_readings}
            )
