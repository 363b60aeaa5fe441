"""A hub whose own clock is wrong waits, and refuses nobody's readings for it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.processes import HubProcess, fetch

from .load import Load, assert_each_stored_once, come_true, enrol
from .switches import Faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MONTHS_US = 90 * 86_400_000_000


async def assert_waits_for_its_clock(hub: HubProcess) -> None:
    status, _, body = await asyncio.to_thread(fetch, f"{hub.url}/readyz")
    assert status == 503
    assert "clock is 777" in json.loads(body)["reasons"][0]  # 7,776,000 s


async def test_a_hub_that_starts_months_behind_waits_for_its_clock(
    hub: HubProcess, faults: Faults
):
    load = Load(hub.url, enrol(hub, 4))
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(200)
        hub.kill()
        faults.on("clock_us", -MONTHS_US)
        await asyncio.to_thread(hub.start)
        # With `welcome`, before a device has sent anything.
        await come_true(lambda: load.are_paused, "all devices are told to wait")
        acked = load.acked_count
        await assert_waits_for_its_clock(hub)
        await asyncio.sleep(1)
        assert load.acked_count == acked
        faults.off("clock_us")
        await load.more_acks(200)
        assert (await asyncio.to_thread(fetch, f"{hub.url}/readyz"))[0] == 200
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)


async def test_a_clock_that_is_set_back_pauses_the_hub_that_runs(
    hub: HubProcess, faults: Faults
):
    load = Load(hub.url, enrol(hub, 4))
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(200)
        faults.on("clock_us", -MONTHS_US)
        await come_true(lambda: load.are_paused, "all devices are told to wait")
        await assert_waits_for_its_clock(hub)
        faults.off("clock_us")
        await load.more_acks(200)
        assert not load.endings
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)
