"""What both load generators share: many sockets, their troubles, and what is said."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

CONNECTS_AT_ONCE = 50
READY_SECONDS = 120
SHOWN_TROUBLES = 5

L = TypeVar("L", bound="LoadSocket")


@dataclass
class Load:
    """All sockets of this process, and what went wrong."""

    job: dict[str, Any]
    is_measuring: bool = False
    frames: int = 0
    troubles: list[str] = field(default_factory=list)
    ready: int = 0
    all_ready: asyncio.Event = field(default_factory=asyncio.Event)

    def one_is_ready(self) -> None:
        """A socket may be measured."""
        self.ready += 1
        if self.ready == self.job["sockets"]:
            self.all_ready.set()


class LoadSocket(WSListener):
    """One socket: notes when the hub closes it, and passes on what is text."""

    transport: WSTransport

    def __init__(self, load: Load) -> None:
        self._troubles = load.troubles

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.on_text(transport, frame)
        elif frame.msg_type == WSMsgType.CLOSE:
            self._troubles.append(f"closed with {frame.get_close_code()}")
            transport.disconnect()

    def on_text(self, transport: WSTransport, frame: WSFrame) -> None:
        raise NotImplementedError


async def connect_all(
    load: Load, make: Callable[[int], L], headers: Callable[[int], dict[str, str]]
) -> list[L]:
    """Open the job's sockets, a few at a time, and wait until all are ready.

    `make` and `headers` are asked for each by its number.
    """
    gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

    async def connect(number: int) -> L:
        async with gate:
            _, listener = await ws_connect(
                lambda: make(number),
                load.job["url"],
                extra_headers=headers(number) or None,
                websocket_handshake_timeout=30,
            )
        return cast(L, listener)

    wanted = load.job["sockets"]
    sockets = await asyncio.gather(*(connect(number) for number in range(wanted)))
    try:
        await asyncio.wait_for(load.all_ready.wait(), READY_SECONDS)
    except asyncio.TimeoutError:
        raise SystemExit(
            f"expected {wanted} sockets to be ready, got {load.ready}; "
            f"{load.troubles[:SHOWN_TROUBLES]}"
        ) from None
    return list(sockets)


def say(word: str) -> None:
    """One line to the process that has started this one."""
    print(word, flush=True)


def main(run: Callable[[dict[str, Any]], Coroutine[Any, Any, None]]) -> None:
    """Read the job, one line of JSON from stdin, and run it."""
    # No cycles are made here; a collection would be measured as the hub's latency.
    gc.disable()
    uvloop.run(run(json.loads(sys.stdin.readline())))
