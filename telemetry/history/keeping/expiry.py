"""The short transactions of retention: thin out, delete or cut one series' oldest.

Each function is a generator that yields after every transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .. import blocks
from ..blocks import NewBlock
from ..lease import Held
from ..models import Block, TextReading
from ..pack import Corrupt
from . import tiers
from .tier_blocks import Change, of_series, places_of, tell_corrupt, with_data

# What one transaction deletes, at most: a few milliseconds.
DELETE_BLOCKS = 16
DELETE_TEXTS = 500
# A block that is partly old is cut when at least this share of its time is.
CUT_SHARE = 0.5


@dataclass(slots=True)
class Done:
    """What a pass has done so far."""

    thinned_blocks: int = 0
    thinned_readings: int = 0
    deleted_blocks: int = 0
    deleted_readings: int = 0
    deleted_texts: int = 0
    # Of the blocks' data: bytes that went, less those that came.
    freed_bytes: int = 0
    given_back_bytes: int = 0
    # Blocks that this pass could not read, and leaves alone.
    skipped: set[int] = field(default_factory=set)

    @property
    def has_changed(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.thinned_blocks or self.deleted_blocks or self.deleted_texts)

    def add(self, step: tiers.Step | None) -> None:
        """Count a step of thinning out."""
        if step is not None:
            self.thinned_blocks += step.blocks
            self.thinned_readings += step.readings
            self.freed_bytes += step.freed_bytes
            self.skipped.update(step.damaged)


def thin_out(held: Held, series_id: int, before_us: int, done: Done) -> Iterator[None]:
    """Make rows of the raw blocks of a series that end before a time.

    Those of a slow series, which would take more room as rows, stay as they are.
    """
    while step := tiers.thin_out(held, series_id, before_us, done.skipped):
        done.add(step)
        yield
    # Even to find nothing takes time, and there may be many slow series.
    yield


def delete(
    held: Held, series_id: int, resolution_seconds: int, before_us: int, done: Done
) -> Iterator[None]:
    """Delete the blocks of a series that end before a time."""
    rows = of_series(series_id, resolution_seconds).filter(
        start_us__lt=before_us, end_us__lt=before_us
    )
    while places := places_of(rows[:DELETE_BLOCKS]):
        with held.transaction():
            Block.objects.filter(id__in=[place.id for place in places]).delete()
        done.deleted_blocks += len(places)
        done.deleted_readings += sum(place.count for place in places)
        done.freed_bytes += sum(place.bytes for place in places)
        yield


def cut(
    held: Held, series_id: int, resolution_seconds: int, before_us: int, done: Done
) -> Iterator[None]:
    """Delete what is before a time from the oldest block, once that is half of it.

    So a slow series, of which one block holds years, loses its old readings too; and
    each block is written anew a few times at most.
    """
    for place in places_of(of_series(series_id, resolution_seconds)[:1]):
        share = (before_us - place.start_us) / max(1, place.end_us - place.start_us)
        if share < CUT_SHARE or place.end_us < before_us:
            return
        (block,) = with_data([place])
        shorter = _cut(block, before_us)
        if shorter is None:
            return
        with held.transaction():
            tiers.replace(Change([shorter], [place]))
        done.deleted_readings += place.count - shorter.count
        done.freed_bytes += place.bytes - len(shorter.data)
        yield


def _cut(block: Block, before_us: int) -> NewBlock | None:
    """The block without what is before a time; None if it cannot be read."""
    series_id, is_open = block.series_id, block.is_open
    try:
        if block.resolution_seconds:
            rows = blocks.read_tier(block)
            at = int(np.searchsorted(rows.first_us, before_us))
            # Its last row may have begun before.
            rows = rows.part(min(at, len(rows) - 1), None)
            return blocks.build_tier(series_id, rows, is_open=is_open)
        times_us, values = blocks.read(block)
    except Corrupt as error:
        tell_corrupt(block, error)
        return None
    at = int(np.searchsorted(times_us, before_us))
    return blocks.build(series_id, times_us[at:], values[at:], is_open=is_open)


def delete_texts(
    held: Held, series_id: int, before_us: int, done: Done
) -> Iterator[None]:
    """Delete the texts of a series before a time."""
    rows = TextReading.objects.filter(series_id=series_id, time_us__lt=before_us)
    oldest = rows.order_by("time_us").values_list("id", "value")
    while found := list(oldest[:DELETE_TEXTS]):
        with held.transaction():
            TextReading.objects.filter(
                id__in=[text_id for text_id, _ in found]
            ).delete()
        done.deleted_texts += len(found)
        done.freed_bytes += sum(len(value) for _, value in found)
        yield
