"""Long ranges read in pages, each made thin before the next one is read.

A page is some of the series for the whole range or, where one series has too much,
a part of the range. What a request holds is one page and the points that it keeps.
How many pages are read at the same time is limited for the whole process.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..history import query
from ..history.downsample import thin
from ..history.query import Readings
from ..history.tail import Tail

# What one read should find at most: 64 MB of times and values.
PAGE_READINGS = 4_000_000
# The first page is made for series of this speed, and no later one for slower ones
# than the usual: a silent night says nothing of the morning.
FASTEST_HZ = 1_000
USUAL_HZ = 10
# The next page is larger than the last one by this, at most.
GROWTH = 4
# So many pages of the usual speed a request may ask for: 3,555 series for an hour,
# 148 for a day.
MOST_PAGES = 32
READS_AT_ONCE = 2
WAIT_SECONDS = 10.0

_reads = threading.BoundedSemaphore(READS_AT_ONCE)


class TooMuch(Exception):
    """The range holds more readings than a request may make the hub read."""


class Busy(Exception):
    """Other requests have been reading for WAIT_SECONDS."""


@dataclass
class Found:
    """How many readings were read, and for each series those that are kept."""

    count: int = 0
    series: dict[int, Readings] = field(default_factory=dict)


def most_series(span_us: int) -> int:
    """How many series a request for a range of this length may ask for."""
    return max(1, int(MOST_PAGES * PAGE_READINGS * 1e6 / USUAL_HZ / span_us))


def read_thin(
    series_ids: Sequence[int],
    from_us: int,
    to_us: int,
    *,
    points: int,
    most_readings: int,
    tail: Tail | None,
) -> Found:
    """At most `points` readings of each series with from ≤ time < to.

    A reading that is the highest or lowest within a bucket's width (the range of the
    series' readings by points / 2) on both sides is always kept. Raises TooMuch as
    soon as more than `most_readings` were read, and Busy. Blocks: call it on a thread.
    """
    found = Found()
    area_us = _area_us(FASTEST_HZ)
    rest = list(series_ids)
    while rest:
        some = rest[: max(1, area_us // (to_us - from_us))]
        kept: dict[int, Readings] = {}
        start_us = from_us
        while start_us < to_us:
            stop_us = min(start_us + max(1, area_us // len(some)), to_us)
            page = _read(some, start_us, stop_us, tail)
            count = sum(len(times_us) for times_us, _values in page.values())
            found.count += count
            if found.count > most_readings:
                raise TooMuch
            # Twice the points, so that the last cut is not the second of its kind.
            _keep(kept, page, 2 * points)
            area_us = _next_area_us(area_us, len(some) * (stop_us - start_us), count)
            start_us = stop_us
        for series, readings in kept.items():
            found.series[series] = thin(*readings, points)
        rest = rest[len(some) :]
    return found


def _read(
    series_ids: Sequence[int], from_us: int, to_us: int, tail: Tail | None
) -> dict[int, Readings]:
    if not _reads.acquire(timeout=WAIT_SECONDS):
        raise Busy
    try:
        return query.read_sync(series_ids, from_us, to_us, tail)
    finally:
        _reads.release()


def _keep(kept: dict[int, Readings], page: dict[int, Readings], points: int) -> None:
    """Add a later page to what is kept, thinned to `points` a series."""
    for series, (times_us, values) in page.items():
        if not len(times_us):
            continue
        if series in kept:
            before_us, before = kept[series]
            times_us = np.concatenate([before_us, times_us])
            values = np.concatenate([before, values])
        kept_us, kept_values = thin(times_us, values, points)
        # Never a view: it would hold the whole page.
        kept[series] = (kept_us.copy(), kept_values.copy())


def _area_us(hz: float) -> int:
    """Series times µs of a page at this speed of each series."""
    return max(1, int(PAGE_READINGS * 1e6 / hz))


def _next_area_us(area_us: int, read_us: int, count: int) -> int:
    """How large the next page is, after one that was to be of `area_us`.

    read_us: how large it was. The small rest of a range tells nothing.
    """
    if read_us < area_us // GROWTH:
        return area_us
    hz = max(USUAL_HZ, count * 1e6 / read_us)
    return min(GROWTH * area_us, _area_us(hz))
