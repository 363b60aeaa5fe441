"""The power fails under a hub of several processes: what was acked is in PostgreSQL.

PostgreSQL and both workers run under one strace, with real devices. Then the server's
directory is rebuilt as each cut would have left it, and PostgreSQL starts on it.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.databases import POSTGRES_BIN
from tests.processes import HubProcess, missing

from .calls import Replay
from .cluster import Cluster
from .load import Load, Resumed, enrol
from .power import FATES, Disk
from .small_postgres import SmallPostgres
from .stored import Kept, compare, stored_on
from .traced import TracedHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# `POWER_CUTS=100 make test-slow` for more of them.
CUTS = int(os.environ.get("POWER_CUTS", "20"))
SEED = int(os.environ.get("FAULTS_SEED", "2"))
# Of these a hub starts on so many.
STARTS = 2
DEVICES = 6
ROWS = 50
READINGS = 40_000
# In that time; after each, the log goes round.
CHECKPOINTS = 6
# What says which process has the directory, and what no start looks at.
LEFT_OUT = ("postmaster.pid", "pg_stat_tmp/")


class TracedCluster(Cluster):
    """PostgreSQL and the hub are traced; before: what PostgreSQL had on disk."""

    postgres: SmallPostgres
    hub: TracedHub

    def __init__(self, directory: Path, postgres: SmallPostgres) -> None:
        super().__init__(
            directory,
            postgres=postgres,
            TELEMETRY_SEAL_READINGS="5000",
            TELEMETRY_SEAL_SECONDS="1",
        )
        self.before = directory / "before"
        hub = TracedHub(
            self.hub.data_dir, *self.hub.command, variables=self.hub.variables
        )
        hub.port, hub.url = self.hub.port, self.hub.url
        hub.trace = directory / "trace"
        hub.server = (postgres.command, postgres.port, postgres.owner)
        self.hub = hub

    def set_up(self) -> None:
        super().set_up()
        self.keys = enrol(self.hub, DEVICES)
        self.postgres.stop()
        shutil.copytree(self.postgres.cluster, self.before)

    def replay(self) -> Replay:
        """From the moment when the trace began."""
        disk = Disk(self.before, lambda name: name.startswith(LEFT_OUT))
        return Replay(disk, self.postgres.cluster)


def small_postgres() -> SmallPostgres:
    if not POSTGRES_BIN:
        missing("postgresql")
    # The unix socket's path has a limit of 107 bytes: not below tmp_path.
    return SmallPostgres(
        POSTGRES_BIN[0], Path(tempfile.mkdtemp(prefix="telemetry-pg-"))
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TracedCluster]:
    postgres = small_postgres()
    try:
        postgres.make()
        postgres.start()
        made = TracedCluster(tmp_path, postgres)
    except BaseException:
        postgres.end()
        raise
    try:
        made.faults.on("hurry", 1)
        made.set_up()
        yield made
    finally:
        made.end()


@pytest.fixture
def found(cluster: TracedCluster) -> Iterator[SmallPostgres]:
    """Where the server is that starts after a cut; its directory has no cluster."""
    made = small_postgres()
    # The hub finds it where the other was.
    made.port, made.password = cluster.postgres.port, cluster.postgres.password
    yield made
    made.end()


async def lived(
    cluster: TracedCluster, readings: int, checkpoints: int = 0
) -> tuple[Load, list[str]]:
    """From a start to a polite end, under load; and all that was done meanwhile."""
    load = Load(
        cluster.hub.url, cluster.keys, ROWS, clockless=sorted(cluster.keys)[::2]
    )
    await asyncio.to_thread(cluster.start)
    async with load.running():
        for _ in range(checkpoints):
            await load.more_acks(readings // (checkpoints + 1))
            await asyncio.to_thread(cluster.postgres.checkpoint)
        await load.more_acks(readings // (checkpoints + 1))
    assert await asyncio.to_thread(cluster.stop) == 0, cluster.hub.output[-4_000:]
    assert not load.rejections
    server = await asyncio.to_thread(cluster.postgres.end_other)
    return load, list(cluster.hub.lines(server))


def files_of(directory: Path, disk: Disk) -> dict[str, bytes]:
    return {
        name: path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
        and not disk.is_left_out(name := str(path.relative_to(directory)))
    }


def assert_replayed(disk: Disk, cluster: TracedCluster, into: Path) -> None:
    """Nothing was overlooked: with all writes kept it is what really is there."""
    disk.cut("kept", random.Random(SEED), into)
    rebuilt, real = files_of(into, disk), files_of(cluster.postgres.cluster, disk)
    shutil.rmtree(into)
    assert rebuilt.keys() == real.keys()
    differ = [name for name, content in real.items() if rebuilt[name] != content]
    assert not differ, differ


def cut_at(
    cluster: TracedCluster, found: SmallPostgres, lines: list[str], cuts: list[int]
) -> Iterator[tuple[str, str, Replay]]:
    """After each of these lines: its name, its fate; what is `found` then is there."""
    rng = random.Random(SEED)
    replay, done = cluster.replay(), 0
    for which, cut in enumerate(sorted(cuts)):
        for line in lines[done : cut + 1]:
            replay.play(line)
        done = cut + 1
        fate = FATES[which % len(FATES)]
        replay.disk.cut(fate, rng, found.cluster)
        yield f"cut {which} after line {cut}, {fate}, seed {SEED}", fate, replay
        found.kill()
        shutil.rmtree(found.cluster)


def what_is_kept(
    found: SmallPostgres, replay: Replay, load: Load, cut: str
) -> tuple[Kept, dict[str, list[int]]]:
    """PostgreSQL starts, finds nothing wrong, and has what devices were told."""
    assert found.recovers(), f"{cut}: PostgreSQL does not start: {found.said}"
    assert not (wrongs := found.wrongs()), f"{cut}: {wrongs}"
    stored = stored_on(found.url())
    promises = {
        slug: batches * load.rows_of(slug) for slug, batches in replay.acked.items()
    }
    return compare(stored, promises, load.sent_values), stored


async def goes_on(cluster: TracedCluster, load: Load, cut: str) -> None:
    """A hub starts on what was found, and the devices lose and double nothing."""
    hub = HubProcess(
        cluster.hub.data_dir, *cluster.hub.command, variables=cluster.hub.variables
    )
    hub.port, hub.url = cluster.hub.port, cluster.hub.url
    resumed = Resumed(hub.url, cluster.keys, load)
    try:
        await asyncio.to_thread(hub.start)
        async with resumed.running():
            await resumed.more_acks(ROWS * DEVICES, cut)
        assert await asyncio.to_thread(hub.stop) == 0, hub.output[-4_000:]
    finally:
        hub.end()
    stored = await cluster.stored()
    kept = compare(stored, resumed.promises, resumed.sent_values)
    kept.assert_whole(f"going on after {cut}")
    assert kept.stored == kept.acked


async def test_power_cuts_under_postgresql_lose_nothing_that_was_acked(
    cluster: TracedCluster, found: SmallPostgres, tmp_path: Path
):
    began = time.monotonic()
    load, lines = await lived(cluster, READINGS, CHECKPOINTS)
    whole = cluster.replay()
    kinds = [whole.play(line) for line in lines]
    assert_replayed(whole.disk, cluster, tmp_path / "kept")
    # What devices were told is what the trace says they were told.
    assert whole.acked == {each.slug: each.outbox.acked for each in load.devices}
    count = Counter(filter(None, kinds))
    rng = random.Random(SEED)
    # Right after an ack is where a lie would show.
    cuts = rng.sample([at for at, kind in enumerate(kinds) if kind == "ack"], CUTS // 2)
    steps = [at for at, kind in enumerate(kinds) if kind is not None]
    cuts += rng.sample(steps, CUTS - len(cuts))
    made: Counter[str] = Counter()
    promised = 0
    for name, fate, replay in cut_at(cluster, found, lines, cuts):
        kept, stored = await asyncio.to_thread(what_is_kept, found, replay, load, name)
        kept.assert_whole(name)
        for slug, values in stored.items():
            assert values == list(range(len(values))), f"{name}: {slug} has a hole"
        promised += kept.acked
        if made.total() % (CUTS // STARTS) == 0:
            await goes_on(cluster, load, name)
        made[fate] += 1
    assert made.total() == CUTS
    print(
        f"\n{CUTS} power cuts under PostgreSQL (seed {SEED}; of what was not synced: "
        + ", ".join(f"{times} × {fate}" for fate, times in made.items())
        + f") in {time.monotonic() - began:.0f} s, among {count['write']} writes, "
        f"{count['sync']} syncs, {count['ack']} acks and {CHECKPOINTS} checkpoints: "
        f"{promised} promises checked, 0 lost, 0 doubled, 0 corrupt"
    )


async def test_a_commit_that_is_told_before_it_is_synced_shows(
    cluster: TracedCluster, found: SmallPostgres
):
    cluster.faults.on("late_sync", 1)
    cluster.postgres.configure("wal_writer_delay = 10s\n")
    load, lines = await lived(cluster, 2_000)
    replay = cluster.replay()
    acks = [at for at, line in enumerate(lines) if replay.play(line) == "ack"]
    # The first cut drops what was not synced.
    for name, fate, replay in cut_at(cluster, found, lines, [acks[len(acks) // 2]]):
        assert fate == "dropped"
        kept, _ = await asyncio.to_thread(what_is_kept, found, replay, load, name)
        print(f"\nwith synchronous_commit=off {kept.lost} of {kept.acked} lost")
        assert kept.lost > 0
        assert not kept.doubled
