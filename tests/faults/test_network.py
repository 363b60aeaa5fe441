"""Devices behind a bad network: what was acked is stored, and nothing twice."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.processes import HubProcess

from .load import Load, assert_each_stored_once, come_true, enrol
from .proxy import FATES, Proxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEED = 12
DEVICES = 12
STRIKES = 150
# However slow the machine is, so many come within the patience.
STEP = 15


@pytest.fixture
def attentive_hub(hub: HubProcess) -> HubProcess:
    """One that hears within seconds that a device is gone, and so do the devices."""
    hub.variables["TELEMETRY_HEARTBEAT_SECONDS"] = "1"
    return hub


async def test_cuts_delays_truncation_and_silence_lose_nothing(
    attentive_hub: HubProcess,
):
    hub = attentive_hub
    keys = enrol(hub, DEVICES)
    await asyncio.to_thread(hub.start)
    async with Proxy(hub.port, random.Random(SEED)) as proxy:
        load = Load(proxy.url, keys, clockless=sorted(keys)[::2])
        proxy.fates = FATES
        async with load.running():
            for strikes in range(STEP, STRIKES + 1, STEP):
                await come_true(
                    lambda strikes=strikes: proxy.struck.total() >= strikes,
                    f"{strikes} strikes, seed {SEED}",
                )
            await come_true(
                lambda: all(proxy.struck[fate] for fate in FATES),
                lambda: f"strikes of all kinds, seed {SEED}, not {proxy.struck}",
            )
            proxy.heal()
            await load.more_acks(10 * DEVICES)
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections, f"seed {SEED}: {load.rejections[:3]}"
    assert_each_stored_once(load, hub.data_dir, f"network, seed {SEED}")
    struck = ", ".join(f"{n} {fate}" for fate, n in proxy.struck.most_common())
    print(
        f"\nnetwork faults: {struck}; {load.connects} connections, "
        f"{load.acked_count} readings acked, 0 lost, 0 doubled"
    )


async def test_a_hub_hears_that_nobody_hears_it(attentive_hub: HubProcess):
    hub = attentive_hub
    keys = enrol(hub, 2)
    await asyncio.to_thread(hub.start)
    async with Proxy(hub.port, random.Random(SEED)) as proxy:
        load = Load(proxy.url, keys)
        async with load.running():
            await load.more_acks(100)
            proxy.fall_silent()
            before = load.connects
            # By its own pings, long before the network says anything.
            await come_true(lambda: load.connects >= before + 2, "both came back")
            await load.more_acks(100)
    assert await asyncio.to_thread(hub.stop) == 0
    assert_each_stored_once(load, hub.data_dir, "silence")
