"""telemetry.ingest.folding: commits go on meanwhile; a failed fold is made up for."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from django.db import OperationalError

from telemetry.history import watermarks
from telemetry.history.journal import Mark
from telemetry.history.models import DeviceSession, SeriesHead, Writer
from telemetry.ingest import folding

from .pipelines import Sender, run, running, submit_numbered, values

pytestmark = pytest.mark.django_db(transaction=True)


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
            assert not await pipeline._folding.fold()
            assert await pipeline.watermark(1, "s") == Mark(1)
            assert await pipeline._folding.fold()

    run(scenario())
    assert SeriesHead.objects.get().value == 1.0
    assert DeviceSession.objects.get().last_seq == 1


def test_commits_go_on_during_a_fold_and_after_one_that_fails(monkeypatch, caplog):
    monkeypatch.setattr(folding, "FOLD_SECONDS", 0.001)
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
