"""telemetry.ingest.committing: what is acked is on disk, once, whatever commits do."""

from __future__ import annotations

import asyncio
import random

import pytest
from django.db import (
    DatabaseError,
    DataError,
    InterfaceError,
    InternalError,
    OperationalError,
)

from telemetry.history import watermarks
from telemetry.history.journal import Mark, Row
from telemetry.history.models import Journal, SeriesHead, Writer
from telemetry.history.queries.query import read_sync
from telemetry.history.tick import Tick
from telemetry.ingest import committing
from telemetry.ingest.batch import Batch
from telemetry.ingest.pipeline import Pipeline
from telemetry.protocol import clock

from .pipelines import (
    Faults,
    Sender,
    batch_of,
    in_turn,
    run,
    running,
    stored,
    submit_numbered,
    values,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quick_retries"),
]

WINDOW = 4
BAD_DATA, BAD_VALUE = -1.0, -2.0

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
    with_tail, without = (
        read_sync(ids, *span, pipeline._committer._tail),
        read_sync(ids, *span),
    )
    for id_ in ids:
        assert with_tail[id_][1].tolist() == without[id_][1].tolist()
    # Everything is folded, and the writer is done with.
    assert Writer.objects.get().ended_at is not None
    newest = {series: v for _, _, series, v in stored()}
    heads = SeriesHead.objects.values_list("series_id", "value")
    assert dict(heads) == newest


# --- single faults --------------------------------------------------------------


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
    monkeypatch.setattr(committing, "SLOW_SECONDS", 0.0)
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
