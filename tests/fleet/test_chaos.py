"""Faults against a hub that keeps the protocol: none breaks it, all are made."""

from __future__ import annotations

import asyncio
import random

import pytest

from telemetry.fleet import chaos as chaos_module
from telemetry.fleet import signals, simulation
from telemetry.fleet.chaos import Chaos
from telemetry.fleet.device import Device
from telemetry.fleet.ledger import Ledger
from telemetry.fleet.observers import Books, Several
from telemetry.fleet.report import Report

from .fake_hub import FakeHub, running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos_module, "BETWEEN_LOSSES_SECONDS", 0.05)
    monkeypatch.setattr(chaos_module, "WAIT_SECONDS", 0.02)
    monkeypatch.setattr(chaos_module, "OVERLAP_SECONDS", 0.1)


async def test_whatever_is_broken_every_batch_is_acked_and_entered_once() -> None:
    rng = random.Random(5)
    chaos, report, books = Chaos(rng, 0.03), Report(), Books(Ledger())
    async with running(FakeHub(window=4)) as hub:
        device = Device(
            hub.account, observer=Several([report, chaos, books]), rng=random.Random(6)
        )
        habits = simulation.Habits(rate_hz=200, batch_rows=2)
        machine = simulation.Machine(device, signals.hall(rng), habits, rng)
        faults = asyncio.ensure_future(chaos.run([device]))
        fleet = asyncio.ensure_future(simulation.run([machine], 3.0, 30))
        await asyncio.wait([fleet], timeout=3.0)
        faults.cancel()
        await asyncio.wait_for(fleet, 60)
    assert not len(device.outbox)
    assert hub.most_unacked <= 4
    assert report.reconnects >= 1
    assert sum(chaos.faults.values()) >= 5
    sent_once = {message["seq"]: message for message in hub.received}
    # Sent again means the same message.
    assert all(sent_once[message["seq"]] == message for message in hub.received)
    assert len(hub.received) > len(sent_once)
    assert sorted(sent_once) == list(range(1, device.outbox.last_seq + 1))
    assert books.ledger.count == report.acked_readings
