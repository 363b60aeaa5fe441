"""Raw readings of many series, in pages: the one core of every way out.

By series, time and arrival. A page is a short read of its own: no cursor stays open
between two, so that a slow reader holds nothing up, and memory stays the same
whatever the range holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from django.db.models import Count, Max, Q, QuerySet, Sum

from ...devices.models import Kind, Series
from ..blocks import RAW, TIER_SECONDS
from ..heads import raw_from_of
from ..models import Block, TextReading
from ..queries.answer import Missing
from ..queries.query import read_sync
from ..tail import Tail, of_chunks
from ..tick import Floats, Int64s

# 4 MB of times and values; what an unlucky cut finds may be a few times as much.
PAGE_READINGS = 262_144
# Series of one statement.
SLICE = 500
# Blocks that are looked at to find where a page ends.
AHEAD = 64
TEXT_ROWS = 2_000

Values: TypeAlias = Floats | list[str]


@dataclass(frozen=True, slots=True)
class Named:
    """A series and what a reader of a file has to know of it."""

    id: int
    device: str
    metric: str
    kind: str
    unit: str


@dataclass(frozen=True, slots=True)
class Page:
    """Neighbouring readings of one series; texts for one of kind text."""

    series: Named
    times_us: Int64s
    values: Values


@dataclass(frozen=True, slots=True)
class Thinned:
    """What of a range is left as 5-minute summaries only: in so many series, until."""

    series: int
    until_us: int


def named(series: QuerySet[Series]) -> list[Named]:
    """Living series by device, metric and id. Blocks, as all here does."""
    rows = series.filter(deleted_at=None, device__deleted_at=None)
    return [
        Named(*row)
        for row in rows.order_by("device__slug", "name", "id").values_list(
            "id", "device__slug", "name", "kind", "unit"
        )
    ]


def pages(
    wanted: Sequence[Named],
    from_us: int,
    to_us: int,
    tail: Tail | None = None,
    page_readings: int = PAGE_READINGS,
    *,
    missing: list[Missing] | None = None,
) -> Iterator[Page]:
    """The readings with from ≤ time < to of each series, none of them empty.

    missing: blocks that cannot be read are added to it, some of them twice.
    """
    asked = _Asked(from_us, to_us, tail, page_readings, missing)
    for start in range(0, len(wanted), SLICE):
        yield from asked.pages(wanted[start : start + SLICE])


def estimated(
    wanted: Sequence[Named], from_us: int, to_us: int, tail: Tail | None = None
) -> int:
    """About how many readings `pages` will give; texts are not counted."""
    asked = _Asked(from_us, to_us, tail, PAGE_READINGS)
    return sum(
        sum(asked.sizes(wanted[start : start + SLICE]).values())
        for start in range(0, len(wanted), SLICE)
    )


def thinned(wanted: Sequence[Named], from_us: int, to_us: int) -> Thinned | None:
    """What of the range exists as summaries only, so that no export holds it."""
    count, until_us = 0, 0
    for start in range(0, len(wanted), SLICE):
        found = Block.objects.filter(
            series_id__in=[each.id for each in wanted[start : start + SLICE]],
            resolution_seconds=TIER_SECONDS,
            end_us__gte=from_us,
            start_us__lt=to_us,
        ).aggregate(count=Count("series_id", distinct=True), until=Max("end_us"))
        count += found["count"]
        until_us = max(until_us, found["until"] or 0)
    return Thinned(count, until_us) if count else None


def raw_from_us(wanted: Sequence[Named], from_us: int, to_us: int) -> int | None:
    """From when on all of these series are raw, µs; None if the whole range is."""
    found = thinned(wanted, from_us, to_us)
    if found is None:
        return None
    latest_us = found.until_us + 1
    for start in range(0, len(wanted), SLICE):
        ids = [each.id for each in wanted[start : start + SLICE]]
        latest_us = max(latest_us, raw_from_of(ids).floor_of(ids))
    return latest_us


@dataclass
class _Asked:
    """A range, and what is asked of it."""

    from_us: int
    to_us: int
    tail: Tail | None
    page_readings: int
    missing: list[Missing] | None = None
    unsealed: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.unsealed = _unsealed(self.tail)

    def pages(self, wanted: Sequence[Named]) -> Iterator[Page]:
        """Of at most a slice of series; small ones are read together."""
        sizes = self.sizes(wanted)
        together: list[Named] = []
        size = 0
        for series in wanted:
            is_text = series.kind == Kind.TEXT
            is_long = sizes[series.id] > self.page_readings
            if is_text or is_long or size + sizes[series.id] > self.page_readings:
                yield from self._together(together)
                together, size = [], 0
            if is_text:
                yield from self._texts(series)
            elif is_long:
                yield from self._long(series)
            else:
                together.append(series)
                size += sizes[series.id]
        yield from self._together(together)

    def sizes(self, wanted: Sequence[Named]) -> dict[int, int]:
        """About how many readings each series has in the range; never too few.

        Where the tail holds all that is unsealed.
        """
        sizes = {each.id: self.unsealed.get(each.id, 0) for each in wanted}
        blocks = (
            self._blocks(list(sizes))
            .order_by()
            .values_list("series_id")
            .annotate(readings=Sum("count"))
        )
        for series, readings in blocks:
            sizes[series] += readings
        return sizes

    def _blocks(self, series_ids: Sequence[int]) -> QuerySet[Block]:
        return Block.objects.filter(
            series_id__in=series_ids,
            resolution_seconds=RAW,
            end_us__gte=self.from_us,
            start_us__lt=self.to_us,
        )

    def _together(self, wanted: Sequence[Named]) -> Iterator[Page]:
        if not wanted:
            return
        found = read_sync(
            [each.id for each in wanted],
            self.from_us,
            self.to_us,
            self.tail,
            missing=self.missing,
        )
        for series in wanted:
            times_us, values = found[series.id]
            if len(times_us):
                yield Page(series, times_us, values)

    def _long(self, series: Named) -> Iterator[Page]:
        start_us = self.from_us
        while start_us < self.to_us:
            stop_us = self._cut(series.id, start_us)
            found = read_sync(
                [series.id], start_us, stop_us, self.tail, missing=self.missing
            )
            times_us, values = found[series.id]
            if len(times_us):
                yield Page(series, times_us, values)
            start_us = stop_us

    def _cut(self, series: int, start_us: int) -> int:
        """Where a page from `start_us` on ends: above it, at most `to_us`."""
        cut_us = self.to_us
        readings = 0
        ahead = (
            self._blocks([series])
            .filter(start_us__gt=start_us)
            .order_by("start_us", "part")
            .values_list("start_us", "count")[:AHEAD]
        )
        for at, (block_us, count) in enumerate(ahead, 1):
            readings += count
            if readings >= self.page_readings or at == AHEAD:
                cut_us = min(cut_us, block_us)
                break
        if self.unsealed.get(series, 0) > self.page_readings and self.tail is not None:
            chunks, _spans = self.tail.view()
            parts = of_chunks(chunks, series, start_us + 1, cut_us)
            cut_us = min(cut_us, _nth(parts, self.page_readings, cut_us))
        return cut_us

    def _texts(self, series: Named) -> Iterator[Page]:
        """Exact repeats left out, as everywhere: at one time each text once."""
        rows = TextReading.objects.filter(series_id=series.id, time_us__lt=self.to_us)
        after = Q(time_us__gte=self.from_us)
        at_us, seen = -1, set[str]()
        while True:
            found = list(
                rows.filter(after)
                .order_by("time_us", "id")
                .values_list("time_us", "id", "value")[:TEXT_ROWS]
            )
            kept: list[tuple[int, str]] = []
            for time_us, _id, value in found:
                if time_us != at_us:
                    at_us, seen = time_us, set()
                if value not in seen:
                    seen.add(value)
                    kept.append((time_us, value))
            if kept:
                times_us = np.array([time_us for time_us, _ in kept], np.int64)
                yield Page(series, times_us, [value for _, value in kept])
            if len(found) < TEXT_ROWS:
                return
            last_us, last_id, _value = found[-1]
            after = Q(time_us__gt=last_us) | Q(time_us=last_us, id__gt=last_id)


def _unsealed(tail: Tail | None) -> dict[int, int]:
    """How many readings of each series the tail holds."""
    counts: dict[int, int] = {}
    chunks, _spans = tail.view() if tail is not None else ([], {})
    for chunk in chunks:
        columns = chunk.columns
        pairs = zip(columns.ids.tolist(), columns.counts.tolist(), strict=True)
        for series, count in pairs:
            counts[series] = counts.get(series, 0) + count
    return counts


def _nth(parts: Sequence[tuple[Int64s, Floats]], nth: int, else_us: int) -> int:
    """The time of the n-th reading, counted from 0; `else_us` if there are fewer."""
    if sum(len(times_us) for times_us, _values in parts) <= nth:
        return else_us
    times_us = np.concatenate([times_us for times_us, _values in parts])
    return int(np.partition(times_us, nth)[nth])
