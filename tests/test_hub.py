"""telemetry.hub: one process's rooms start, take over, and end in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.db import connection

from telemetry.history import rounds
from telemetry.history.journal import Mark
from telemetry.history.models import Block, Writer
from telemetry.history.queries.query import read_sync
from telemetry.hub import Hub
from telemetry.ingest import folding
from telemetry.ingest.batch import Batch
from telemetry.protocol import clock
from telemetry.threads import on_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


class Sender:
    def committed(self, seq: int | None) -> None:
        pass

    def refused(self, seq: int | None, reason: str) -> None:
        raise AssertionError(reason)

    def gave_up(self) -> None:
        raise AssertionError("the pipeline gave up")

    def superseded(self) -> None:
        raise AssertionError("the device has gone to another process")


@asynccontextmanager
async def started() -> AsyncIterator[Hub]:
    hub = Hub()
    await hub.start()
    try:
        yield hub
    finally:
        await hub.drain()


async def store(hub: Hub, seq: int, *values: float) -> None:
    """Readings of series 1, and a text of series 2, as device 1 sends them."""
    now = clock.now_us()
    texts = [(2, now, f"text {seq}")]
    times = [now + at for at in range(len(values))]
    batch = Batch([1] * len(values), times, list(values), texts)
    hub.pipeline.submit(batch, Sender(), seq, (1, "s"), Mark(seq))
    await hub.pipeline.flush()


async def assert_knows(hub: Hub, seq: int, *values: float) -> None:
    """Heads, watermark and tail are those of the readings that were stored."""
    heads = hub.heads.current([1, 2])
    assert (heads[1].value, heads[2].value) == (values[-1], f"text {seq}")
    assert await hub.pipeline.watermark(1, "s") == Mark(seq)
    while len(hub.tail) < len(values):
        await asyncio.sleep(0.01)
    span = (0, 2 * clock.now_us(), hub.tail)
    found = await asyncio.to_thread(read_and_close, [1], *span)
    assert found[1][1].tolist() == list(values)


def read_and_close(*args: Any) -> Any:
    try:
        return read_sync(*args)
    finally:
        connection.close()  # This thread is another one the next time.


async def die(hub: Hub) -> None:
    """End as `kill -9` does: nothing more is written."""
    # A thread of this process lives on: it would work in the tests that follow.
    await asyncio.to_thread(hub.upkeep.stop, 30)
    hub.pipeline._task.cancel()  # type: ignore[union-attr]
    hub.door._task.cancel()  # type: ignore[union-attr]
    for task in hub._tasks:
        task.cancel()
    await hub.feed.stop()
    await hub.switchboard.stop()
    await hub.registry.stop()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(hub.pipeline._executor, folding.close_connection)


def test_a_hub_that_was_drained_is_taken_over():
    async def scenario() -> None:
        async with started() as hub:
            assert hub.troubles() == []
            await store(hub, 1, 1.0, 2.0)
            await store(hub, 2, 3.0)
        assert hub.troubles() == ["the hub is stopping"]
        async with started() as hub:
            await assert_knows(hub, 2, 1.0, 2.0, 3.0)
            await store(hub, 3, 4.0)
            await assert_knows(hub, 3, 1.0, 2.0, 3.0, 4.0)

    asyncio.run(scenario())
    assert not Writer.objects.filter(ended_at=None).exists()


def test_a_hub_that_was_killed_is_taken_over():
    async def scenario() -> None:
        dead = Hub()
        await dead.start()
        await store(dead, 1, 1.0, 2.0)
        await die(dead)
        async with started() as hub:
            await assert_knows(hub, 1, 1.0, 2.0)

    asyncio.run(scenario())


def test_a_hub_without_a_past_starts():
    async def scenario() -> None:
        async with started() as hub:
            assert hub.heads.current([1]) == {}
            assert await hub.pipeline.watermark(1, "s") is None
            assert len(hub.tail) == 0

    asyncio.run(scenario())


def test_a_hub_that_is_leaving_says_so_and_goes_on():
    async def scenario() -> None:
        async with started() as hub:
            hub.is_leaving = True
            assert hub.troubles() == ["the hub is stopping"]
            assert hub.door.gate.why_closed is None
            await store(hub, 1, 1.0)
            await assert_knows(hub, 1, 1.0)

    asyncio.run(scenario())


@pytest.mark.parametrize("has_jobs", [True, False])
def test_a_worker_leaves_the_jobs_to_others(has_jobs, settings, monkeypatch):
    settings.TELEMETRY_SEAL_READINGS = 1_000
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(folding, "FOLD_SECONDS", 0.02)

    async def scenario() -> bool:
        hub = Hub(has_jobs=has_jobs)
        await hub.start()
        try:
            await store(hub, 1, *[1.0] * 1_001)
            until = time.monotonic() + (30 if has_jobs else 1)
            is_sealed, seq = False, 1
            while time.monotonic() < until and not is_sealed:
                seq += 1
                await store(hub, seq, 1.0)  # A commit is when it folds.
                is_sealed = await on_database_thread(Block.objects.exists)
            return is_sealed
        finally:
            await hub.drain()

    assert asyncio.run(scenario()) == has_jobs
