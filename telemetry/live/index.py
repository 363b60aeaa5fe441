"""Which watched topics a tick's series belong to, by lookup arrays. Pure.

A series may be in several topics (its device's, each of its device's groups). One
pass over a tick serves all topics; a tick that nobody watches costs one lookup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..history.tick import Tick
from .rows import Int32, Rows, merge

Indexes = npt.NDArray[np.intp]
NOTHING = merge([])


@dataclass(frozen=True, slots=True)
class Part:
    """What of a tick is one topic's: rows of the tick, and their positions there."""

    topic: int
    rows: Indexes
    positions: Int32


class SeriesIndex:
    """Series id → (topic, position), for a fixed list of topics."""

    def __init__(self, topics: Sequence[Int32]) -> None:
        """topics: the series ids of each, in the order of its positions."""
        lengths = [len(ids) for ids in topics]
        none = np.empty(0, np.int32)
        ids = np.concatenate([none, *topics])
        order = np.argsort(ids, kind="stable")
        numbers = np.repeat(np.arange(len(topics), dtype=np.int32), lengths)
        positions = [np.arange(length, dtype=np.int32) for length in lengths]
        self._topic = numbers[order]
        self._position = np.concatenate([none, *positions])[order]
        # Dense: where the entries of a series id begin, by id. Ids are small.
        counts = np.bincount(ids) if len(ids) else np.zeros(0, np.intp)
        self._start = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)

    def places(self, series: int) -> list[tuple[int, int]]:
        """(topic, position) of one series; none if nobody watches it."""
        if not 0 <= series < len(self._start) - 1:
            return []
        entries = slice(self._start[series], self._start[series + 1])
        topics = self._topic[entries].tolist()
        return list(zip(topics, self._position[entries].tolist(), strict=True))

    def split(self, series: Int32) -> Iterator[Part]:
        """The parts of a tick; `series` ascending, as a tick's are."""
        series = series[: np.searchsorted(series, len(self._start) - 1)]
        begin = self._start[series]
        counts = self._start[series + 1] - begin
        total = int(counts.sum())
        if not total:
            return
        rows = np.repeat(np.arange(len(series)), counts)
        before = np.cumsum(counts) - counts
        entries = np.repeat(begin - before, counts) + np.arange(total)
        topics, positions = self._topic[entries], self._position[entries]
        order = np.argsort(topics, kind="stable")
        ends = np.flatnonzero(np.diff(topics[order])) + 1
        for part in np.split(order, ends):
            yield Part(int(topics[part[0]]), rows[part], positions[part])

    def rows_of(self, tick: Tick) -> dict[int, Rows]:
        """What of the tick is each topic's, by its place in the list."""
        found = {part.topic: _rows(tick, part) for part in self.split(tick.series)}
        # Few: late readings and texts go one by one.
        for series, start, end in tick.late:
            for topic, position in self.places(series):
                rows = found.get(topic, NOTHING)
                found[topic] = rows.with_late(position, start, end)
        for series, time_us, text in tick.texts:
            for topic, position in self.places(series):
                rows = found.get(topic, NOTHING)
                found[topic] = rows.with_text(position, time_us, text)
        return found


def _rows(tick: Tick, part: Part) -> Rows:
    rows = part.rows
    return Rows(
        part.positions,
        tick.times_us[rows],
        tick.last[rows],
        tick.minimum[rows],
        tick.maximum[rows],
        tick.counts[rows],
    )
