"""Devices and the people around them: alice operates, bob may see, charlie may not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User

from telemetry.devices import credentials
from telemetry.devices.models import Device, DeviceGroup, GroupAccess, Role
from telemetry.devices.registry import Registry
from telemetry.protocol.limits import Limits
from telemetry.threads import on_database_thread

MakeDevice = Callable[..., Device]


@pytest.fixture
def make_device(db: None) -> MakeDevice:
    def make(slug: str, *groups: DeviceGroup, **fields: Any) -> Device:
        device = Device.objects.create(slug=slug, name=slug.title(), **fields)
        device.groups.set(groups)
        return device

    return make


@pytest.fixture
def plant(db: None) -> DeviceGroup:
    return DeviceGroup.objects.create(slug="plant", name="Plant A")


@pytest.fixture
def boiler(plant: DeviceGroup, make_device: MakeDevice) -> Device:
    return make_device("boiler-7", plant)


@pytest.fixture
def key(boiler: Device) -> str:
    return credentials.issue(boiler)[1]


@dataclass
class People:
    alice: User
    bob: User
    charlie: User
    staff: User
    inactive: User


@pytest.fixture
def people(plant: DeviceGroup) -> People:
    def person(name: str, **fields: Any) -> User:
        return User.objects.create_user(name, password=name, **fields)

    made = People(
        alice=person("alice"),
        bob=person("bob"),
        charlie=person("charlie"),
        staff=person("staff", is_staff=True),
        inactive=person("inactive", is_staff=True, is_active=False),
    )
    GroupAccess.objects.create(group=plant, user=made.alice, role=Role.OPERATOR)
    GroupAccess.objects.create(group=plant, user=made.bob)
    GroupAccess.objects.create(group=plant, user=made.inactive)
    return made


@pytest.fixture
async def hub() -> AsyncIterator[Registry]:
    """A registry whose looks the test asks for, and what its listeners heard."""
    made = Registry(Limits())
    yield made
    await made.stop()


async def do(function, *args, **kwargs):
    """What another process, or the admin, does to the database."""
    return await on_database_thread(function, *args, **kwargs)
