"""`kill -9` and SIGTERM under load: what was acked is there, and none twice."""

from __future__ import annotations

import asyncio
import random
import sqlite3

import pytest

from telemetry.protocol import close_codes
from tests.processes import HubProcess

from .load import Load, assert_each_stored_once, enrol, stored_values

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 20


def assert_acked_are_stored_once(load: Load, hub: HubProcess) -> None:
    """While devices still hold what is not acked."""
    stored = stored_values(hub.data_dir)
    for slug, acked in load.acked_values.items():
        # In order and without a hole: so none is missing, and none is there twice.
        assert stored[slug] == list(range(len(stored[slug])))
        assert acked == list(range(len(acked)))
        assert len(acked) <= len(stored[slug]) <= load.sent_values[slug]


async def test_twenty_kills_lose_nothing_and_store_nothing_twice(hub: HubProcess):
    rng = random.Random(20)
    load = Load(hub.url, enrol(hub, 8))
    async with load.running():
        for _ in range(KILLS):
            await asyncio.to_thread(hub.start)
            await load.more_acks(1)
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            hub.kill()
            assert_acked_are_stored_once(load, hub)
        await asyncio.to_thread(hub.start)
    hub.kill()
    assert load.connects >= KILLS
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)


async def test_sigterm_sends_devices_away_with_what_they_are_owed(hub: HubProcess):
    load = Load(hub.url, enrol(hub, 20))
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(2_000)
        assert await asyncio.to_thread(hub.stop) == 0
        assert {ending.code for ending in load.endings} == {close_codes.DRAINING}
        assert len(load.endings) == len(load.devices)
        assert {ending.after_ms for ending in load.endings} == {15_000}
        stored = stored_values(hub.data_dir)
        # Not one reading on disk whose device does not know of it.
        assert stored == dict(load.acked_values)
        await asyncio.to_thread(hub.start)
    assert await asyncio.to_thread(hub.stop) == 0
    assert_each_stored_once(load, hub.data_dir)
    with sqlite3.connect(hub.data_dir / "hub.sqlite3") as database:
        left = database.execute(
            "SELECT count(*) FROM telemetry_writer WHERE ended_at IS NULL"
        ).fetchone()
    database.close()
    assert left == (0,)
