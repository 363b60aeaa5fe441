"""A group of devices with values, and people: bob may see, charlie may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from telemetry.devices.models import (
    Device,
    DeviceGroup,
    DevicePresence,
    GroupAccess,
    Series,
)
from telemetry.history.models import SeriesHead

NOON_US = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z

SignIn = Callable[[User], Client]


@dataclass
class People:
    bob: User
    charlie: User
    staff: User


@pytest.fixture
def plant(db: None) -> DeviceGroup:
    return DeviceGroup.objects.create(slug="plant", name="Plant A")


@pytest.fixture
def people(plant: DeviceGroup) -> People:
    made = People(
        bob=User.objects.create_user("bob"),
        charlie=User.objects.create_user("charlie"),
        staff=User.objects.create_user("staff", is_staff=True, is_superuser=True),
    )
    GroupAccess.objects.create(group=plant, user=made.bob)
    return made


@pytest.fixture
def sign_in() -> SignIn:
    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def add_device(
    group: DeviceGroup, slug: str, name: str = "", **presence: object
) -> Device:
    """A device with a temperature of 21.5, a door that is open, and a text."""
    device = Device.objects.create(slug=slug, name=name or slug.title())
    device.groups.add(group)
    now = timezone.now()
    fields = {"is_online": True, "last_seen_at": now, "changed_at": now, **presence}
    DevicePresence.objects.create(device=device, **fields)
    for metric, kind, unit, value in (
        ("temp", "number", "°C", 21.5),
        ("door", "boolean", "", 1.0),
        ("mode", "text", "", None),
    ):
        series = Series.objects.create(device=device, name=metric, kind=kind, unit=unit)
        SeriesHead.objects.create(
            series_id=series.pk,
            time_us=NOON_US,
            effective_us=NOON_US,
            received_us=NOON_US,
            value=value,
            text="hot water" if value is None else "",
        )
    return device
