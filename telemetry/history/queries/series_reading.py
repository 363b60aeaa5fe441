"""One series on its way into buckets: its tier, its blocks, what is not sealed.

A block that goes away while it is read (sealed anew, or put into a tier) makes it go
on from the last bucket that was finished, by a new catalogue.
"""

from __future__ import annotations

from ..blocks import RAW, TIER_SECONDS
from ..tick import Int64s
from ..tier_rows import BUCKET_US
from .answer import Missing, Readings, SeriesBuckets
from .assembly import Assembly, Page, Whole
from .catalogue import Bytes, Entries, Gone, blocks_of
from .cut import Cut, Scratch, TierCut, outward


class TierMet(Exception):
    """There is a tier by now, and the buckets are not made for one."""


class SeriesReading:
    """One series on its way into buckets."""

    def __init__(
        self, assembly: Assembly, edges_us: Int64s, with_area: bool, scratch: Scratch
    ) -> None:
        self.series = assembly.series
        self._scratch = scratch
        self.missing: list[Missing] = []
        self._edges_us = edges_us
        self._range = assembly.from_us, assembly.to_us
        self._cut = Cut(edges_us, with_area, scratch)
        self._plan(assembly)

    def _plan(self, assembly: Assembly) -> None:
        self._assembly = assembly
        tier = in_tier(assembly.tier, assembly.from_us, assembly.to_us)
        self.has_tier = bool(len(tier))
        # No row of the tier lies there or later.
        self._border_us = 0
        if self.has_tier:
            self._border_us = (int(tier["end_us"].max()) // BUCKET_US + 1) * BUCKET_US
        self._steps = assembly.plan(self._edges_us, self._border_us)

    @property
    def readings(self) -> int:
        """How many readings are to be decoded; rows of a tier by their size."""
        pages = (step for step in self._steps if isinstance(step, Page))
        return sum(page.readings for page in pages) + self._assembly.tier_readings()

    def block_ids(self) -> list[int]:
        """What is to be decoded, in order."""
        return [*self._assembly.tier_ids(), *self._assembly.block_ids(self._steps)]

    def read(self, source: Bytes, may_have_tier: bool) -> None:
        """Read it all into buckets. Raises TierMet."""
        self._before: tuple[int, float] | None = None
        while True:
            if self.has_tier and not may_have_tier:
                raise TierMet
            try:
                self._read_rows(source)
                for step in self._steps:
                    self._reached_us = self._assembly.begins_us(step)
                    self._read_step(step, source)
                break
            except Gone:
                self._begin_again()
                source = Bytes(self.block_ids())
        self._tier_cut.flush()
        self.missing += self._assembly.missing
        if self._assembly.from_us == self._range[0]:
            self._before = self._assembly.before

    def _read_rows(self, source: Bytes) -> None:
        assembly = self._assembly
        self._reached_us = assembly.from_us
        self._tier_cut = TierCut(self._cut, assembly.earliest_us(), self._border_us)
        for rows in assembly.tier_rows(source):
            self._tier_cut.add_rows(rows)

    def _read_step(self, step: Page | Whole, source: Bytes) -> None:
        if isinstance(step, Page):
            self._tier_cut.add_readings(
                *self._assembly.readings(step, source, self._scratch)
            )
        else:
            self._tier_cut.flush()
            self._cut.add_rows(self._assembly.whole(step))

    def _begin_again(self) -> None:
        """Blocks were written anew: go on from the last bucket that was finished."""
        assembly = self._assembly
        from_us, to_us = self._range
        # Rows of a tier are read before readings that are earlier: all of it again.
        reached_us = from_us if self.has_tier else self._reached_us
        resumed_us = self._cut.forget_from(max(reached_us, from_us))
        self.missing = [
            each
            for each in [*self.missing, *assembly.missing]
            if each.end_us < resumed_us
        ]
        if resumed_us > from_us and assembly.from_us == from_us:
            self._before = assembly.before
        from_us = max(from_us, resumed_us)
        entries = blocks_of([self.series], *outward(from_us, to_us))
        self._plan(assembly_of(self.series, entries, assembly.recent, from_us, to_us))

    def buckets(self) -> SeriesBuckets:
        """What was read."""
        starts_us, ends_us, rows = self._cut.buckets()
        return SeriesBuckets(None, starts_us, ends_us, rows, self._before, *self._range)


def assembly_of(
    series: int, entries: Entries, recent: Readings, from_us: int, to_us: int
) -> Assembly:
    """The assembly of one series; entries may be of several."""
    own = entries[entries["series_id"] == series]
    is_raw = own["resolution_seconds"] == RAW
    # The catalogue's range is wider, by whole rows of a tier.
    is_raw &= own["start_us"] < to_us
    is_tier = (own["resolution_seconds"] == TIER_SECONDS) & (own["start_us"] < to_us)
    return Assembly(series, own[is_raw], own[is_tier], recent, from_us, to_us)


def in_tier(entries: Entries, from_us: int, to_us: int) -> Entries:
    """The blocks of a tier that reach into the range."""
    isin_tier = entries["resolution_seconds"] == TIER_SECONDS
    isin_tier &= (entries["end_us"] >= from_us) & (entries["start_us"] < to_us)
    found: Entries = entries[isin_tier]
    return found
