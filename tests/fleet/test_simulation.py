"""When a fleet starts, when its devices are silent, and when it ends."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from telemetry.fleet import demo, simulation
from telemetry.fleet.device import Device
from telemetry.fleet.report import Report
from telemetry.fleet.signals import MACHINES
from telemetry.fleet.simulation import Habits, Machine, NotWelcome, _Quiet
from tests.processes import free_port

from .fake_hub import FakeHub, bye, running


def fleet(hub: FakeHub, count: int, report: Report) -> list[Machine]:
    machines = []
    for n in range(count):
        rng = random.Random(n)
        account = replace(hub.account, slug=f"sim-{n}")
        device = Device(account, observer=report, rng=rng)
        machines.append(Machine(device, MACHINES["fan"](rng), Habits(50), rng))
    return machines


async def test_a_fleet_measures_until_its_time_is_over() -> None:
    report = Report()
    async with running(FakeHub()) as hub:
        await simulation.run(fleet(hub, 3, report), 1.2, 5.0, 5.0)
    assert len(hub.hellos) == 3
    assert report.acked_readings > 0
    assert report.acked_batches == len(hub.received)


async def test_wrong_keys_are_shown_to_the_hub_once() -> None:
    class Stranger(FakeHub):
        async def welcome(self, socket, session) -> None:
            await bye(socket, 4401)

    async with running(Stranger()) as hub:
        with pytest.raises(NotWelcome) as caught:
            await simulation.run(fleet(hub, 20, Report()), 1.0, 5.0, 5.0)
    assert caught.value.code == 4401
    assert len(hub.sockets) == 1


async def test_a_first_device_that_is_disabled_does_not_keep_the_others_out() -> None:
    class Choosy(FakeHub):
        async def welcome(self, socket, session) -> None:
            if len(self.hellos) == 1:
                await bye(socket, 4403)
            else:
                await super().welcome(socket, session)

    report = Report()
    async with running(Choosy()) as hub:
        machines = fleet(hub, 2, report)
        await simulation.run(machines, 1.2, 5.0, 5.0)
    assert machines[0].device.stopped_code == 4403
    assert report.acked_readings > 0


async def test_a_hub_that_cannot_be_reached_ends_it_before_it_begins() -> None:
    report = Report()
    hub = FakeHub(url=f"ws://127.0.0.1:{free_port()}/ws/device")
    with pytest.raises(NotWelcome) as caught:
        await simulation.run(fleet(hub, 2, report), 60.0, 60.0, 0.3)
    assert caught.value.code is None
    assert any("cannot connect" in error for error in report.errors)
    assert report.acked_readings == 0


async def test_a_hub_that_acks_nothing_does_not_hold_up_the_end() -> None:
    async with running(FakeHub(hold=True)) as hub:
        machines = fleet(hub, 1, Report())
        await simulation.run(machines, 1.2, 0.1, 5.0)
    assert len(machines[0].device.outbox)


@pytest.mark.parametrize("seed", range(20))
def test_a_newcomer_sees_a_device_of_the_demo_late_within_a_minute(seed) -> None:
    habits = next(role.habits for role in demo.ROLES if role.slug == "pump-3")
    quiet = _Quiet(habits, random.Random(seed), 0)
    silent = [second for second in range(600) if quiet.at(second * 1e6)]
    starts = [second for second in silent if second - 1 not in silent]
    assert 30 <= starts[0] <= 60
    assert all(
        120 <= later - sooner <= 220
        for sooner, later in zip(starts, starts[1:], strict=False)
    )
    # A device a second is late after five, and here once more than that.
    assert all(start + 10 in silent for start in starts)
    assert all(start + 31 not in silent for start in starts)
