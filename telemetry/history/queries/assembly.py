"""One series' readings, from blocks and from what is not sealed yet, in order.

Blocks are disjoint, but for two cases: they touch where equal times sit in both, and
what came late into a damaged one lies beside it. Unsealed readings may lie anywhere,
also, for a moment, as repeats of sealed ones. What overlaps or touches is a
*cluster*: it is merged and freed of repeats. All else is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ... import counters
from .. import faults, pack
from ..blocks import RAW, TIER_SECONDS
from ..summary import DTYPES, Summaries
from ..tick import Floats, Int64s
from .answer import Missing, Readings
from .catalogue import Bytes, Entries
from .cut import Scratch
from .unsealed import NO_READINGS, distinct

# Readings of one page: 2 MB, and about as much again while they are cut. Smaller ones
# cost more calls, larger ones leave the processor's cache.
PAGE_READINGS = 131_072
_ALL = np.iinfo(np.int64).max
# A row of a tier has the bytes of so many readings.
ROW_READINGS = 5
# No block holds more: a longer one is damaged.
MOST_LENGTH = 65_536
_SUMMARY = (
    *("start_us", "end_us", "count", "minimum", "maximum"),
    *("sum", "first", "last", "increase", "integral"),
)


class Cluster(NamedTuple):
    """Blocks from `first` to `stop` and unsealed readings from `low` to `high`."""

    first: int
    stop: int
    low: int
    high: int


@dataclass(slots=True)
class Page:
    """Clusters by time, disjoint: what is decoded at once."""

    clusters: list[Cluster]
    readings: int


class Whole(NamedTuple):
    """Blocks of which the summaries are enough."""

    first: int
    stop: int


Step = Page | Whole


@dataclass(slots=True)
class Assembly:
    """One series in a range: from ≤ time < to.

    raw, tier: its blocks from the catalogue. recent: what is not sealed, by time,
    and at least the last one of it before the range.
    """

    series: int
    raw: Entries
    tier: Entries
    recent: Readings
    from_us: int
    to_us: int
    # The last reading before the range, as far as it is known by now.
    before: tuple[int, float] | None = None
    missing: dict[Missing, None] = field(default_factory=dict)
    _lengths: Int64s = field(init=False)

    def __post_init__(self) -> None:
        # A damaged row may say anything.
        self._lengths = np.clip(self.raw["length"], 0, MOST_LENGTH)

    def plan(
        self, edges_us: Int64s | None, after_us: int = 0, page_readings: int = 0
    ) -> list[Step]:
        """How the raw readings are read, by time.

        edges_us: of the buckets; a block within one bucket that begins at after_us or
        later, and that nothing overlaps, needs no decoding. None: all are decoded.
        """
        page_readings = page_readings or PAGE_READINGS
        is_whole = self._whole(edges_us, after_us)
        steps: list[Step] = []
        for cluster in self._clusters():
            first, stop, low, high = cluster
            if stop > first and low == high:
                if self._is_before(first, stop):
                    self._offer_end(self.raw, first, stop)
                    continue
                if stop - first == 1 and is_whole[first]:
                    if steps and isinstance(steps[-1], Whole) and steps[-1][1] == first:
                        steps[-1] = Whole(steps[-1].first, stop)
                    else:
                        steps.append(Whole(first, stop))
                    continue
            count = int(self._lengths[first:stop].sum()) + high - low
            last = steps[-1] if steps else None
            if isinstance(last, Page) and last.readings + count <= page_readings:
                last.clusters.append(cluster)
                last.readings += count
            else:
                steps.append(Page([cluster], count))
        return steps

    def _is_before(self, first: int, stop: int) -> bool:
        """Whether blocks are before the range, and no two of them overlap."""
        starts, ends = self.raw["start_us"][first:stop], self.raw["end_us"][first:stop]
        reached = np.maximum.accumulate(ends)
        return bool(reached[-1] < self.from_us and (starts[1:] >= reached[:-1]).all())

    def _whole(self, edges_us: Int64s | None, after_us: int) -> list[bool]:
        """Which blocks lie within the range and one bucket."""
        if edges_us is None:
            return [False] * len(self.raw)
        starts, ends = self.raw["start_us"], self.raw["end_us"]
        is_whole = (starts >= max(self.from_us, after_us)) & (ends < self.to_us)
        slot = np.searchsorted(edges_us, starts, "right")
        is_whole &= slot == np.searchsorted(edges_us, ends, "right")
        whole: list[bool] = is_whole.tolist()
        return whole

    def _clusters(self) -> Iterator[Cluster]:
        """All blocks and unsealed readings, by time."""
        times_us = self.recent[0]
        starts, ends = self.raw["start_us"], np.maximum.accumulate(self.raw["end_us"])
        is_first = np.ones(len(starts), bool)
        is_first[1:] = starts[1:] > ends[:-1]
        firsts = np.flatnonzero(is_first)
        stops = np.append(firsts, len(starts))[1:]
        lows = np.searchsorted(times_us, starts[firsts])
        highs = np.searchsorted(times_us, ends[stops - 1], "right")
        at = 0
        for first, stop, low, high in zip(
            firsts.tolist(), stops.tolist(), lows.tolist(), highs.tolist(), strict=True
        ):
            if low > at:
                yield Cluster(first, first, at, low)
            yield Cluster(first, stop, low, high)
            at = high
        if len(times_us) > at:
            yield Cluster(len(starts), len(starts), at, len(times_us))

    def block_ids(self, steps: list[Step]) -> list[int]:
        """The blocks that the steps decode, in order."""
        ids = self.raw["id"]
        return [
            block
            for step in steps
            if isinstance(step, Page)
            for cluster in step.clusters
            for block in ids[cluster.first : cluster.stop].tolist()
        ]

    def begins_us(self, step: Step) -> int:
        """The time of the first block or reading of a step."""
        if isinstance(step, Whole):
            return int(self.raw["start_us"][step.first])
        first, stop, low, high = step.clusters[0]
        times_us = [*self.raw["start_us"][first:stop], *self.recent[0][low:high][:1]]
        return int(min(times_us))

    def whole(self, step: Whole) -> Summaries:
        """The summaries of a step's blocks."""
        return _summaries(self.raw[step.first : step.stop])

    def readings(
        self, page: Page, source: Bytes, scratch: Scratch | None = None
    ) -> Readings:
        """The readings of a page that are in the range, ascending, each once.

        scratch: where they are put, to be used before the next page. Raises Gone.
        """
        times_us, values = (scratch or Scratch()).page(page.readings)
        at = 0
        for first, stop, low, high in page.clusters:
            if stop - first == 1 and low == high:
                length = int(self._lengths[first])
                part = times_us[at : at + length], values[at : at + length]
                at += length * self._unpack(first, source, part)
                continue
            part = self._merged(first, stop, low, high, source)
            count = len(part[0])
            times_us[at : at + count], values[at : at + count] = part
            at += count
        return self._clipped(times_us[:at], values[:at])

    def _clipped(self, times_us: Int64s, values: Floats) -> Readings:
        low, high = np.searchsorted(times_us, [self.from_us, self.to_us]).tolist()
        if low:
            self._offer(int(times_us[low - 1]), float(values[low - 1]))
        return times_us[low:high], values[low:high]

    def _merged(
        self, first: int, stop: int, low: int, high: int, source: Bytes
    ) -> Readings:
        parts: list[Readings] = []
        for at in range(first, stop):
            length = int(self._lengths[at])
            part = np.empty(length, np.int64), np.empty(length)
            if self._unpack(at, source, part):
                parts.append(part)
        # Sealed ones arrived first.
        parts.append((self.recent[0][low:high], self.recent[1][low:high]))
        # Alone they are distinct already.
        return distinct(parts) if len(parts) > 1 else parts[0]

    def _unpack(self, at: int, source: Bytes, part: Readings) -> bool:
        """Decode a raw block; False, and a notice, if it is damaged."""
        entry = self.raw[at]
        data = source.take(int(entry["id"]))
        times_us, values = part
        try:
            if not 0 < entry["length"] <= MOST_LENGTH:
                raise pack.Corrupt(f"expected a length, got {entry['length']}")
            pack.unpack_into(data, times_us, values)
            if times_us[0] != entry["start_us"] or times_us[-1] != entry["end_us"]:
                raise pack.Corrupt(
                    f"expected {entry['start_us']} to {entry['end_us']} µs, "
                    f"got {times_us[0]} to {times_us[-1]}"
                )
        except pack.Corrupt as error:
            self._tell_missing(entry, RAW, error)
            return False
        return True

    def read_all(self) -> Readings:
        """All raw readings of the range at once. Raises Gone."""
        steps = self.plan(None, page_readings=_ALL)
        source = Bytes(self.block_ids(steps))
        parts = [self.readings(step, source) for step in steps if type(step) is Page]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return NO_READINGS
        return (
            np.concatenate([times_us for times_us, _ in parts]),
            np.concatenate([values for _, values in parts]),
        )

    def earliest_us(self) -> int:
        """No raw reading of the range is before."""
        starts = self.raw["start_us"][self.raw["end_us"] >= self.from_us]
        times_us = self.recent[0]
        low = int(np.searchsorted(times_us, self.from_us))
        return int(min([*starts[:1], *times_us[low : low + 1]], default=self.to_us))

    def raw_readings(self) -> int:
        """How many raw readings are decoded, at most."""
        is_in_range = self.raw["end_us"] >= self.from_us
        return int(self._lengths[is_in_range].sum()) + len(self.recent[0])

    def tier_readings(self) -> int:
        """How many rows of a tier are decoded, as readings of 16 bytes."""
        lengths = self.tier["length"][self.tier["end_us"] >= self.from_us]
        return ROW_READINGS * int(np.clip(lengths, 0, MOST_LENGTH).sum())

    def tier_ids(self) -> list[int]:
        """The blocks of the tier that reach into the range, in order."""
        ids: list[int] = self.tier["id"][self.tier["end_us"] >= self.from_us].tolist()
        return ids

    def tier_rows(self, source: Bytes) -> Iterator[Summaries]:
        """The rows of the tier that begin in the range, a block at a time.

        Rows of neighbouring blocks may be of one bucket. Raises Gone.
        """
        for entry in self.tier:
            if entry["end_us"] < self.from_us:
                self._offer(int(entry["end_us"]), float(entry["last"]))
                continue
            data = source.take(int(entry["id"]))
            length = int(entry["length"])
            try:
                if not 0 < length <= MOST_LENGTH:
                    raise pack.Corrupt(f"expected a length, got {length}")
                rows = Summaries(*pack.unpack_columns(data, length, DTYPES))
            except pack.Corrupt as error:
                self._tell_missing(entry, TIER_SECONDS, error)
                continue
            low, high = np.searchsorted(rows.first_us, [self.from_us, self.to_us])
            if low:
                self._offer(int(rows.last_us[low - 1]), float(rows.last[low - 1]))
            if low < high:
                yield rows.part(int(low), int(high))

    def _tell_missing(
        self, entry: np.void, resolution_seconds: int, error: pack.Corrupt
    ) -> None:
        span = int(entry["start_us"]), int(entry["end_us"])
        self.missing[Missing(self.series, resolution_seconds, *span)] = None
        counters.CORRUPT_BLOCKS.inc()
        faults.note(self.series, resolution_seconds, *span, str(error))

    def _offer_end(self, entries: Entries, first: int, stop: int) -> None:
        # Of those that end last the latest part.
        for entry in entries[first:stop]:
            self._offer(int(entry["end_us"]), float(entry["last"]))

    def _offer(self, time_us: int, value: float) -> None:
        """A reading before the range: kept if none is later."""
        if self.before is None or time_us >= self.before[0]:
            self.before = time_us, value


def _summaries(entries: Entries) -> Summaries:
    # Copies: a view would hold the whole catalogue.
    return Summaries(*(entries[name].copy() for name in _SUMMARY))
