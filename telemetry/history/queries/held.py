"""Since when a boolean or a text is what it is.

A search in ever smaller buckets, so that a value that has not changed for weeks costs
a few summaries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..models import TextReading
from ..tail import Tail
from .answer import SeriesBuckets
from .buckets import TooMuch, read_buckets

DAY_US = 86_400_000_000
# How far back is looked, the nearest first: most has changed today.
SPANS_US = (DAY_US, 30 * DAY_US)
# A device's clock may run ahead of the hub's.
AHEAD_US = 60_000_000
POINTS = 150
# Of a text no summaries are kept: this many of its last readings are looked at.
MOST_TEXTS = 5_000


class Held(NamedTuple):
    """Since when (µs) a value holds; is_least: it may have held before as well."""

    since_us: int
    is_least: bool


class _Step(NamedTuple):
    """What a search found: the answer, or where to look closer."""

    held: Held | None
    closer: tuple[int, int] | None = None


def booleans_held(
    series_ids: Iterable[int], now_us: int, *, tail: Tail | None, most_readings: int
) -> dict[int, Held]:
    """Since when each of these series of kind boolean is what it is now.

    Not in the answer: who has not spoken within the longest span, and what would take
    more than most_readings to find. Blocks: call it on a thread, in a turn.
    """
    found = {}
    for series in series_ids:
        for span_us in SPANS_US:
            try:
                held = _boolean(series, now_us, span_us, tail, most_readings)
            except TooMuch:
                break
            if held is not None:
                found[series] = held
            if held is not None and not held.is_least:
                break
    return found


def texts_held(values: dict[int, str], now_us: int) -> dict[int, Held]:
    """The same of series of kind text, whose last values these are."""
    from_us = now_us - SPANS_US[-1]
    found = {}
    for series, value in values.items():
        rows = TextReading.objects.filter(series_id=series, time_us__gte=from_us)
        times = rows.order_by("time_us").values_list("time_us", flat=True)
        for oldest_us in times.reverse()[MOST_TEXTS - 1 : MOST_TEXTS]:
            times = times.filter(time_us__gte=oldest_us)
        other_us = times.exclude(value=value).last()
        if other_us is not None:
            times = times.filter(time_us__gt=other_us)
        since_us = times.first()
        if since_us is not None:
            found[series] = Held(since_us, is_least=other_us is None)
    return found


def _boolean(
    series: int, now_us: int, span_us: int, tail: Tail | None, most_readings: int
) -> Held | None:
    from_us, to_us = now_us - span_us, now_us + AHEAD_US
    while True:
        answer = read_buckets(
            [series],
            from_us,
            to_us,
            POINTS,
            tail=tail,
            most_readings=most_readings,
            with_area=False,
        )
        step = _search(answer.series[series])
        if step.closer is None:
            return step.held
        closer_from_us, closer_to_us = step.closer
        if closer_to_us - closer_from_us >= to_us - from_us:
            return Held(closer_from_us, is_least=False)
        if closer_to_us - closer_from_us <= answer.resolution_seconds * 1_000_000:
            # Only a summary is left of it: no closer than that.
            return Held(closer_from_us, is_least=False)
        from_us, to_us = closer_from_us, closer_to_us


def _search(found: SeriesBuckets) -> _Step:
    """Where the last value begins; times are those of readings, ascending."""
    if found.raw is not None:
        starts_us, lasts = found.raw
        is_same = lasts == lasts[-1:]
    else:
        rows = found.summaries
        starts_us, lasts = rows.first_us, rows.last
        is_same = (rows.minimum == lasts[-1:]) & (rows.maximum == lasts[-1:])
    if not len(lasts):
        return _Step(None)
    others = np.flatnonzero(~is_same)
    if not len(others):
        before = found.before
        is_least = before is None or before[1] == lasts[-1]
        return _Step(Held(int(starts_us[0]), is_least))
    other = int(others[-1])
    if lasts[other] != lasts[-1]:
        return _Step(Held(int(starts_us[other + 1]), is_least=False))
    return _Step(None, (int(found.starts_us[other]), int(found.ends_us[other])))
