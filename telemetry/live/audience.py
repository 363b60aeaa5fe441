"""All open live sockets of the process, and whether their people still may see.

Looked at together, so that a thousand open pages cost a handful of queries.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from .. import conf
from ..threads import on_database_thread
from .people import Person, find_people

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 1.0


class Seat(Protocol):
    """An open socket, as the audience sees it."""

    @property
    def session_key(self) -> str: ...
    async def take_person(self, person: Person | None) -> None:
        """What its user may see now; None: the session has ended."""

    def bye(self, code: int, reason: str = "", after_ms: int = 0) -> None: ...
    async def sent(self) -> None: ...


class Audience:
    """Used on one event loop."""

    def __init__(self) -> None:
        self._seats: set[Seat] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look again and again."""
        self._task = asyncio.get_running_loop().create_task(self._check_forever())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def join(self, seat: Seat) -> None:
        """A socket whose session holds is open."""
        self._seats.add(seat)

    def leave(self, seat: Seat) -> None:
        """It is gone."""
        self._seats.discard(seat)

    async def dismiss(self, code: int, after_ms: int) -> None:
        """Say goodbye to every socket: the hub stops."""
        seats = list(self._seats)
        for seat in seats:
            seat.bye(code, after_ms=after_ms)
        farewells = [asyncio.ensure_future(seat.sent()) for seat in seats]
        if farewells:
            # Whoever does not read does not hear it.
            await asyncio.wait(farewells, timeout=FAREWELL_SECONDS)
        for farewell in farewells:
            farewell.cancel()

    async def check(self) -> None:
        """Look once: sockets that may no longer see are told."""
        seats = list(self._seats)
        keys = {seat.session_key for seat in seats}
        if not keys:
            return
        people = await on_database_thread(find_people, keys)
        for seat in seats:
            if seat in self._seats:
                await seat.take_person(people.get(seat.session_key))

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(float(conf.value("LIVE_CHECK_SECONDS")))
            try:
                await self.check()
            except Exception:
                # The edge of the process: the database may be away. What was
                # allowed stays so until it answers.
                logger.exception("the rights of open pages could not be read")
