"""telemetry.ingest.pipeline: what is gathered, held, waited for and drained."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.db import OperationalError

from telemetry.history import watermarks
from telemetry.history.journal import Mark
from telemetry.history.models import Journal, Writer
from telemetry.ingest import gathering
from telemetry.ingest import pipeline as pipelines
from telemetry.ingest.batch import Batch
from telemetry.protocol import clock

from .pipelines import (
    Gate,
    Sender,
    batch_of,
    run,
    running,
    started,
    submit_numbered,
    values,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quick_retries"),
]

# --- gathering and holding ------------------------------------------------------


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
    one = gathering.RECORD_BYTES + 10 * gathering.READING_BYTES

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
            assert await pipeline._folding.fold()
            assert not pipeline._folding.marks
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


# --- the end --------------------------------------------------------------------


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
