"""The power fails at a hundred moments of a hub's life: what was acked is there.

The hub runs under strace with real devices; then its files are rebuilt as each cut
would have left them, with what was not synced dropped, kept in part, or kept.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.processes import HubProcess

from .calls import Replay
from .load import Load, Resumed, assert_each_stored_once, enrol, stored_values
from .power import FATES, Disk
from .switches import Faults
from .traced import TracedHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 2
CUTS = 100
# Of these a hub starts on so many.
STARTS = 5
ROWS = 50
# Enough for checkpoints of a thousand pages.
READINGS = 100_000


async def live_traced(hub: TracedHub, keys: dict[str, str]) -> Load:
    """From a start to a polite end, under load, sealing all the while."""
    load = Load(hub.url, keys, ROWS)
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(READINGS)
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections
    return load


def replay_on(hub: TracedHub, before: Path) -> Replay:
    """From the moment when the trace began. What SQLite shares in memory is gone."""
    disk = Disk(before, lambda name: name.endswith("-shm"))
    return Replay(disk, hub.data_dir)


def assert_survived(data_dir: Path, acked: dict[str, int], load: Load, cut: str):
    """Each device's readings in order without a hole, at least what it was told."""
    # Runs SQLite's own check first.
    stored = stored_values(data_dir)
    for slug, sent in load.sent_values.items():
        found = stored.get(slug, [])
        assert found == list(range(len(found))), f"{cut}: {slug} has a hole or twins"
        promised = acked.get(slug, 0) * ROWS
        assert promised <= len(found) <= sent, (
            f"{cut}: {slug} was promised {promised} of {sent}, found {len(found)}"
        )


async def goes_on(data_dir: Path, hub: HubProcess, load: Load, keys: dict[str, str]):
    """A hub starts on what was found, and the devices lose and double nothing."""
    process = HubProcess(data_dir, "serve", variables=hub.variables)
    process.port, process.url = hub.port, hub.url
    resumed = Resumed(process.url, keys, load)
    try:
        await asyncio.to_thread(process.start)
        async with resumed.running():
            await resumed.more_acks(ROWS * len(keys))
        assert await asyncio.to_thread(process.stop) == 0
    finally:
        process.end()
    assert_each_stored_once(resumed, data_dir)


async def test_a_hundred_power_cuts_lose_nothing_that_was_acked(
    hub: HubProcess, faults: Faults, tmp_path: Path
):
    # Sealing and checkpoints all the time: they write the most.
    faults.on("hurry", 1)
    traced = TracedHub(
        hub.data_dir,
        "serve",
        variables={
            **hub.variables,
            "TELEMETRY_SEAL_READINGS": "5000",
            "TELEMETRY_SEAL_SECONDS": "1",
        },
    )
    traced.port, traced.url = hub.port, hub.url
    traced.variables["HUB_PORT"] = str(hub.port)
    traced.trace = tmp_path / "trace"
    keys = enrol(hub, 4)
    before = tmp_path / "before"
    shutil.copytree(hub.data_dir, before)
    try:
        load = await live_traced(traced, keys)
    finally:
        traced.end()
    whole = replay_on(traced, before)
    steps = [
        (number, kind)
        for number, line in enumerate(traced.lines())
        if (kind := whole.play(line)) is not None
    ]
    kinds = Counter(kind for _, kind in steps)
    # Writes to the database's own file: there are checkpoints.
    checkpointed = whole.writes["hub.sqlite3"]
    assert checkpointed, kinds
    # What devices were told is what the trace says they were told.
    told = {device.slug: device.outbox.acked for device in load.devices}
    assert whole.acked == told
    rng = random.Random(SEED)
    # Right after an ack is where a lie would show.
    acks = [number for number, kind in steps if kind == "ack"]
    chosen = rng.sample(acks, CUTS // 2)
    chosen += rng.sample([number for number, _ in steps], CUTS - len(chosen))
    cuts = sorted(chosen)
    starts = set(cuts[:: CUTS // STARTS])
    replay, next_cut, promised = replay_on(traced, before), 0, 0
    for number, line in enumerate(traced.lines()):
        replay.play(line)
        while next_cut < CUTS and cuts[next_cut] == number:
            fate = FATES[next_cut % len(FATES)]
            name = f"cut {next_cut} at line {number}, {fate}, seed {SEED}"
            found = tmp_path / f"cut-{next_cut}"
            replay.disk.cut(fate, rng, found)
            if number in starts:
                starts.discard(number)
                after = tmp_path / f"start-{next_cut}"
                shutil.copytree(found, after)
                await goes_on(after, traced, load, keys)
            assert_survived(found, replay.acked, load, name)
            promised += sum(replay.acked.values()) * ROWS
            shutil.rmtree(found)
            next_cut += 1
    assert next_cut == CUTS
    assert not starts
    print(
        f"\n{CUTS} power cuts among {kinds['write']} writes, {kinds['sync']} syncs and "
        f"{kinds['ack']} acks ({checkpointed} writes of checkpoints): "
        f"{promised} readings promised, 0 lost, 0 doubled, 0 corrupt"
    )
