"""Whether readings are let through now: what database, disk, memory and clock say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..history.heads import Heads
from ..history.room import Room
from ..protocol import clock
from ..protocol.errors import Busy
from ..threads import on_database_thread
from .clock_guard import behind_us
from .pipeline import Pipeline

logger = logging.getLogger(__name__)

STOPPING = "the hub is stopping"


class Gate:
    """One a process, behind all doors. All methods belong to the event loop."""

    def __init__(
        self, pipeline: Pipeline, heads: Heads, room: Room, moved: Callable[[], None]
    ) -> None:
        """moved: is called when it has opened or closed."""
        self._pipeline = pipeline
        self._heads = heads
        self._room = room
        self._moved = moved
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._counted_readings = 0
        self.is_draining = False
        self.clock_behind_us = 0
        # As of the last `check_room`: so it changes on the event loop alone.
        self.why_full: str | None = None

    async def start(self) -> None:
        """Look for the first time. The pipeline runs already.

        From here on somebody else has the room measured; it is only read here.
        """
        self.check_clock()
        await on_database_thread(self._room.measure)
        self.check_room()

    def drain(self) -> None:
        """Let nothing through any more. Who waits here is sent away like all others."""
        self.is_draining = True
        self._is_open.set()

    @property
    def why_closed(self) -> str | None:
        """Why no readings are let through now, or None."""
        if self.is_draining:
            return STOPPING
        if self.clock_behind_us:
            seconds = self.clock_behind_us // 1_000_000
            return f"the hub's clock is {seconds} s behind its newest reading"
        if self.why_full is not None:
            return self.why_full
        if self._pipeline.is_stalled:
            return "the database takes no commits"
        if not self._pipeline.has_room:
            return "too many readings wait for their commit"
        return None

    @property
    def is_paused(self) -> bool:
        """Whether the disk or the clock lets nothing in, perhaps for long."""
        return not self._is_open.is_set()

    @property
    def is_closed(self) -> bool:
        """Whether devices had better send nothing: paused, or the database is away."""
        return self.is_paused or self._pipeline.is_stalled

    async def admitted(self) -> None:
        """Wait until readings may come in: memory, disk and clock allow it."""
        while self.why_closed is not None and not self.is_draining:
            if self.is_paused:
                await self._is_open.wait()
            elif not self._pipeline.has_room:
                await self._pipeline.room()
            else:
                return  # Stalled, but there is room: it waits here, not there.

    def check_open(self) -> None:
        """Raise Busy where a request had better come again later."""
        reason = self.why_closed
        if reason is not None:
            raise Busy(f"expected to be let in, but {reason}; try again in a moment")

    def check_clock(self) -> None:
        """Pause while the hub's own clock cannot be right."""
        newest = self._heads.newest_received_us
        self.clock_behind_us = behind_us(clock.now_us(), newest)
        self._open_or_close()

    def check_room(self) -> None:
        """Pause while there is no room for more readings on disk."""
        committed = self._pipeline.committed_readings
        self._room.add(committed - self._counted_readings)
        self._counted_readings = committed
        self.why_full = self._room.why_full
        self._open_or_close()

    def _open_or_close(self) -> None:
        is_open = not self.clock_behind_us and self.why_full is None
        if self.is_draining or is_open == self._is_open.is_set():
            return
        if is_open:
            self._is_open.set()
            logger.warning("ingest goes on")
        else:
            self._is_open.clear()
            logger.warning("ingest pauses: %s", self.why_closed)
        self._moved()
