"""telemetry.dashboard.device.state: a device's facts, of the hub or the database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.test import RequestFactory

from telemetry.dashboard.device.state import Shown, shown_state
from telemetry.dashboard.device.values import device_values
from telemetry.devices.models import Device, DevicePresence, Series
from telemetry.devices.presence import Presence
from telemetry.history.heads import Heads
from telemetry.history.models import SeriesHead
from telemetry.history.tail import Tail
from telemetry.history.tick import sort_columns

from ..conftest import NOON_US, add_device
from ..test_running_hub import ClientOfHub

NOON = datetime.fromtimestamp(NOON_US / 1e6, timezone.utc)


def shown(device: Device, seconds: float) -> Shown:
    """What the page says so long after noon, when everything was read."""
    request = RequestFactory().get("/")
    fresh = Device.objects.select_related("presence").get(pk=device.pk)
    now = NOON + timedelta(seconds=seconds)
    return shown_state(request, fresh, device_values(request, fresh), now)


@pytest.fixture
def pump(plant) -> Device:
    return add_device(plant, "pump", changed_at=NOON - timedelta(hours=1))


def period(name: str, seconds: float, last_ago: float = 0) -> None:
    at_us = NOON_US - int(last_ago * 1e6)
    series = Series.objects.get(name=name)
    SeriesHead.objects.filter(series_id=series.pk).update(
        period_us=int(seconds * 1e6), time_us=at_us, received_us=at_us
    )


def test_the_expected_period_counts(pump):
    Device.objects.update(expected_period_seconds=5)
    found = shown(pump, 22)
    assert (found.mark, found.word) == ("late", "Late")
    assert found.rest == (": last reading 22 s ago, one expected every 5 s. Connected.")


def test_without_one_it_is_that_of_the_fastest_series(pump):
    period("temp", 10)
    period("door", 300)
    assert shown(pump, 25).rest == (
        ": last reading 25 s ago, one expected every 10 s (estimated). Connected."
    )
    assert shown(pump, 25).mark == "live"
    assert shown(pump, 31).mark == "late"


def test_a_series_that_has_stopped_tells_nothing(pump):
    period("temp", 1, last_ago=3_600)
    period("door", 300)
    assert "every 5 min (estimated)" in shown(pump, 25).rest


def test_a_paused_device_is_not_judged(pump):
    Device.objects.update(is_paused=True)
    assert shown(pump, 9_000).mark == "paused"


def test_one_that_was_never_heard_of_is_new(pump):
    SeriesHead.objects.all().delete()
    DevicePresence.objects.all().delete()
    found = shown(pump, 22)
    assert (found.mark, found.rest) == ("new", ": no reading yet. Not connected.")


@pytest.mark.django_db(transaction=True)
async def test_in_a_hub_its_memory_counts(plant, people):
    device = await sync_to_async(add_device)(plant, "pump", is_online=False)
    series = await Series.objects.aget(name="temp")
    heads, presence = Heads(), Presence()
    now_us = int(datetime.now(timezone.utc).timestamp() * 1e6)
    for number in range(6):
        at_us = now_us - (5 - number) * 2_000_000
        columns = sort_columns(
            np.array([series.pk], np.int32),
            np.array([at_us], np.int64),
            np.array([33.25]),
        )
        heads.advance(columns, [], writer=1, number=number + 1, received_us=at_us)
    presence.connect(device.pk, "192.0.2.7", now_us - 60_000_000)
    events, tallies = SimpleNamespace(flush=_nothing), SimpleNamespace(hours=_none)
    client = ClientOfHub(
        SimpleNamespace(
            heads=heads,
            presence=presence,
            tail=Tail(1000),
            events=events,
            tallies=tallies,
        )
    )
    await client.aforce_login(people.bob)
    text = (await client.get("/d/pump")).content.decode()
    assert "33.25" in text
    assert "<b>Live</b>" in text
    assert "one expected every 2 s (estimated). Connected." in text


async def _nothing() -> None: ...


async def _none(device_id: int, first: int) -> dict[int, object]:
    return {}
