"""The process's channel and the groups that the layer has it in.

A layer joins lazily and may lose a membership: whether it really brings what is sent
to a group is found out by a probe of our own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

from .envelope import Probe
from .line import Line

# Layers end a membership after a day or more (group_expiry): long before that.
REJOIN_SECONDS = 3600.0
BARRIER_SECONDS = 2.0


class Membership:
    """Used on one event loop. Until `open`, there is no channel to join with."""

    def __init__(self, origin: str, line: Line) -> None:
        self._origin = origin
        self._line = line
        self._channel = ""
        # Groups that the layer has us in, and since when.
        self._joined: dict[str, float] = {}
        self._probes: dict[int, asyncio.Event] = {}
        self._tokens = itertools.count(1)

    @property
    def has_channel(self) -> bool:
        """Whether there is a channel to receive from."""
        return bool(self._channel)

    async def open(self) -> bool:
        """Get a channel."""
        return await self._line.attempt("open a channel", self._new_channel())

    async def receive(self, take: Callable[[dict[str, Any]], None]) -> bool:
        """Call `take` with each message, until the layer fails."""
        return await self._line.attempt(
            "receive", self._receive_all(take), seconds=None
        )

    def lost(self) -> None:
        """The layer no longer brings anything: all is to be opened and joined anew."""
        self._channel = ""
        self._joined.clear()

    async def join(self, group: str) -> bool:
        """Whether what is sent to `group` comes here from now on, or will soon."""
        if not self._channel:
            return False
        added = await self._line.attempt("join a group", self._add(group), about=group)
        if added:
            self._joined[group] = time.monotonic()
        return added

    async def leave(self, group: str) -> None:
        """What is sent to `group` is no longer wanted here."""
        await self._line.attempt("leave a group", self._discard(group))

    async def leave_all(self) -> None:
        """Leave every group, at the end."""
        for group in list(self._joined):
            await self.leave(group)

    async def rejoin(self, wanted: Iterable[str]) -> None:
        """Join what is wanted and not joined yet, and renew what is old."""
        old = time.monotonic() - REJOIN_SECONDS
        for group in wanted:
            if self._joined.get(group, old) <= old and not await self.join(group):
                return

    async def hears(self, group: str) -> bool:
        """Whether what is sent to `group` arrives here: the layer joins lazily."""
        token = next(self._tokens)
        heard = self._probes[token] = asyncio.Event()
        try:
            if not await self._line.send(group, Probe(self._origin, token)):
                return False
            await asyncio.wait_for(heard.wait(), BARRIER_SECONDS)
        except asyncio.TimeoutError:
            return False
        finally:
            del self._probes[token]
        return True

    def take_probe(self, probe: Probe) -> None:
        """A probe of our own has come back."""
        if probe.token in self._probes:
            self._probes[probe.token].set()

    async def _new_channel(self) -> None:
        self._channel = await self._line.layer.new_channel()

    async def _receive_all(self, take: Callable[[dict[str, Any]], None]) -> None:
        while True:
            take(await self._line.layer.receive(self._channel))

    async def _add(self, group: str) -> None:
        await self._line.layer.group_add(group, self._channel)

    async def _discard(self, group: str) -> None:
        self._joined.pop(group, None)
        await self._line.layer.group_discard(group, self._channel)
