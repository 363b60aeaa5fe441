"""A hub that is told to end while its database hangs: it ends, and in time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from .cluster import POSTGRESQL, Cluster
from .load import Load, come_true, enrol
from .stored import compare

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def test_sigterm_while_postgresql_stands_still_needs_no_killing(
    tmp_path: Path,
) -> None:
    cluster = Cluster(
        tmp_path,
        # Its parent would kill a worker 6 s after these.
        TELEMETRY_DRAIN_SECONDS="4",
        # Who waits for an answer is not freed by that.
        TELEMETRY_STATEMENT_SECONDS="600",
    )
    try:
        cluster.set_up()
        load = Load(cluster.hub.url, enrol(cluster.hub, 6), pause_seconds=0.02)
        await asyncio.to_thread(cluster.start)
        async with load.running():
            await load.more_acks(300, "the start")
            with cluster.stopped(cluster.pids(POSTGRESQL)):
                await come_true(lambda: load.are_paused, "all devices are told to wait")
                code = await asyncio.to_thread(cluster.stop)
            assert code == 0, cluster.hub.output[-4_000:]
            assert "is killed" not in cluster.hub.output
            await asyncio.to_thread(cluster.start)
        assert await asyncio.to_thread(cluster.stop) == 0
        stored = await cluster.stored()
    finally:
        cluster.end()
    what = "SIGTERM while PostgreSQL stood still"
    compare(stored, load.promises, load.sent_values).assert_whole(what)
    assert not load.rejections
