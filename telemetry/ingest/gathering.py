"""Batches of many senders, column by column: what will be one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from ..history.journal import Gathered, Mark, SessionKey
from .batch import Batch

# What a batch costs beside its columns, measured: its record, mark and numbers.
RECORD_BYTES = 288
READING_BYTES = 20
TEXT_BYTES = 160


class Sender(Protocol):
    """Who a batch came from, and is told what became of it. On the event loop."""

    def committed(self, seq: int | None) -> None:
        """Everything up to `seq` is on disk."""

    def refused(self, seq: int | None, reason: str) -> None:
        """The database cannot store this batch; it counts as done."""

    def gave_up(self) -> None:
        """What was submitted may be lost: forget that it was ever received."""

    def superseded(self) -> None:
        """The device is another process's now: nothing un-acked is stored here."""


class Record(Struct, frozen=True):
    """Where a batch's readings and texts begin in the columns, and whose they are."""

    sender: Sender
    seq: int | None
    session: SessionKey | None
    mark: Mark | None
    start: int
    text_start: int


@dataclass(slots=True)
class Gathering:
    """Batches of many senders that will be one commit."""

    columns: Gathered = field(default_factory=Gathered)
    records: list[Record] = field(default_factory=list)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    size_bytes: int = 0

    def add(
        self,
        batch: Batch,
        sender: Sender,
        seq: int | None,
        session: SessionKey | None,
        mark: Mark | None,
    ) -> int:
        """Take in one batch; returns what it costs in bytes."""
        columns = self.columns
        start, text_start = len(columns.series), len(columns.texts)
        _extend(columns.series, batch.series)
        _extend(columns.times_us, batch.times_us)
        _extend(columns.values, batch.values)
        columns.texts.extend(batch.texts)
        if session is not None and mark is not None:
            columns.marks[session] = mark
        self.records.append(Record(sender, seq, session, mark, start, text_start))
        size = RECORD_BYTES + READING_BYTES * (len(columns.series) - start)
        if batch.texts:
            size += sum(TEXT_BYTES + 4 * len(text[2]) for text in batch.texts)
        self.size_bytes += size
        return size

    def part(self, start: int, stop: int) -> Gathering:
        """Some of the batches as a gathering of their own."""
        return self.only(range(start, stop))

    def only(self, places: Iterable[int]) -> Gathering:
        """The batches at these places as a gathering of their own."""
        part = Gathering()
        ends = [(record.start, record.text_start) for record in self.records[1:]]
        ends.append((len(self.columns.series), len(self.columns.texts)))
        for record, end in ((self.records[at], ends[at]) for at in places):
            readings = slice(record.start, end[0])
            batch = Batch(
                self.columns.series[readings].tolist(),
                self.columns.times_us[readings].tolist(),
                self.columns.values[readings].tolist(),
                self.columns.texts[record.text_start : end[1]],
            )
            part.add(batch, record.sender, record.seq, record.session, record.mark)
        return part


def _extend(column: object, added: object) -> None:
    """Append a list or a numpy array to an array.array."""
    if isinstance(added, list):
        column.extend(added)  # type: ignore[attr-defined]
    elif len(added):  # type: ignore[arg-type]
        column.frombytes(memoryview(added).cast("B"))  # type: ignore[attr-defined, arg-type]
