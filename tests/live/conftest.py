"""A live hub behind uvicorn: registry, presence, heads, switchboard and feed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import uvicorn
from channels.layers import InMemoryChannelLayer
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from telemetry.bus.switchboard import Switchboard
from telemetry.devices.models import Device, DeviceGroup, GroupAccess, Series
from telemetry.devices.presence import Presence
from telemetry.devices.registry import Registry
from telemetry.history.heads import Heads
from telemetry.history.tick import Tick, sort_columns
from telemetry.live.consumers import LiveConsumer
from telemetry.live.feed import Feed
from telemetry.threads import on_database_thread
from tests.processes import free_port

T0 = 1_795_341_600_000_000
SUBPROTOCOL = "hub.live.v1"


class LiveHub:
    """What the hub of a process has for browsers; ticks are made by the test."""

    def __init__(self, layer: Any) -> None:
        self.registry = Registry()
        self.presence = Presence()
        self.heads = Heads()
        self.switchboard = Switchboard(layer)
        self.feed = Feed(self.registry, self.presence, self.heads, self.switchboard)
        self.numbers = itertools.count(1)

    async def start(self) -> None:
        await self.switchboard.start()
        await self.feed.start()

    async def stop(self) -> None:
        await self.feed.stop()
        await self.switchboard.stop()
        await self.registry.stop()

    def commit(self, *readings: tuple[int, int, float | str], at: int = 0) -> Tick:
        """(series id, ms after T0, value) as one commit, received `at` ms after T0."""
        numbers = [each for each in readings if not isinstance(each[2], str)]
        texts = [(s, T0 + ms * 1000, v) for s, ms, v in readings if isinstance(v, str)]
        columns = sort_columns(
            np.array([each[0] for each in numbers], np.int32),
            np.array([T0 + each[1] * 1000 for each in numbers], np.int64),
            np.array([each[2] for each in numbers], np.float64),
        )
        newest = max((each[1] for each in readings), default=0)
        received_us = T0 + max(at, newest) * 1000
        number = next(self.numbers)
        tick = self.heads.advance(
            columns, texts, writer=1, number=number, received_us=received_us
        )
        self.feed.on_tick(tick)
        return tick


@dataclass
class Page:
    """A browser tab, as far as the socket can tell."""

    socket: ClientConnection
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self, type: str = "", seconds: float = 10) -> dict[str, Any]:
        """The next message; with `type`, the next one of that type."""
        while True:
            frame = await asyncio.wait_for(self.socket.recv(), seconds)
            message: dict[str, Any] = json.loads(frame)
            self.messages.append(message)
            if type in ("", message["type"]):
                return message

    async def is_silent(self, seconds: float = 0.6) -> bool:
        try:
            await self.receive(seconds=seconds)
        except asyncio.TimeoutError:
            return True
        return False

    async def ack(self, message: dict[str, Any]) -> None:
        await self.send(
            type="ack", group=message["group"], revision=message["revision"]
        )

    async def closed(self) -> tuple[int | None, dict[str, Any] | None]:
        """Read to the end: the close code, and the `bye` before it."""
        bye = None
        try:
            while True:
                message = await self.receive()
                bye = message if message["type"] == "bye" else bye
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code, bye

    async def hello(self, interval_ms: int = 100) -> dict[str, Any]:
        await self.send(type="hello", interval_ms=interval_ms)
        return await self.receive("welcome")

    async def subscribe(self, *groups: str, **more: Any) -> dict[str, Any]:
        await self.send(type="subscribe", id=1, groups=list(groups), **more)
        return await self.receive("subscribed")


class Live:
    """The server under test, and what a test does to the hub behind it."""

    def __init__(self, hub: LiveHub, port: int) -> None:
        self.hub = hub
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"

    async def page(
        self,
        cookie: str | None,
        *,
        origin: str | None = "own",
        subprotocols: tuple[str, ...] | None = (SUBPROTOCOL,),
    ) -> Page:
        headers = [("Cookie", cookie)] if cookie is not None else []
        if origin is not None:
            headers.append(("Origin", self.origin if origin == "own" else origin))
        socket = await connect(
            f"ws://127.0.0.1:{self.port}/ws/live",
            additional_headers=headers,
            subprotocols=subprotocols,  # type: ignore[arg-type]
            compression=None,
            max_size=None,
            proxy=None,
        )
        self.sockets.append(socket)
        return Page(socket)

    sockets: list[ClientConnection] = []


class OwnLoopServer(uvicorn.Server):
    """uvicorn in the test's loop: signals stay pytest's, and it ends within 20 ms.

    Its own way is to sleep for tenths of a second in four places.
    """

    @contextlib.contextmanager
    def capture_signals(self):
        yield

    async def main_loop(self):
        while not await self.on_tick(0):
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets=None):
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.005)


async def serve(hub: LiveHub, port: int):
    consumer = LiveConsumer.as_asgi()

    async def application(scope, receive, send):
        scope["telemetry.hub"] = hub
        await consumer(scope, receive, send)

    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=port,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = OwnLoopServer(config)
    task = asyncio.get_running_loop().create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    return server, task


@pytest.fixture
async def live(settings):
    """One process's live part behind a real server."""
    port = free_port()
    settings.HUB_ORIGINS = (f"http://127.0.0.1:{port}",)
    hub = LiveHub(InMemoryChannelLayer())
    await hub.start()
    server, task = await serve(hub, port)
    made = Live(hub, port)
    made.sockets = []
    yield made
    await asyncio.gather(*(socket.close() for socket in made.sockets))
    server.should_exit = True
    await task
    await hub.stop()


@dataclass
class Plant:
    """A group with two devices of two numbers each, a boolean and a text."""

    group: DeviceGroup
    other: DeviceGroup
    boiler: Device
    pump: Device
    temp: int
    flow: int
    door: int
    state: int
    pump_temp: int


def make_plant() -> Plant:
    group = DeviceGroup.objects.create(slug="plant", name="Plant A")
    other = DeviceGroup.objects.create(slug="other", name="Other")
    boiler = Device.objects.create(slug="boiler-7", name="Boiler 7")
    pump = Device.objects.create(slug="pump-1", name="Pump 1")
    boiler.groups.set([group])
    pump.groups.set([group])

    def series(device: Device, name: str, **fields: Any) -> int:
        return Series.objects.create(device=device, name=name, **fields).pk

    return Plant(
        group,
        other,
        boiler,
        pump,
        temp=series(boiler, "temp", unit="°C"),
        flow=series(boiler, "flow", unit="l/s"),
        door=series(boiler, "door", kind="boolean"),
        state=series(boiler, "state", kind="text"),
        pump_temp=series(pump, "temp", unit="°C"),
    )


def sign_in(user: User) -> str:
    """A real session of this user; the Cookie header of their browser."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


def make_person(name: str, *groups: DeviceGroup, **fields: Any) -> tuple[User, str]:
    user = User.objects.create_user(name, password=name, **fields)
    for group in groups:
        GroupAccess.objects.create(group=group, user=user)
    return user, sign_in(user)


async def do(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What another process, or the admin, does to the database."""
    return await on_database_thread(function, *args, **kwargs)


@pytest.fixture
async def plant(transactional_db):
    return await do(make_plant)


@pytest.fixture
async def staff(transactional_db):
    """A staff user's Cookie header: sees everything."""
    return (await do(make_person, "staff", is_staff=True))[1]


async def watching(live, cookie, *groups, interval_ms=100, **more):
    """A page that has said hello and subscribed; its `subscribed`."""
    page = await live.page(cookie)
    await page.hello(interval_ms)
    return page, await page.subscribe(*groups, **more)
