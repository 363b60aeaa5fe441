"""Taking a device over from another process: claim, wait for its commit, read the mark.

For processes that share a database; all methods belong to the event loop. Devices
that come at one moment are claimed and looked up together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from django.db import InterfaceError, InternalError, OperationalError

from ..devices.gather import Gather
from ..history import owners, watermarks
from ..history.journal import Mark, SessionKey
from ..threads import on_database_thread
from .pipeline import Pipeline

# What another process is told when a device of its has come here.
SUPERSEDED = "superseded"
# How often a commit that takes long is asked after, and a database that is away.
AGAIN_SECONDS = 0.05
AWAY_SECONDS = 1.0
# In place of a writer: whoever it was.
ANY = 0
# A writer's id, what to do, and the device that it is about.
Tell = Callable[[int, str, int], None]


class Takeover:
    """One a process."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._tell: Tell | None = None
        self._claims = Gather(self._claim)
        self._marks = Gather(self._read_marks)
        self._ends: dict[int, Gather[int, bool]] = {}
        # Whose commits may not be through yet, by device.
        self._unsettled: dict[int, set[int]] = {}

    def tell_with(self, tell: Tell) -> None:
        """Tell the old owner with this, which may lose it."""
        self._tell = tell

    async def watermark(self, device_id: int, session: str) -> Mark | None:
        """How far the session got; from here on no other process stores more of it.

        What this process still held of the device has been committed (`flush`).
        """
        while True:
            try:
                return await self._watermark(device_id, session)
            except (OperationalError, InterfaceError, InternalError):
                # Internal: PostgreSQL ended a transaction that had been stopped.
                if self._pipeline.is_stopping:
                    raise
                await asyncio.sleep(AWAY_SECONDS)

    async def _watermark(self, device_id: int, session: str) -> Mark | None:
        await self._claims.get(device_id)
        # Also when it is here already: another socket of it may just wait.
        old = frozenset(self._unsettled.get(device_id, ()))
        for writer in sorted(old):
            await self._wait_for(writer)
        if left := self._unsettled.get(device_id):
            left -= old
            if not left:
                del self._unsettled[device_id]
        return await self._marks.get((device_id, session, old))

    # --- claim --------------------------------------------------------------------

    async def _claim(self, devices: list[int]) -> Mapping[int, int]:
        own = self._pipeline.writer
        try:
            before = await on_database_thread(owners.claim, devices, own)
        except Exception:
            # It may have been done: the next try would see nobody before us.
            for device_id in devices:
                self._unsettled.setdefault(device_id, set()).add(ANY)
            raise
        for device_id, writer in before.items():
            self._unsettled.setdefault(device_id, set()).add(writer)
            if self._tell is not None:
                self._tell(writer, SUPERSEDED, device_id)
        return before

    # --- wait ---------------------------------------------------------------------

    async def _wait_for(self, writer: int) -> None:
        """Until every commit of the writer sees what has been claimed by now."""
        ends = self._ends.get(writer)
        if ends is None:
            # One a writer: a process that hangs holds up its own devices alone.
            ends = self._ends[writer] = Gather(self._wait)
        await ends.get(writer)

    async def _wait(self, writers: list[int]) -> Mapping[int, bool]:
        own = self._pipeline.writer
        found = set(writers)
        if ANY in found:
            found = await on_database_thread(owners.possible_writers, own)
        for writer in sorted(found):
            while not await on_database_thread(owners.is_through, writer):
                await asyncio.sleep(AGAIN_SECONDS)
        return dict.fromkeys(writers, True)

    # --- read ---------------------------------------------------------------------

    async def _read_marks(
        self, wanted: list[tuple[int, str, frozenset[int]]]
    ) -> Mapping[tuple[int, str, frozenset[int]], Mark]:
        """Own memory first: a fold may empty that into the database."""
        marks: dict[SessionKey, Mark] = {}
        for device_id, session, _ in wanted:
            held = self._pipeline.unfolded((device_id, session))
            if held is not None:
                marks[device_id, session] = held
        own = self._pipeline.writer
        also = {writer for *_, old in wanted for writer in old}
        if ANY in also:
            also |= await on_database_thread(owners.possible_writers, own)
        keys = [(device_id, session) for device_id, session, _ in wanted]
        read = partial(watermarks.last_marks, keys, own, also)
        for key, mark in (await on_database_thread(read)).items():
            marks[key] = watermarks.later(marks.get(key), mark)
        return {each: marks[each[:2]] for each in wanted if each[:2] in marks}
