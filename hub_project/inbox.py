"""What uvicorn keeps for each socket, in forms that take no memory while it is idle.

`asyncio.Queue` and `asyncio.Event` hold five deques of 0.8 KiB each, whether there is
anything in them or not: with 10,000 sockets these were 40 MB.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any


class Inbox:
    """As much of `asyncio.Queue` as a socket needs: no bound, and one reader."""

    __slots__ = ("_events", "_reader")

    def __init__(self) -> None:
        self._events: tuple[()] | deque[Any] = ()
        self._reader: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        return not self._events

    def put_nowait(self, event: Any) -> None:
        if isinstance(self._events, tuple):
            self._events = deque((event,))
        else:
            self._events.append(event)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Any:
        # The event stays here until its reader runs: who is cancelled loses none.
        while isinstance(self._events, tuple):
            reader = self._reader = asyncio.get_running_loop().create_future()
            try:
                await reader
            finally:
                # One that is cancelled may end after the next has begun.
                if self._reader is reader:
                    self._reader = None
        event = self._events.popleft()
        if not self._events:
            self._events = ()
        return event


class Gate:
    """As much of `asyncio.Event` as a socket needs; open, and seldom closed."""

    __slots__ = ("_closed",)

    def __init__(self) -> None:
        self._closed: asyncio.Event | None = None

    def set(self) -> None:
        if self._closed is not None:
            self._closed.set()
            self._closed = None

    def clear(self) -> None:
        if self._closed is None:
            self._closed = asyncio.Event()

    async def wait(self) -> None:
        if self._closed is not None:
            await self._closed.wait()
