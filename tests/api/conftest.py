"""A device with readings, and who may see them: bob may, charlie may not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient

from telemetry.devices.models import Device, DeviceGroup, GroupAccess, Series
from telemetry.history.journal import open_writer
from telemetry.history.models import Writer
from tests.history.rows import write

T = 1_795_341_600_000_000  # 2026-11-22T10:00:00Z
T_MS = T // 1000
SECOND = 1_000_000
HOUR_MS = 3_600_000


@dataclass
class Plant:
    temp: int
    door: int
    mode: int
    hidden: int


@pytest.fixture
def plant(transactional_db) -> Plant:
    """pump has ten readings of temp a second apart, a door and a mode."""
    group = DeviceGroup.objects.create(slug="plant", name="Plant")
    pump = Device.objects.create(slug="pump", name="Pump")
    pump.groups.add(group)
    secret = Device.objects.create(slug="secret", name="Secret")
    temp = Series.objects.create(device=pump, name="temp", unit="°C").pk
    door = Series.objects.create(device=pump, name="door", kind="boolean").pk
    mode = Series.objects.create(device=pump, name="mode", kind="text").pk
    hidden = Series.objects.create(device=secret, name="temp").pk
    bob = User.objects.create_user("bob")
    User.objects.create_user("charlie")
    GroupAccess.objects.create(group=group, user=bob)
    rows = [(temp, T + at * SECOND, 20.0 + at) for at in range(10)]
    rows += [(door, T, 0.0), (door, T + 4 * SECOND, 1.0), (door, T + 8 * SECOND, 0.0)]
    rows += [(hidden, T, 1.0)]
    texts = [(mode, T - SECOND, "off"), (mode, T + SECOND, "on, “hot”")]
    writer = open_writer(T)
    write(writer.pk, 1, *rows, texts=texts)
    Writer.objects.update(folded_to=1)
    return Plant(temp, door, mode, hidden)


@pytest.fixture(autouse=True)
async def let_go_of_the_database() -> AsyncIterator[None]:
    """The views' thread outlives the test: its connection must not."""
    yield
    await sync_to_async(connections.close_all)()


@dataclass
class Got:
    status: int
    headers: Any
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    def is_error(self, status: int, code: str, *words: str) -> bool:
        assert (self.status, self.body["code"]) == (status, code), self.content
        assert self.body["type"] == "error"
        assert "expected" in self.body["message"]
        assert self.headers["Cache-Control"] == "no-store"
        missing = [word for word in words if word not in self.body["message"]]
        assert missing == [], self.body["message"]
        return True


Get = Callable[..., Awaitable[Got]]


async def got(client: AsyncClient, path: str, query: Any, headers: Any) -> Got:
    answer: Any = await client.get(path, query, headers=headers)
    if answer.streaming:
        content = b"".join([piece async for piece in answer.streaming_content])
        await sync_to_async(answer.close)()
    else:
        content = answer.content
    return Got(answer.status_code, answer.headers, content)


@pytest.fixture
def get(plant: Plant) -> Get:
    """GET as a person, below /api/v1/."""

    async def get_(
        path: str = "readings",
        person: str | None = "bob",
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Got:
        client = AsyncClient()
        if person is not None:
            user = await User.objects.aget(username=person)
            await client.aforce_login(user)
        named = {name.rstrip("_"): each for name, each in query.items()}
        return await got(client, f"/api/v1/{path}", named, headers)

    return get_
