"""Sealers that are killed or put to sleep: no reading is lost, none is doubled."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.processes import HubProcess

from .forks import Forks
from .load import Load, assert_each_stored_once, enrol
from .prepared import KILLS, LEASE_SECONDS, Prepared
from .switches import Faults
from .test_kill import assert_acked_are_stored_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HUB_KILLS = 10
# Statements of all phases: a kill before it, or after it and so before the commit.
PHASES = (
    r"^SELECT .*FROM telemetry_journal",
    r"^SELECT .*FROM telemetry_block",
    r"^UPDATE telemetry_lease",
    r"^DELETE FROM telemetry_block",
    r"^INSERT INTO telemetry_block",
    r"^DELETE FROM telemetry_journal",
    r"^UPDATE telemetry_writer",
    # Around the giving back of pages, which is no statement of its own.
    r"^PRAGMA",
)
# Longer than a whole run takes on a quiet machine.
RUN_SECONDS = 0.3


def test_twenty_kills_at_all_statements_lose_and_double_nothing(forks: Forks):
    rng = random.Random(1)
    prepared = Prepared(forks, seed=1)
    prepared.feed()
    prepared.seal()
    for kill in range(KILLS):
        prepared.feed()
        prepared.assert_as_model()
        phase = PHASES[kill % len(PHASES)]
        child = forks.start(
            "seal_all",
            lease_seconds=LEASE_SECONDS,
            die_at=[phase, 1 + kill // len(PHASES), rng.random() < 0.5],
        )
        assert child.wait() == -signal.SIGKILL, phase
        prepared.assert_as_model()
    prepared.seal()
    prepared.assert_sealed()


def test_twenty_kills_at_any_moment_lose_and_double_nothing(forks: Forks):
    prepared = Prepared(forks, seed=2)
    killed = 0
    for _ in range(10 * KILLS):
        prepared.feed()
        child = forks.start("seal_all", lease_seconds=LEASE_SECONDS)
        time.sleep(prepared.rng.uniform(0, RUN_SECONDS))
        child.kill()
        killed += child.wait() == -signal.SIGKILL
        prepared.assert_as_model()
        if killed == KILLS:
            break
    assert killed == KILLS
    prepared.seal()
    prepared.assert_sealed()


@pytest.mark.parametrize("stop_at", [1, 3, 8])
def test_a_sealer_that_slept_through_its_lease_changes_nothing(
    any_forks: Forks, stop_at: int
):
    prepared = Prepared(any_forks, seed=stop_at)
    prepared.feed()
    prepared.seal()
    prepared.feed()
    sleeper = any_forks.start("seal_all", lease_seconds=LEASE_SECONDS, stop_at=stop_at)
    sleeper.wait_until_stopped()
    # Also what the sleeper has not read, into the blocks that it has.
    prepared.feed(rows=5)
    prepared.assert_as_model()
    # It waits until the sleeper's lease is over.
    successor = any_forks.run("seal_all")
    assert successor["end"] == "done"
    prepared.assert_sealed()
    before = any_forks.run("fingerprint")
    sleeper.wake()
    assert sleeper.answer()["end"] == "lost"
    assert any_forks.run("fingerprint") == before
    prepared.assert_sealed()


@pytest.mark.parametrize("seed", range(2))
def test_a_sleeper_that_wakes_while_its_successor_works_changes_nothing(
    any_forks: Forks, seed: int
):
    prepared = Prepared(any_forks, seed)
    prepared.feed()
    prepared.seal()
    prepared.feed(rows=40)
    # Both stop in the midst of it, the second later than the first.
    first, second = (
        prepared.rng.randrange(1, 8),
        prepared.rng.randrange(1, 12),
    )
    sleeper = any_forks.start("seal_all", lease_seconds=LEASE_SECONDS, stop_at=first)
    sleeper.wait_until_stopped()
    successor = any_forks.start("seal_all", stop_at=second)
    successor.wait_until_stopped()
    before = any_forks.run("fingerprint")
    sleeper.wake()
    assert sleeper.answer()["end"] == "lost"
    assert any_forks.run("fingerprint") == before
    prepared.assert_as_model()
    successor.wake()
    assert successor.answer()["end"] == "done"
    prepared.assert_sealed()


async def test_a_hub_that_seals_under_load_is_killed_and_loses_nothing(
    hub: HubProcess, faults: Faults
):
    rng = random.Random(4)
    faults.on("hurry", 1)
    hub.variables["TELEMETRY_SEAL_READINGS"] = "1000"
    load = Load(hub.url, enrol(hub, 8), rows=50)
    async with load.running():
        for _ in range(HUB_KILLS):
            await asyncio.to_thread(hub.start)
            await load.more_acks(4_000)
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            hub.kill()
            assert_acked_are_stored_once(load, hub)
        await asyncio.to_thread(hub.start)
    hub.kill()
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)
    # It sealed after each start, and went on until it was killed.
    assert sealed_readings(hub) >= 1_000 * HUB_KILLS
    assert "Traceback" not in hub.output


def sealed_readings(hub: HubProcess) -> int:
    """How many readings are in blocks."""
    with closing(sqlite3.connect(hub.data_dir / "hub.sqlite3")) as database:
        (sealed,) = database.execute(
            "SELECT coalesce(sum(length), 0) FROM telemetry_block"
        ).fetchone()
    return int(sealed)
