"""Keeping the database within TELEMETRY_DISK_BUDGET_BYTES.

The oldest of all series first, whatever their days, but nothing of the last day:
first raw readings are thinned out, as long as that makes them smaller; then the
oldest goes, rows, texts and what was not worth thinning out.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Generator, Iterator

from ... import conf
from ...protocol.clock import DAY_US
from .. import blocks, space
from ..journal import from_us
from ..lease import Held
from ..models import TextReading
from . import expiry, oldest, tiers
from .expiry import Done
from .tier_blocks import of_series, places_of

logger = logging.getLogger(__name__)

# Down to this share of the budget, so that not every seal is over it again.
TARGET_SHARE = 0.97

# (end of the oldest, series, resolution); the resolution of texts is TEXT.
Entry = tuple[int, int, int]
TEXT = -1
# Short transactions; returns up to which time (µs) something has changed.
Steps = Generator[None, None, int]


def budget_bytes() -> int:
    """The setting; 0 for none."""
    return int(conf.value("DISK_BUDGET_BYTES"))


def excess_bytes() -> int:
    """By how much the database is over its budget."""
    budget = budget_bytes()
    return max(0, space.database_bytes() - budget) if budget else 0


def steps(held: Held, now_us: int, done: Done) -> Iterator[None]:
    """Thin out and delete until the budget is kept; nothing if it is."""
    if not excess_bytes():
        return
    logger.warning(
        "the database takes %s bytes, TELEMETRY_DISK_BUDGET_BYTES is %s: "
        "thinning out and deleting the oldest readings",
        f"{space.database_bytes():,}",
        f"{budget_bytes():,}",
    )
    before_us, need = now_us - DAY_US, _Need(done)
    readings = done.thinned_readings, done.deleted_readings
    until_us = yield from _thin_out(held, before_us, need)
    until_us = (yield from _delete(held, before_us, need)) or until_us
    logger.warning(
        "thinned out %s readings and deleted %s, up to %s, for the disk budget%s",
        f"{done.thinned_readings - readings[0]:,}",
        f"{done.deleted_readings - readings[1]:,}",
        from_us(until_us).isoformat(timespec="seconds") if until_us else "none",
        "; it is still exceeded, and the rest is not a day old" if need else "",
    )


class _Need:
    """True while something has to go."""

    def __init__(self, done: Done) -> None:
        self.done = done
        self._target_bytes = int(budget_bytes() * TARGET_SHARE)
        self._excess_bytes = space.database_bytes() - self._target_bytes
        self._freed_before = done.freed_bytes

    def __bool__(self) -> bool:
        if space.is_sqlite():
            return space.database_bytes() > self._target_bytes
        # What the server knows of its tables comes late: by what was freed.
        return self.done.freed_bytes - self._freed_before < self._excess_bytes


def _thin_out(held: Held, before_us: int, need: _Need) -> Steps:
    """The oldest raw blocks of all series, one after another, become rows."""
    done, until_us = need.done, 0
    heap: list[tuple[int, int]] = []
    for page in oldest.pages(held):
        heap += [
            (one.raw_end_us, one.series)
            for one in page
            if one.raw_end_us is not None and one.raw_end_us < before_us
        ]
        yield
    heapq.heapify(heap)
    while heap and need:
        end_us, series = heapq.heappop(heap)
        due = tiers.due(series, before_us, done.skipped)
        if not due or due[0].end_us > end_us:
            # What is not worth it stays; the series' others take their turn.
            for place in due[:1]:
                heapq.heappush(heap, (place.end_us, series))
            yield
            continue
        # As far as no other series has older ones.
        next_us = heap[0][0] if heap else before_us
        until_us = min(before_us, max(due[0].end_us, next_us) + 1)
        done.add(tiers.thin_out(held, series, until_us, done.skipped))
        yield
        for place in tiers.due(series, before_us, done.skipped)[:1]:
            heapq.heappush(heap, (place.end_us, series))
    return until_us


def _delete(held: Held, before_us: int, need: _Need) -> Steps:
    """The oldest blocks and texts of all series go, one after another."""
    if not need:
        return 0
    until_us = 0
    heap: list[Entry] = []
    for page in oldest.pages(held):
        for one in page:
            ends = (
                (one.raw_end_us, blocks.RAW),
                (one.tier_end_us, blocks.TIER_SECONDS),
                (one.text_us, TEXT),
            )
            heap += [
                (end_us, one.series, what)
                for end_us, what in ends
                if end_us is not None and end_us < before_us
            ]
        yield
    heapq.heapify(heap)
    while heap and need:
        end_us, series, what = heapq.heappop(heap)
        next_us = heap[0][0] if heap else before_us
        until_us = min(before_us, max(end_us, next_us) + 1)
        for _ in _delete_of(held, series, what, until_us, need.done):
            yield
            if not need:
                break
        end = _oldest_end_us(series, what)
        if end is not None and until_us <= end < before_us:
            heapq.heappush(heap, (end, series, what))
    return until_us


def _delete_of(
    held: Held, series: int, what: int, until_us: int, done: Done
) -> Iterator[None]:
    if what == TEXT:
        return expiry.delete_texts(held, series, until_us, done)
    return expiry.delete(held, series, what, until_us, done)


def _oldest_end_us(series: int, what: int) -> int | None:
    if what == TEXT:
        texts = TextReading.objects.filter(series_id=series).order_by("time_us")
        return texts.values_list("time_us", flat=True).first()
    places = places_of(of_series(series, what)[:1])
    return places[0].end_us if places else None
