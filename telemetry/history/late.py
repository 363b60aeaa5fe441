"""Late readings: each goes into the block that holds its time.

Only the blocks that get some are read and written anew; a damaged one is left as it
is, and what belonged into it becomes a block beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from . import blocks, faults
from .blocks import NewBlock
from .lease import LeaseLost
from .models import Block
from .pack import Corrupt, unpack
from .tick import Floats, Int64s, repeats

Readings = tuple[Int64s, Floats]


class Place(NamedTuple):
    """A block that late readings may belong into, without its data."""

    id: int
    start_us: int
    part: int
    end_us: int
    length: int
    is_open: bool


@dataclass(slots=True)
class Insertion:
    """What becomes of one block: it is deleted, and others are made instead."""

    made: list[NewBlock] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)


def insert_late(series: int, times_us: Int64s, values: Floats) -> Iterator[Insertion]:
    """One insertion for each block that gets something new; ask and write in turn.

    times_us: ascending, equal ones in order of arrival; without exact repeats.
    Exact repeats of what blocks hold already make nothing. Raises LeaseLost when a
    block is gone, which only another holder of the lease can have caused.
    """
    places = _places(series, int(times_us[0]), int(times_us[-1]))
    # As they were before the first insertion.
    read = Reader(series, places)
    starts = np.array([place.start_us for place in places], np.int64)
    owner = np.maximum(np.searchsorted(starts, times_us, side="right") - 1, 0)
    for at in np.unique(owner).tolist():
        is_own = owner == at
        own = times_us[is_own], values[is_own]
        insertion = _into(read, at, own)
        if insertion is not None:
            yield insertion


def _places(series: int, first_us: int, last_us: int) -> list[Place]:
    """The blocks that hold times of the range, and the one before it.

    Without one before, the first of all: many single old readings must not make
    as many blocks.
    """
    rows = Block.objects.filter(
        series_id=series, resolution_seconds=blocks.RAW
    ).order_by("start_us", "part")
    earlier = rows.filter(start_us__lt=first_us).order_by("-start_us")
    start_us = earlier.values_list("start_us", flat=True).first()
    if start_us is not None:
        rows = rows.filter(start_us__gte=start_us)
    fields = Place._fields
    found = list(rows.filter(start_us__lte=last_us).values_list(*fields))
    if not found:
        found = list(rows.values_list(*fields)[:1])
    return [Place(*row) for row in found]


class Reader:
    """Blocks by their place, each read once while it is needed."""

    def __init__(self, series: int, places: Sequence[Place]) -> None:
        self.series = series
        self.places = places
        self._read: dict[int, Readings | None] = {}

    def of(self, at: int) -> Readings | None:
        """A block's readings; None, and a notice, if it is damaged."""
        if at not in self._read:
            self._read[at] = self._of(self.places[at])
        return self._read[at]

    def _of(self, place: Place) -> Readings | None:
        data = Block.objects.filter(id=place.id).values_list("data", flat=True).first()
        if data is None:
            raise LeaseLost(f"another worker has written block {place.id} anew")
        try:
            return unpack(bytes(data), place.length)
        except Corrupt as error:
            faults.note(
                self.series, blocks.RAW, place.start_us, place.end_us, str(error)
            )
            return None

    def touching(self, at: int, first_us: int, last_us: int) -> list[Readings]:
        """What the others hold that have times of the range; forgets the earlier."""
        found: list[Readings] = []
        for other, place in enumerate(self.places):
            if other < at and place.end_us < first_us:
                self._read.pop(other, None)
            elif other != at and place.start_us <= last_us and place.end_us >= first_us:
                readings = self.of(other)
                if readings is not None:
                    found.append(readings)
        return found


def _into(read: Reader, at: int, own: Readings) -> Insertion | None:
    if not read.places:
        return Insertion(_made(read.series, own, False))
    place = read.places[at]
    before = read.of(at)
    known = read.touching(at, int(own[0][0]), int(own[0][-1]))
    own = _without_known(known if before is None else [before, *known], own)
    if not len(own[0]):
        return None
    if before is None:
        # Beside the damaged one.
        return Insertion(_made(read.series, own, False))
    times_us = np.concatenate([before[0], own[0]])
    values = np.concatenate([before[1], own[1]])
    order = np.argsort(times_us, kind="stable")
    merged = times_us[order], values[order]
    return Insertion(_made(read.series, merged, place.is_open, [place.id]), [place.id])


def _made(
    series: int, readings: Readings, is_open: bool, gone: Sequence[int] = ()
) -> list[NewBlock]:
    parts = blocks.halves(len(readings[0]), blocks.CAP)
    made = [
        blocks.build(
            series, readings[0][start:stop], readings[1][start:stop], is_open=is_open
        )
        for start, stop in parts
    ]
    return blocks.with_free_parts(made, gone)


def _without_known(known: Sequence[Readings], own: Readings) -> Readings:
    """The readings of `own` that are in none of `known`."""
    count = sum(len(readings[0]) for readings in known)
    times_us = np.concatenate([*(readings[0] for readings in known), own[0]])
    values = np.concatenate([*(readings[1] for readings in known), own[1]])
    is_new = ~repeats(times_us, values)[count:]
    return own[0][is_new], own[1][is_new]
