"""Each process of a hub with two workers stands still for 20 s, under load.

One that wakes up finds the world changed: its devices are another worker's, its
lease is somebody else's, its connections are closed. It must do no harm then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from telemetry.fleet import backoff

from .cluster import JOBS, POSTGRESQL, REDIS, WORKERS, Cluster, running
from .load import Load, enrol
from .stored import compare
from .viewers import Viewer, assert_right, following

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STOPPED_SECONDS = 20.0
BACKEND = "one backend of PostgreSQL"
# What others go on without.
NOT_NEEDED = (JOBS, REDIS)
DEVICES = 8
MORE = 500


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all of them: a hub is not asked how often it was hurt before."""
    made = Cluster(
        tmp_path_factory.mktemp("stopped"),
        TELEMETRY_SEAL_READINGS="5000",
        TELEMETRY_SEAL_SECONDS="5",
    )
    try:
        made.faults.on("hurry", 1)
        made.set_up()
        yield made
    finally:
        made.end()


async def test_nothing_is_lost_or_doubled_while_one_sleeps(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backoff, "SUPERSEDED_SECONDS", 0.2)
    rng = random.Random(3)
    keys = enrol(cluster.hub, DEVICES)
    cookie = cluster.sign_in()
    sleepers = [rng.choice(WORKERS), JOBS, REDIS, BACKEND, POSTGRESQL]
    told = []
    async with (
        running(cluster),
        following([Viewer(cluster, each, cookie) for each in WORKERS]) as viewers,
    ):
        load = Load(
            cluster.hub.url,
            keys,
            pause_seconds=0.05,
            clockless=sorted(keys)[::2],
        )
        async with load.running():
            for sleeper in sleepers:
                what = f"{STOPPED_SECONDS:g} s of SIGSTOP of {sleeper}"
                await load.more_acks(MORE, f"the start, before {what}")
                before = load.acked_count
                with cluster.stopped(pids_of(cluster, sleeper, what)):
                    await asyncio.sleep(STOPPED_SECONDS)
                    meanwhile = load.acked_count - before
                told.append(f"{sleeper}: {meanwhile} readings acked meanwhile")
                if sleeper in NOT_NEEDED:
                    assert meanwhile > MORE, what
                await load.more_acks(MORE, what)
                await assert_kept(cluster, load, what)
                async with load.quiet(what):
                    await assert_right(viewers, load.last_values, what)
        await assert_kept(cluster, load, "all of it")
        assert not load.rejections, load.rejections[:3]
    print(
        f"\nSIGSTOP for {STOPPED_SECONDS:g} s: {'; '.join(told)}; "
        f"{load.acked_count} readings acked, 0 lost, 0 doubled"
    )


def pids_of(cluster: Cluster, sleeper: str, what: str) -> list[int]:
    return cluster.backend() if sleeper == BACKEND else cluster.wait_for(sleeper, what)


async def assert_kept(cluster: Cluster, load: Load, what: str) -> None:
    promises = load.promises
    stored = await cluster.stored()
    compare(stored, promises, load.sent_values).assert_whole(what)
