"""Rows of one topic: what a tick changed, and several of them merged into one. Pure.

A row belongs to a *position*: the place of its series in the topic's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# What numpy keeps for one array besides its values, roughly; six arrays an entry.
_OVERHEAD_BYTES = 6 * 112 + 200
_LATE_BYTES = 120
_TEXT_BYTES = 160


@dataclass(frozen=True, slots=True)
class Rows:
    """What changed, one row a series: positions int32[n], unique.

    time_us int64[n] of the last reading; last, minimum, maximum float64[n]; count
    int64[n]. late: (position, from_us, to_us), older readings came in there.
    texts: (position, time_us, value).
    """

    positions: Int32
    time_us: Int64
    last: Float64
    minimum: Float64
    maximum: Float64
    count: Int64
    late: tuple[tuple[int, int, int], ...] = ()
    texts: tuple[tuple[int, int, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.positions.size or self.late or self.texts)

    @property
    def size_bytes(self) -> int:
        """What keeping these rows costs."""
        return (
            _OVERHEAD_BYTES
            + self.positions.size * 44
            + len(self.late) * _LATE_BYTES
            + sum(_TEXT_BYTES + len(value) for _, _, value in self.texts)
        )

    def where(self, mask: Mask) -> Rows:
        """The rows for which `mask` (bool[n], of the numeric rows) holds."""
        if mask.all():
            return self
        return replace(
            self,
            positions=self.positions[mask],
            time_us=self.time_us[mask],
            last=self.last[mask],
            minimum=self.minimum[mask],
            maximum=self.maximum[mask],
            count=self.count[mask],
        )

    def at(self, wanted: Mask) -> Rows:
        """The rows whose position is wanted: bool[number of positions]."""
        return replace(
            self.where(wanted[self.positions]),
            late=tuple(row for row in self.late if wanted[row[0]]),
            texts=tuple(row for row in self.texts if wanted[row[0]]),
        )

    def with_late(self, position: int, from_us: int, to_us: int) -> Rows:
        """These, and the news that older readings came in."""
        return replace(self, late=(*self.late, (position, from_us, to_us)))

    def with_text(self, position: int, time_us: int, value: str) -> Rows:
        """These, and a text."""
        return replace(self, texts=(*self.texts, (position, time_us, value)))


def single(positions: Int32, time_us: Int64, values: Float64) -> Rows:
    """One reading a row."""
    return Rows(
        positions, time_us, values, values, values, np.ones(len(positions), np.int64)
    )


NONE = single(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


def merge(parts: Sequence[Rows]) -> Rows:
    """Several Rows, oldest first, as one: each position once, ascending.

    The last of a position is that of its newest part; minimum, maximum and count are
    over all of them. O(n log n), no loop over rows.
    """
    if not parts:
        return NONE
    if len(parts) == 1:
        return parts[0]
    late = _merge_late(row for part in parts for row in part.late)
    texts = _merge_texts(row for part in parts for row in part.texts)
    numeric = [part for part in parts if part.positions.size]
    if not numeric:
        return replace(NONE, late=late, texts=texts)
    if len(numeric) == 1:
        return replace(numeric[0], late=late, texts=texts)
    positions = np.concatenate([part.positions for part in numeric])
    # Stable: the rows of one position stay in the order of arrival.
    order = np.argsort(positions, kind="stable")
    positions = positions[order]
    starts = np.flatnonzero(np.diff(positions, prepend=positions[0] - 1))
    ends = np.append(starts[1:], len(positions)) - 1
    newest = order[ends]

    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in numeric])

    return Rows(
        positions[starts],
        column("time_us")[newest],
        column("last")[newest],
        np.minimum.reduceat(column("minimum")[order], starts),
        np.maximum.reduceat(column("maximum")[order], starts),
        np.add.reduceat(column("count")[order], starts),
        late,
        texts,
    )


def _merge_late(
    late: Iterable[tuple[int, int, int]],
) -> tuple[tuple[int, int, int], ...]:
    """One range a position: it may cover more than came in, never less."""
    ranges: dict[int, tuple[int, int]] = {}
    for position, start, end in late:
        kept = ranges.get(position, (start, end))
        ranges[position] = (min(kept[0], start), max(kept[1], end))
    return tuple((position, *kept) for position, kept in ranges.items())


def _merge_texts(
    texts: Iterable[tuple[int, int, str]],
) -> tuple[tuple[int, int, str], ...]:
    newest = {row[0]: row for row in texts}
    return tuple(newest.values())
