"""telemetry.ingest.pipeline: what is acked is on disk, once, whatever commits do.

The journal is a real one; faults are put around `Row.write`, where they happen.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from django.db import (
    DatabaseError,
    DataError,
    InterfaceError,
    InternalError,
    OperationalError,
)

from telemetry.history import watermarks
from telemetry.history.heads import Heads
from telemetry.history.journal import Mark, Row, decode_columns, rows_after
from telemetry.history.models import DeviceSession, Journal, SeriesHead, Writer
from telemetry.history.queries.query import read_sync
from telemetry.history.tail import Tail
from telemetry.history.tick import Tick
from telemetry.ingest import pipeline as pipelines
from telemetry.ingest.batch import Batch
from telemetry.ingest.pipeline import Pipeline
from telemetry.protocol import clock

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")
WINDOW = 4
BAD_DATA, BAD_VALUE = -1.0, -2.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(pipelines, "LONGEST_RETRY_SECONDS", 0.004)


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


# --- the property ---------------------------------------------------------------


class Device:
    """Keeps the protocol: numbers its batches, and sends again what is not acked."""

    def __init__(self, id_: int, batches: int, rng: random.Random) -> None:
        self.id = id_
        self.rng = rng
        self.session = f"session-{id_}"
        # The value of a batch tells which it is, from device and number.
        self.values = {
            seq: rng.choice([BAD_DATA, BAD_VALUE])
            if rng.random() < 0.05
            else id_ * 1e6 + seq
            for seq in range(1, batches + 1)
        }
        self.acked = 0
        self.refused: set[int] = set()
        self.connection: Connection | None = None
        self.news = asyncio.Event()

    async def run(self, pipeline: Pipeline) -> None:
        while self.acked < len(self.values):
            await self._connect(pipeline)
            assert self.connection is not None
            await self.connection.send(pipeline)

    async def _connect(self, pipeline: Pipeline) -> None:
        self.connection = connection = Connection(self)
        await pipeline.flush()
        mark = await pipeline.watermark(self.id, self.session)
        seq = mark.last_seq if mark else 0
        # What was acked is on disk, so no welcome may say less.
        assert seq >= self.acked
        self.acked = connection.sent = connection.acked = seq


class Connection:
    """One socket of a device, as the pipeline's sender."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.acked = self.sent = 0
        self.is_lost = False
        self.refused_now: list[int] = []

    async def send(self, pipeline: Pipeline) -> None:
        device = self.device
        while not self.is_lost and self.acked < len(device.values):
            device.news.clear()
            if self.sent < min(self.acked + WINDOW, len(device.values)):
                self.sent += 1
                pipeline.submit(
                    batch_of(device.values[self.sent], series=device.id),
                    self,
                    self.sent,
                    (device.id, device.session),
                    Mark(self.sent),
                )
                await asyncio.sleep(0)
            else:
                await device.news.wait()
            if device.rng.random() < 0.03:
                return  # The network: a new socket takes over.

    def committed(self, seq: int | None) -> None:
        assert seq is not None
        assert self.acked < seq <= self.sent
        assert not self.is_lost
        self.acked = seq
        self.device.acked = max(self.device.acked, seq)
        self.device.refused |= {each for each in self.refused_now if each <= seq}
        self.device.news.set()

    def refused(self, seq: int | None, reason: str) -> None:
        assert seq is not None
        self.refused_now.append(seq)

    def gave_up(self) -> None:
        self.is_lost = True
        self.device.news.set()

    def superseded(self) -> None:
        raise AssertionError("there is one process")


def random_faults(rng: random.Random):
    def plan(row: Row) -> tuple[Exception | None, bool]:
        if BAD_DATA in row.gathered.values:
            return DataError("out of range"), False
        if BAD_VALUE in row.gathered.values:
            return ValueError("a NUL"), False
        fault: Exception | None = None
        luck = rng.random()
        if luck < 0.25:
            fault = OperationalError("database is locked")
        elif luck < 0.30:
            fault = RuntimeError("a fault of ours")
        return fault, rng.random() < 0.5

    return plan


@pytest.mark.parametrize("seed", range(20))
def test_what_is_acked_is_stored_once_and_in_order(monkeypatch, seed: int):
    rng = random.Random(seed)
    Faults(monkeypatch, random_faults(rng))
    ticks: list[Tick] = []

    async def scenario() -> tuple[Pipeline, list[Device]]:
        devices = [Device(id_, rng.randint(20, 60), rng) for id_ in range(1, 6)]
        async with running(commit_readings=rng.choice([1, 3, 20_000])) as pipeline:
            pipeline.listen(ticks.append)
            await asyncio.gather(*(device.run(pipeline) for device in devices))
            await pipeline.flush()
        return pipeline, devices

    pipeline, devices = run(scenario())
    for device in devices:
        assert device.acked == len(device.values)
        good = [v for v in device.values.values() if v > 0]
        assert [v for _, _, series, v in stored() if series == device.id] == good
        # A batch that the database cannot store is listed, unless its ack was lost.
        bad = {seq for seq, v in device.values.items() if v < 0}
        assert device.refused <= bad
        mark = watermarks.last_mark(device.id, device.session, own_writer=0)
        assert mark == Mark(len(device.values))
    numbers = Journal.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, len(numbers) + 1))
    assert [tick.number for tick in ticks] == list(numbers)
    ids = [device.id for device in devices]
    span = (0, 2 * clock.now_us())
    with_tail, without = read_sync(ids, *span, pipeline._tail), read_sync(ids, *span)
    for id_ in ids:
        assert with_tail[id_][1].tolist() == without[id_][1].tolist()
    # Everything is folded, and the writer is done with.
    assert Writer.objects.get().ended_at is not None
    newest = {series: v for _, _, series, v in stored()}
    heads = SeriesHead.objects.values_list("series_id", "value")
    assert dict(heads) == newest


# --- single faults --------------------------------------------------------------


def submit_numbered(
    pipeline: Pipeline, sender: Sender, *numbered: tuple[int, float], device: int = 1
) -> None:
    for seq, value in numbered:
        pipeline.submit(batch_of(value), sender, seq, (device, "s"), Mark(seq))


@pytest.mark.parametrize("is_after", [False, True])
def test_a_commit_that_fails_is_repeated_as_it_was_before_anything_later(
    monkeypatch, is_after: bool
):
    locked = OperationalError("database is locked"), is_after
    faults = Faults(monkeypatch, in_turn(locked, locked))
    sender = Sender()

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, sender, (1, 1.0))
            while not faults.rows:
                await asyncio.sleep(0.001)
            submit_numbered(pipeline, sender, (2, 2.0))
            await pipeline.flush()

    run(scenario())
    assert [row.number for row in faults.rows] == [1, 1, 1, 2]
    assert faults.rows[0] is faults.rows[1] is faults.rows[2]
    assert values() == [1.0, 2.0]
    assert sender.committed_seqs == [1, 2]


def test_stall_is_told_and_ends_with_the_first_commit(monkeypatch):
    Faults(monkeypatch, in_turn(*[OperationalError("full")] * 3))
    told: list[bool] = []

    async def scenario() -> None:
        async with running() as pipeline:
            pipeline.listen_for_stalls(told.append)
            pipeline.submit(batch_of(1.0), Sender())
            while not told:
                await asyncio.sleep(0.001)
            assert pipeline.is_stalled
            await pipeline.flush()
            assert not pipeline.is_stalled

    run(scenario())
    assert told == [True, False]


def test_a_commit_that_only_takes_long_counts_as_a_stall(monkeypatch):
    monkeypatch.setattr(pipelines, "SLOW_SECONDS", 0.0)
    told: list[bool] = []

    async def scenario() -> None:
        async with running() as pipeline:
            pipeline.listen_for_stalls(told.append)
            pipeline.submit(batch_of(1.0), Sender())
            await pipeline.flush()

    run(scenario())
    assert told == [True, False]


@pytest.mark.parametrize("error", [DataError("out of range"), ValueError("a NUL")])
def test_of_many_batches_only_the_bad_one_is_refused(monkeypatch, error: Exception):
    Faults(
        monkeypatch,
        lambda row: (error if 13.0 in row.gathered.values else None, False),
    )
    good, bad = Sender(), Sender()

    async def scenario() -> None:
        async with running() as pipeline:
            numbered = [(seq, float(seq)) for seq in range(1, 21)]
            for seq, value in numbered:
                sender, device = (bad, 2) if seq in (12, 13, 14) else (good, 1)
                submit_numbered(pipeline, sender, (seq, value), device=device)
            await pipeline.flush()
            assert await pipeline.watermark(2, "s") == Mark(14)

    run(scenario())
    assert values() == [float(seq) for seq in range(1, 21) if seq != 13]
    assert good.refused_seqs == []
    assert bad.refused_seqs == [13]
    # In order, and none ahead of the bad one before that was done with.
    assert bad.committed_seqs == sorted(set(bad.committed_seqs), key=str)
    assert bad.committed_seqs[-1] == 14
    assert not (good.is_lost or bad.is_lost)


@pytest.mark.parametrize(
    "fault",
    [
        DatabaseError("database disk image is malformed"),
        InternalError("cannot execute INSERT in a read-only transaction"),
        InterfaceError("connection already closed"),
    ],
)
def test_only_bad_data_is_refused_everything_else_is_tried_again(
    monkeypatch, caplog, fault: Exception
):
    Faults(monkeypatch, in_turn((fault, False), (fault, False)))
    sender = Sender()
    stalls: list[bool] = []

    async def scenario() -> None:
        async with running() as pipeline:
            pipeline.listen_for_stalls(stalls.append)
            submit_numbered(pipeline, sender, (1, 1.0), (2, 2.0))
            await pipeline.flush()

    run(scenario())
    assert stalls == [True, False]
    assert sender.committed_seqs[-1:] == [2]
    assert not sender.is_lost
    assert values() == [1.0, 2.0]


@pytest.mark.parametrize("is_after", [False, True])
def test_after_a_fault_of_ours_no_number_is_used_twice(
    monkeypatch, caplog, is_after: bool
):
    Faults(monkeypatch, in_turn((RuntimeError("a fault of ours"), is_after)))
    first, second = Sender(), Sender()

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, first, (1, 1.0))
            await pipeline.flush()
            submit_numbered(pipeline, second, (1, 5.0), device=2)
            await pipeline.flush()

    run(scenario())
    assert first.is_lost is not is_after
    assert first.committed_seqs == ([1] if is_after else [])
    assert second.committed_seqs == [1]
    assert values() == ([1.0, 5.0] if is_after else [5.0])


def test_a_stall_that_ends_in_a_fault_pauses_nobody_for_ever(monkeypatch, caplog):
    Faults(
        monkeypatch, in_turn(OperationalError("away"), RuntimeError("a fault of ours"))
    )
    sender = Sender()

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, sender, (1, 1.0))
            await pipeline.flush()
            assert sender.is_lost
            assert not pipeline.is_stalled

    run(scenario())


def test_a_listener_that_fails_sends_no_device_away(caplog):
    sender = Sender()
    ticks: list[Tick] = []

    def fail(tick: Tick) -> None:
        raise RuntimeError("a live page")

    async def scenario() -> None:
        async with running() as pipeline:
            pipeline.listen(fail)
            pipeline.listen(ticks.append)
            submit_numbered(pipeline, sender, (1, 1.0))
            await pipeline.flush()

    run(scenario())
    assert sender.committed_seqs == [1]
    assert not sender.is_lost
    assert len(ticks) == 1
    assert "a live page" in caplog.text


def test_a_batch_without_a_number_does_not_hide_the_ack_of_one_with(monkeypatch):
    sender = Sender()

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, sender, (1, 1.0))
            pipeline.submit(batch_of(2.0), sender)
            await pipeline.flush()

    run(scenario())
    assert sender.committed_seqs == [1]
    assert values() == [1.0, 2.0]


# --- gathering and holding ------------------------------------------------------


class Gate:
    """Holds all writes until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open = False
        self.faults = Faults(monkeypatch, self._plan)

    def _plan(self, row: Row) -> tuple[Exception | None, bool]:
        return (None if self.is_open else OperationalError("locked")), False


def test_what_comes_during_a_commit_makes_one_more(monkeypatch):
    gate = Gate(monkeypatch)
    senders = [Sender() for _ in range(50)]

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, Sender(), (1, 0.0), device=99)
            while not gate.faults.rows:
                await asyncio.sleep(0.001)
            for device, sender in enumerate(senders, 1):
                numbered = [(seq, float(seq)) for seq in (1, 2, 3)]
                submit_numbered(pipeline, sender, *numbered, device=device)
            gate.is_open = True
            await pipeline.flush()

    run(scenario())
    assert Journal.objects.count() == 2
    assert all(sender.committed_seqs == [3] for sender in senders)


@pytest.mark.parametrize(
    "sizes, commits",
    [
        ([10] * 10, [100]),
        ([10] * 11, [100, 10]),
        ([99, 2, 98], [99, 100]),
        ([250], [250]),
        ([1, 250, 1], [1, 250, 1]),
    ],
)
def test_a_commit_is_as_large_as_is_set_or_one_message(
    monkeypatch, sizes: list[int], commits: list[int]
):
    async def scenario() -> None:
        async with running(commit_readings=100) as pipeline:
            for size in sizes:
                pipeline.submit(batch_of(*[1.0] * size), Sender())
            await pipeline.flush()

    run(scenario())
    rows = Journal.objects.order_by("number")
    assert list(rows.values_list("count", flat=True)) == commits


@pytest.mark.parametrize("over", [0, 1])
def test_no_room_is_left_above_the_limit_until_a_commit_makes_some(
    monkeypatch, over: int
):
    gate = Gate(monkeypatch)
    one = pipelines.RECORD_BYTES + 10 * pipelines.READING_BYTES

    async def scenario() -> None:
        async with running(held_bytes=5 * one - over) as pipeline:
            for held in range(1, 6):
                assert pipeline.has_room
                pipeline.submit(batch_of(*[float(held)] * 10), Sender())
            assert pipeline.has_room is not bool(over)
            waiting = asyncio.ensure_future(pipeline.room())
            await asyncio.sleep(0.01)
            assert waiting.done() is not bool(over)
            gate.is_open = True
            await waiting
            await pipeline.flush()
            assert pipeline.has_room
            assert pipeline._held_bytes == 0

    run(scenario())
    assert len(values()) == 50


def test_texts_count_towards_what_is_held(monkeypatch):
    gate = Gate(monkeypatch)

    async def scenario() -> None:
        async with running(held_bytes=20_000) as pipeline:
            texts = [(1, clock.now_us(), "x" * 256) for _ in range(20)]
            pipeline.submit(Batch([], [], [], texts), Sender())
            assert not pipeline.has_room
            gate.is_open = True
            await pipeline.flush()
            assert pipeline.has_room

    run(scenario())


# --- flush and takeover ---------------------------------------------------------


def test_flush_with_nothing_submitted_returns():
    async def scenario() -> None:
        async with running() as pipeline:
            await pipeline.flush()

    run(scenario())
    assert Journal.objects.count() == 0


def test_flush_waits_for_the_commit_that_runs_and_for_what_is_queued(monkeypatch):
    gate = Gate(monkeypatch)
    sender = Sender()

    async def scenario() -> None:
        async with running(commit_readings=1) as pipeline:
            submit_numbered(pipeline, sender, (1, 1.0))
            while not gate.faults.rows:
                await asyncio.sleep(0.001)
            during = asyncio.ensure_future(pipeline.flush())
            submit_numbered(pipeline, sender, (2, 2.0), (3, 3.0))
            after = asyncio.ensure_future(pipeline.flush())
            await asyncio.sleep(0.01)
            assert not during.done()
            assert not after.done()
            gate.is_open = True
            await during
            assert 1 in sender.committed_seqs
            await after
            assert sender.committed_seqs == [1, 2, 3]

    run(scenario())


def test_a_flush_that_is_abandoned_harms_nobody(monkeypatch):
    gate = Gate(monkeypatch)
    sender = Sender()

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, sender, (1, 1.0))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(pipeline.flush(), 0.01)
            gate.is_open = True
            await pipeline.flush()

    run(scenario())
    assert sender.committed_seqs == [1]


def test_takeover_sees_what_the_older_socket_had_on_its_way(monkeypatch):
    gate = Gate(monkeypatch)

    async def scenario() -> Mark | None:
        async with running() as pipeline:
            submit_numbered(pipeline, Sender(), (1, 1.0), (2, 2.0))
            gate.is_open = True
            await pipeline.flush()
            return await pipeline.watermark(1, "s")

    assert run(scenario()) == Mark(2)


def test_watermark_survives_the_fold_and_the_process():
    async def first() -> Mark | None:
        async with running() as pipeline:
            submit_numbered(pipeline, Sender(), (7, 1.0))
            await pipeline.flush()
            assert await pipeline._fold()
            assert not pipeline._unfolded
            return await pipeline.watermark(1, "s")

    async def second() -> tuple[Mark | None, Mark | None]:
        async with running() as pipeline:
            return (
                await pipeline.watermark(1, "s"),
                await pipeline.watermark(1, "another"),
            )

    assert run(first()) == Mark(7)
    assert run(second()) == (Mark(7), None)


def test_watermark_waits_for_a_database_that_is_away(monkeypatch):
    last_mark = watermarks.last_mark
    failures = iter([OperationalError("away"), OperationalError("away")])

    def away(*args) -> Mark | None:
        for failure in failures:
            raise failure
        return last_mark(*args)

    monkeypatch.setattr(watermarks, "last_mark", away)

    async def scenario() -> Mark | None:
        async with running() as pipeline:
            return await pipeline.watermark(1, "s")

    assert run(scenario()) is None


def test_a_step_back_of_the_clock_does_not_move_arrivals_back(monkeypatch):
    async def scenario() -> None:
        async with running() as pipeline:
            for moved_us in (0, -3_600_000_000, 5):
                now = clock.now_us() + moved_us
                monkeypatch.setattr(clock, "now_us", lambda now=now: now)
                pipeline.submit(Batch([1], [now], [1.0]), Sender())
                await pipeline.flush()

    run(scenario())
    rows = Journal.objects.order_by("number").values_list("received_at", flat=True)
    assert list(rows) == sorted(rows)


# --- fold and end ---------------------------------------------------------------


def break_folds(
    monkeypatch: pytest.MonkeyPatch, *faults: Exception
) -> deque[Exception]:
    """Make the next folds fail; returns the faults that are left."""
    left = deque(faults)
    fold_heads = watermarks._fold_heads

    def fold(*heads) -> None:
        if left:
            raise left.popleft()
        fold_heads(*heads)

    monkeypatch.setattr(watermarks, "_fold_heads", fold)
    return left


@pytest.mark.parametrize("fault", [OperationalError("locked"), KeyError("ours")])
def test_a_fold_that_fails_is_made_up_for_by_the_next(monkeypatch, caplog, fault):
    break_folds(monkeypatch, fault)

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, Sender(), (1, 1.0))
            await pipeline.flush()
            assert not await pipeline._fold()
            assert await pipeline.watermark(1, "s") == Mark(1)
            assert await pipeline._fold()

    run(scenario())
    assert SeriesHead.objects.get().value == 1.0
    assert DeviceSession.objects.get().last_seq == 1


def test_commits_go_on_during_a_fold_and_after_one_that_fails(monkeypatch, caplog):
    monkeypatch.setattr(pipelines, "FOLD_SECONDS", 0.001)
    left = break_folds(monkeypatch, *[KeyError("ours")] * 3)
    sender = Sender()

    async def scenario() -> int:
        seq = 0
        async with running() as pipeline:
            while left or seq < 40:
                seq += 1
                submit_numbered(pipeline, sender, (seq, float(seq)))
                await asyncio.sleep(0.002)
            await pipeline.flush()
        return seq

    last = run(scenario())
    assert sender.committed_seqs[-1] == last
    assert values() == [float(seq) for seq in range(1, last + 1)]
    assert SeriesHead.objects.get().value == last


def test_a_writer_that_could_not_fold_is_not_ended(monkeypatch, caplog):
    break_folds(monkeypatch, *[OperationalError("locked")] * 9)

    async def scenario() -> None:
        async with running() as pipeline:
            submit_numbered(pipeline, Sender(), (1, 1.0))

    run(scenario())
    assert Writer.objects.get().ended_at is None
    assert watermarks.last_mark(1, "s", own_writer=0) == Mark(1)


def test_drain_commits_what_was_submitted(monkeypatch):
    sender = Sender()

    async def scenario() -> bool:
        pipeline = await started(commit_readings=1)
        submit_numbered(pipeline, sender, *[(seq, 1.0) for seq in range(1, 30)])
        return await pipeline.drain(10)

    assert run(scenario())
    assert sender.committed_seqs[-1] == 29
    assert Writer.objects.get().ended_at is not None


def test_drain_gives_up_on_a_database_that_stays_away(monkeypatch):
    Gate(monkeypatch)
    sender, later = Sender(), Sender()

    async def scenario() -> bool:
        pipeline = await started(commit_readings=1)
        submit_numbered(pipeline, sender, (1, 1.0))
        await asyncio.sleep(0.01)
        submit_numbered(pipeline, later, (1, 1.0), device=2)
        waiting = asyncio.ensure_future(pipeline.flush())
        is_drained = await pipeline.drain(0.05)
        await waiting
        return is_drained

    assert run(scenario()) is False
    assert sender.is_lost
    assert later.is_lost
    assert sender.committed_seqs == []
    assert values() == []
    assert Writer.objects.get().ended_at is None


@pytest.mark.parametrize("is_held", [True, False], ids=["with readings", "with none"])
def test_drain_ends_while_the_database_says_nothing(is_held, monkeypatch):
    monkeypatch.setattr(pipelines, "LAST_SECONDS", 0.05)
    answers = threading.Event()
    sender = Sender()

    async def scenario() -> bool:
        pipeline = await started()
        # As a statement does whose server was stopped.
        pipeline._executor.submit(answers.wait)
        if is_held:
            submit_numbered(pipeline, sender, (1, 1.0))
        try:
            return await pipeline.drain(0.05)
        finally:
            answers.set()
            await asyncio.to_thread(pipeline._executor.shutdown)

    assert run(scenario()) is not is_held
    assert sender.is_lost is is_held
    assert sender.committed_seqs == []
    # It may have written something: the next start looks.
    assert Writer.objects.get().ended_at is None
