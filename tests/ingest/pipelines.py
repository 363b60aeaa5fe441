"""A pipeline of its own for each test, on a real journal with faults around it.

Faults are put around `Row.write`, where they happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from django.db import OperationalError

from telemetry.history.heads import Heads
from telemetry.history.journal import Mark, Row, decode_columns, rows_after
from telemetry.history.models import Journal
from telemetry.history.tail import Tail
from telemetry.ingest.batch import Batch
from telemetry.ingest.pipeline import Pipeline
from telemetry.protocol import clock

T = TypeVar("T")


def run(scenario: Awaitable[T]) -> T:
    """Run a scenario on a loop of its own; the ORM is free before and after it."""
    return asyncio.run(asyncio.wait_for(scenario, 60))


async def started(**options) -> Pipeline:
    settings = {
        "gather_ms": 0,
        "commit_readings": 20_000,
        "held_bytes": 64 * 1024 * 1024,
        "sessions_per_device": 8,
    } | options
    pipeline = Pipeline(Heads(), Tail(10**6), **settings)
    await pipeline.start()
    return pipeline


@asynccontextmanager
async def running(**options) -> AsyncIterator[Pipeline]:
    pipeline = await started(**options)
    yield pipeline
    assert await pipeline.drain(10)


def batch_of(*values: float, series: int = 1) -> Batch:
    now = clock.now_us()
    times = [now + at for at in range(len(values))]
    return Batch([series] * len(values), times, list(values))


@dataclass(eq=False)
class Sender:
    """Remembers what it was told."""

    committed_seqs: list[int | None] = field(default_factory=list)
    refused_seqs: list[int | None] = field(default_factory=list)
    is_lost: bool = False
    is_superseded: bool = False

    def committed(self, seq: int | None) -> None:
        self.committed_seqs.append(seq)

    def refused(self, seq: int | None, reason: str) -> None:
        assert reason == "bad_request"
        self.refused_seqs.append(seq)

    def gave_up(self) -> None:
        self.is_lost = True

    def superseded(self) -> None:
        self.is_superseded = True


def stored() -> list[tuple[int, int, int, float]]:
    """(writer, number, series, value) of all readings, in order of arrival."""
    found = []
    for writer in Journal.objects.values_list("writer_id", flat=True).distinct():
        for number, _, row in rows_after(writer, 0):
            series, _, values = decode_columns(row)
            found += [
                (writer, number, *reading)
                for reading in zip(series.tolist(), values.tolist(), strict=True)
            ]
    return sorted(found, key=lambda each: each[:2])


def values() -> list[float]:
    return [reading[3] for reading in stored()]


class Faults:
    """Puts what `plan` gives around each write: a fault, and when it strikes."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        plan: Callable[[Row], tuple[Exception | None, bool]],
    ) -> None:
        self.rows: list[Row] = []
        write = Row.write

        def faulty(row: Row) -> None:
            self.rows.append(row)
            fault, is_after = plan(row)
            if fault is None or is_after:
                write(row)
            if fault is not None:
                raise fault

        monkeypatch.setattr(Row, "write", faulty)


def in_turn(
    *faults: tuple[Exception | None, bool] | Exception | None,
) -> Callable[[Row], tuple[Exception | None, bool]]:
    """These faults for the first writes, none for all others."""
    left: Iterator = iter(faults)

    def plan(row: Row) -> tuple[Exception | None, bool]:
        fault = next(left, None)
        return fault if isinstance(fault, tuple) else (fault, False)

    return plan


def submit_numbered(
    pipeline: Pipeline, sender: Sender, *numbered: tuple[int, float], device: int = 1
) -> None:
    for seq, value in numbered:
        pipeline.submit(batch_of(value), sender, seq, (device, "s"), Mark(seq))


class Gate:
    """Holds all writes until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open = False
        self.faults = Faults(monkeypatch, self._plan)

    def _plan(self, row: Row) -> tuple[Exception | None, bool]:
        return (None if self.is_open else OperationalError("locked")), False
