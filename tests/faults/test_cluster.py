"""Fault after fault, under load: nothing is lost, nothing doubled.

Any process of a hub with two workers is killed, and the devices' connections are cut,
delayed, truncated or go dead. After each fault the database is compared with what the
devices were told; now and then, with the load held, with what the pages show.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.fleet import backoff

from .cluster import JOBS, POSTGRESQL, REDIS, WORKERS, Cluster, running
from .load import PATIENCE_SECONDS, Load, enrol
from .proxy import FATES, Proxy
from .stored import Kept, compare
from .viewers import Viewer, assert_right, following

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

# `FAULTS=200 FAULTS_SEED=7 make test-slow` for a longer one, and another.
FAULTS = int(os.environ.get("FAULTS", "100"))
SEED = int(os.environ.get("FAULTS_SEED", "5"))
# Of a hundred faults. The rest, 60, are the network's, of all fates equally.
KILLS = {"worker-1": 6, "worker-2": 6, JOBS: 7, POSTGRESQL: 11, REDIS: 10}
LOOK_EVERY = 20
DEVICES = 8
ROWS = 10
PAUSE_SECONDS = 0.05
# About half a second of the load.
MORE = 200


def schedule(rng: random.Random) -> list[str]:
    """What happens, in order: a role is killed, or a fate strikes a connection."""
    made = [role for role, part in KILLS.items() for _ in range(FAULTS * part // 100)]
    made += [FATES[at % len(FATES)] for at in range(FAULTS - len(made))]
    rng.shuffle(made)
    return made


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(backoff, "SUPERSEDED_SECONDS", 0.2)
    made = Cluster(tmp_path, TELEMETRY_SEAL_READINGS="5000", TELEMETRY_SEAL_SECONDS="5")
    try:
        # Sealing all the time, by whoever has the lease.
        made.faults.on("hurry", 1)
        made.set_up()
        yield made
    finally:
        made.end()


async def struck(proxy: Proxy, fate: str, what: str) -> None:
    """One connection of a device meets its fate."""
    try:
        await asyncio.wait_for(proxy.strike(fate), PATIENCE_SECONDS)
    except asyncio.TimeoutError:
        pytest.fail(f"{what}: no device says anything within {PATIENCE_SECONDS} s")


async def kept(cluster: Cluster, load: Load) -> Kept:
    """What was promised before, against what is stored now and was sent by then."""
    promises = load.promises
    stored = await cluster.stored()
    return compare(stored, promises, load.sent_values)


async def test_fault_after_fault_loses_and_doubles_nothing(cluster: Cluster):
    rng = random.Random(SEED)
    planned = schedule(rng)
    keys = enrol(cluster.hub, DEVICES)
    cookie = cluster.sign_in()
    began, looks = time.monotonic(), 0
    async with (
        running(cluster),
        Proxy(cluster.hub.port, rng) as proxy,
        following([Viewer(cluster, each, cookie) for each in WORKERS]) as viewers,
    ):
        load = Load(
            proxy.url,
            keys,
            ROWS,
            pause_seconds=PAUSE_SECONDS,
            # Half of them have no clock: these have no other net than `seq`.
            clockless=sorted(keys)[::2],
        )
        async with load.running():
            await load.more_acks(MORE, "the start")
            for number, fault in enumerate(planned, 1):
                what = f"fault {number} of {FAULTS} ({fault}), seed {SEED}"
                if fault in FATES:
                    await struck(proxy, fault, what)
                else:
                    await asyncio.to_thread(cluster.kill, fault, what)
                await load.more_acks(MORE, what)
                (await kept(cluster, load)).assert_whole(what)
                if number % LOOK_EVERY == 0 or number == FAULTS:
                    looks += 1
                    async with load.quiet(what):
                        await assert_right(viewers, load.last_values, what)
        assert not load.rejections, f"seed {SEED}: {load.rejections[:3]}"
        found = await kept(cluster, load)
        found.assert_whole(f"all {FAULTS} faults, seed {SEED}")
        assert found.stored == found.acked == sum(load.sent_values.values())
    seconds = time.monotonic() - began
    made = Counter(
        f"network: {fault}" if fault in FATES else f"kill -9 {fault}"
        for fault in planned
    )
    print(
        f"\n{FAULTS} faults (seed {SEED}) in {seconds:.0f} s: "
        + ", ".join(f"{count} × {name}" for name, count in sorted(made.items()))
        + f"; {found.acked} readings acked, {found.lost} lost, {found.doubled} "
        f"doubled; {load.connects} device connections, "
        f"{sum(each.connects for each in viewers)} page connections, pages right "
        f"in all of {looks} looks"
    )
