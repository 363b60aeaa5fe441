"""Devices and keys for fleets that run beside their hub."""

from __future__ import annotations

import pytest

from telemetry.devices.models import Credential, Device, DeviceGroup, Series
from telemetry.fleet import demo
from telemetry.fleet.enrol import Wanted, enrolled, last_readings
from telemetry.history.models import SeriesHead
from telemetry.protocol.names import KEY

pytestmark = pytest.mark.django_db
WANTED = [
    Wanted("sim-1", "Sim 1", "lab", "Lab"),
    Wanted("sim-2", "Sim 2", "lab", "Lab"),
]


def test_absent_devices_are_made_in_their_group_with_a_key_each() -> None:
    with enrolled(WANTED, "simulated") as keys:
        assert set(keys) == {"sim-1", "sim-2"}
        assert all(KEY.match(key) for key in keys.values())
        assert Credential.objects.count() == 2
    group = DeviceGroup.objects.get(slug="lab")
    assert {device.slug for device in group.devices.all()} == {"sim-1", "sim-2"}


def test_the_keys_end_with_the_context_and_the_devices_stay() -> None:
    for _ in range(3):
        with enrolled(WANTED, "simulated"):
            pass
    assert Credential.objects.count() == 0
    assert Device.objects.count() == 2


def test_keys_that_a_killed_process_left_are_removed_at_the_next_start() -> None:
    fleet = enrolled(WANTED, "simulated")
    fleet.__enter__()
    with enrolled(WANTED, "simulated"):
        assert Credential.objects.count() == 2


def test_a_device_that_somebody_else_made_is_left_alone() -> None:
    other = Device.objects.create(slug="sim-1", name="Mine")
    with enrolled(WANTED, "simulated") as keys:
        assert set(keys) == {"sim-2"}
        assert not other.credentials.exists()
    assert not other.groups.exists()


def test_a_replay_adds_its_own_key_to_any_device_and_takes_only_that_back() -> None:
    other = Device.objects.create(slug="sim-1", name="Mine")
    Credential.objects.create(device=other, prefix="abcdefgh", sha256=b"x" * 32)
    with enrolled(WANTED[:1], "replay", only_tagged=False) as keys:
        assert set(keys) == {"sim-1"}
        assert other.credentials.count() == 2
    assert [each.prefix for each in other.credentials.all()] == ["abcdefgh"]


def test_last_readings_are_those_of_the_heads_without_texts() -> None:
    device = Device.objects.create(slug="sim-1", name="Sim 1")
    Device.objects.create(slug="sim-2", name="Sim 2")
    for name, kind, value in (("energy", "number", 7.5), ("state", "text", None)):
        series = Series.objects.create(device=device, name=name, kind=kind)
        SeriesHead.objects.create(
            series_id=series.pk, time_us=5, effective_us=5, received_us=6, value=value
        )
    assert last_readings(["sim-1", "sim-2"]) == {"sim-1": {"energy": (5, 7.5)}}
    assert last_readings(["sim-2"]) == {}


def test_the_demo_makes_its_groups_and_devices() -> None:
    with enrolled([role.wanted for role in demo.ROLES], demo.TAG) as keys:
        assert set(keys) == {role.slug for role in demo.ROLES}
    assert DeviceGroup.objects.get(slug="demo").devices.count() >= 5
