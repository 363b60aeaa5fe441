"""All open live sockets of the process, and whether their people still may see.

Looked at together, so that a thousand open pages cost a handful of queries.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from django.db import DatabaseError, InterfaceError

from .. import conf
from ..devices.gather import Gather
from ..threads import on_database_thread
from .people import Claim, Person, find_people

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 1.0


async def _find(claims: list[Claim]) -> Mapping[Claim, Person]:
    return await on_database_thread(find_people, claims)


class Seat(Protocol):
    """An open socket, as the audience sees it."""

    @property
    def claim(self) -> Claim | None: ...
    async def take_person(self, person: Person | None) -> None:
        """What its user may see now; None: the session or token has ended."""

    def bye(self, code: int, reason: str = "", after_ms: int = 0) -> None: ...
    async def sent(self) -> None: ...


class Audience:
    """Used on one event loop."""

    def __init__(self) -> None:
        self._seats: set[Seat] = set()
        # A thousand pages that come back at once are a few queries.
        self._arrivals: Gather[Claim, Person] = Gather(_find)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look again and again."""
        self._task = asyncio.get_running_loop().create_task(self._check_forever())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def identify(self, claim: Claim) -> Person | None:
        """Who is behind a session or token now; None: it does not hold."""
        return await self._arrivals.get(claim)

    def join(self, seat: Seat) -> None:
        """A socket whose claim holds is open."""
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
        claims = {seat.claim for seat in seats if seat.claim is not None}
        if not seats:
            return
        people = await on_database_thread(find_people, claims)
        failures = []
        for seat in seats:
            if seat not in self._seats:
                continue
            try:
                await seat.take_person(people.get(seat.claim) if seat.claim else None)
            except Exception as error:
                # The edge of the process: those after it have to hear of it too.
                failures.append(error)
        if failures:
            logger.error(
                "%d open pages could not be told their rights",
                len(failures),
                exc_info=failures[0],
            )

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(float(conf.value("LIVE_CHECK_SECONDS")))
            try:
                await self.check()
            except (DatabaseError, InterfaceError) as error:
                # What was allowed stays so until it answers.
                logger.warning("the rights of open pages wait: %s", error)
            except Exception:
                # The edge of the process: the next look must come.
                logger.exception("the rights of open pages could not be read")
