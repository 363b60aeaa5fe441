"""A hub that keeps the protocol and does what a test tells it, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from telemetry.fleet.device import Account

KEY = "hub_abcdefgh_" + "x" * 43


@dataclass
class FakeHub:
    """Acks at once unless `hold` is set; `on_data` may do something else instead."""

    window: int = 8
    max_rows: int = 1_000
    max_bytes: int = 65_536
    heartbeat: float = 30.0
    hold: bool = False
    on_data: Callable[[ServerConnection, dict[str, Any]], Awaitable[bool]] | None = None
    url: str = ""
    hellos: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0
    most_unacked: int = 0
    acked: dict[str, int] = field(default_factory=dict)
    sockets: list[ServerConnection] = field(default_factory=list)
    something: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def account(self) -> Account:
        return Account(self.url, "boiler-7", KEY)

    @property
    def seqs(self) -> list[int]:
        return [message["seq"] for message in self.received]

    async def serve_one(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        session = ""
        with contextlib.suppress(ConnectionClosed):
            async for frame in socket:
                message = msgspec.json.decode(frame)
                if message["type"] == "hello":
                    session = message["session"]
                    self.hellos.append(message)
                    await self.welcome(socket, session)
                elif message["type"] == "ping":
                    self.pings += 1
                    await say(socket, {"type": "pong", "time": 0, "echo": None})
                elif message["type"] == "data":
                    self.received.append(message)
                    unacked = message["seq"] - self.acked.get(session, 0)
                    self.most_unacked = max(self.most_unacked, unacked)
                    if self.on_data is not None and await self.on_data(socket, message):
                        pass
                    elif not self.hold:
                        await self.ack(socket, session, message["seq"])
                self.something.set()

    async def welcome(self, socket: ServerConnection, session: str) -> None:
        await say(
            socket,
            {
                "type": "welcome",
                "device": "boiler-7",
                "time": 1_795_341_600_000,
                "acked": self.acked.get(session, 0),
                "window": self.window,
                "max_bytes": self.max_bytes,
                "max_rows": self.max_rows,
                "heartbeat": self.heartbeat,
                "rate": None,
            },
        )

    async def ack(self, socket: ServerConnection, session: str, seq: int) -> None:
        self.acked[session] = max(self.acked.get(session, 0), seq)
        await say(socket, {"type": "ack", "seq": seq})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the device does."""
        while not condition():
            self.something.clear()
            await asyncio.wait_for(self.something.wait(), 10)


async def say(socket: ServerConnection, message: dict[str, Any]) -> None:
    await socket.send(msgspec.json.encode(message).decode())


async def bye(socket: ServerConnection, code: int, after_ms: int = 0) -> None:
    await say(
        socket, {"type": "bye", "code": code, "reason": "test", "after_ms": after_ms}
    )
    await socket.close(code)


@contextlib.asynccontextmanager
async def running(hub: FakeHub) -> AsyncIterator[FakeHub]:
    server: Server
    async with serve(
        hub.serve_one,
        "127.0.0.1",
        0,
        subprotocols=["hub.v1.json"],  # type: ignore[list-item]
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        hub.url = f"ws://127.0.0.1:{port}/ws/device"
        yield hub
