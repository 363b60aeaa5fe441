"""The newest readings in memory, sorted by series: what no block holds yet.

A commit becomes a chunk; neighbouring chunks of one writer are merged when they
are of like size, so that n readings make about log n chunks and each reading is
moved about log n times. Chunks never change: a reader works on a copy of the list.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .journal import readable_columns, rows_after
from .models import Journal
from .tick import Columns, Floats, Int64s, sort_columns

# A chunk of this many readings (5 MB, sorted in ~25 ms) is not merged any further.
CHUNK_READINGS = 262_144
# Commits are merged in groups of this many: one pass over each instead of eight.
FAN_IN = 8
# Rows that are loaded at once, at most: one short statement.
PAGE_ROWS = 5_000

# (low, high): a writer's rows with low < number ≤ high.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The readings of a writer's rows from `first` to `last`."""

    writer: int
    first: int
    last: int
    columns: Columns


class Tail:
    """Chunks of all writers, newest kept, at most `most_readings` in all.

    Of each writer it holds the rows of a span, low < number ≤ high; those before and
    after are in the journal alone. Nobody tells it what other processes commit.
    Thread-safe: commits add on the writer's thread, queries read on theirs.
    """

    def __init__(self, most_readings: int) -> None:
        self._most_readings = most_readings
        self._lock = threading.Lock()
        self._chunks: list[Chunk] = []
        self._low: dict[int, int] = {}
        self._high: dict[int, int] = {}
        self._readings = 0
        self._is_full = False

    def __len__(self) -> int:
        return self._readings

    def add(self, writer: int, number: int, columns: Columns) -> None:
        """Take in one commit; numbers of a writer come in ascending order."""
        with self._lock:
            self._low.setdefault(writer, number - 1)
            self._high[writer] = number
            self._chunks.append(Chunk(writer, number, number, columns))
            self._readings += len(columns)
            self._merge_newest()
            self._forget_oldest()

    def view(self) -> tuple[list[Chunk], dict[int, Span]]:
        """The chunks, and the span of each writer's rows that they hold."""
        with self._lock:
            spans = {
                writer: (low, self._high[writer]) for writer, low in self._low.items()
            }
            return list(self._chunks), spans

    def drop_sealed(self, sealed_to: Mapping[int, int]) -> None:
        """Forget chunks that blocks hold: by writer, the rows up to a number.

        A chunk with a row that is not sealed stays: a reading found twice is one.
        """
        with self._lock:
            kept: list[Chunk] = []
            for chunk in self._chunks:
                if chunk.last <= sealed_to.get(chunk.writer, 0):
                    self._readings -= len(chunk.columns)
                    self._low[chunk.writer] = max(
                        chunk.last, self._low.get(chunk.writer, 0)
                    )
                else:
                    kept.append(chunk)
            self._chunks = kept
            for writer, sealed in sealed_to.items():
                if self._high.get(writer, sealed + 1) <= sealed:
                    # All of it is in blocks: nothing of it is to be looked for here.
                    self._low[writer] = self._high[writer]

    def load(self, own_writer: int) -> None:
        """Read what other writers have in the journal by now, newest first."""
        writers = (
            Journal.objects.exclude(writer_id=own_writer)
            .order_by("-writer_id")
            .values_list("writer_id", flat=True)
            .distinct()
        )
        for writer in list(writers):
            if not self._load_writer(writer):
                return

    def _load_writer(self, writer: int) -> bool:
        """Load pages of rows from the newest back; False: the tail is full."""
        newest = (
            Journal.objects.filter(writer_id=writer)
            .order_by("-number")
            .values_list("number", flat=True)
            .first()
        )
        high = newest or 0
        while high > 0:
            low = _page_start(writer, high)
            parts: list[tuple[np.ndarray, ...]] = []
            for number, _, row in rows_after(writer, low, high):
                decoded = readable_columns(writer, number, row)
                if decoded is not None:
                    parts.append(decoded)
            columns = sort_columns(*_joined(parts)) if parts else None
            if not self._put_first(writer, low, high, columns):
                return False
            high = low
        return True

    def _put_first(
        self, writer: int, low: int, high: int, columns: Columns | None
    ) -> bool:
        with self._lock:
            size = len(columns) if columns else 0
            self._low.setdefault(writer, high)
            self._high.setdefault(writer, high)
            # Once full, what is older than the tail stays in the journal: no holes.
            if self._is_full or self._readings + size > self._most_readings:
                return False
            self._low[writer] = low
            if columns:
                self._chunks.insert(0, Chunk(writer, low + 1, high, columns))
                self._readings += size
            return True

    def _merge_newest(self) -> None:
        """Merge the last FAN_IN chunks while they are of like size."""
        while len(self._chunks) >= FAN_IN:
            group = self._chunks[-FAN_IN:]
            sizes = [len(chunk.columns) for chunk in group]
            total = sum(sizes)
            is_like = sizes[0] <= FAN_IN * max(sizes[-1], 1)
            one_writer = all(chunk.writer == group[0].writer for chunk in group)
            if not (is_like and one_writer and total <= CHUNK_READINGS):
                return
            self._chunks[-FAN_IN:] = [_merged(group)]

    def _forget_oldest(self) -> None:
        while self._readings > self._most_readings and len(self._chunks) > 1:
            self._is_full = True
            oldest = self._chunks.pop(0)
            self._readings -= len(oldest.columns)
            self._low[oldest.writer] = oldest.last


def _page_start(writer: int, high: int) -> int:
    """After which number to load, so that the rows up to `high` make about a chunk."""
    rows = (
        Journal.objects.filter(writer_id=writer, number__lte=high)
        .order_by("-number")
        .values_list("number", "count")[:PAGE_ROWS]
    )
    start, readings = 0, 0
    for number, count in rows:
        if readings and readings + count > CHUNK_READINGS:
            break
        start, readings = number - 1, readings + count
    return start


def _joined(parts: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _merged(chunks: Sequence[Chunk]) -> Chunk:
    """Neighbouring chunks as one; the stable sort keeps the order of arrival."""
    columns = [chunk.columns for chunk in chunks]
    return Chunk(
        chunks[0].writer,
        chunks[0].first,
        chunks[-1].last,
        sort_columns(
            np.concatenate([part.series for part in columns]),
            np.concatenate([part.times_us for part in columns]),
            np.concatenate([part.values for part in columns]),
        ),
    )


def of_chunks(
    chunks: Sequence[Chunk], series: int, from_us: int, to_us: int
) -> list[tuple[Int64s, Floats]]:
    """The parts of one series' readings with from ≤ time < to, oldest chunk first."""
    parts = (chunk.columns.of(series, from_us, to_us) for chunk in chunks)
    return [part for part in parts if len(part[0])]
