"""The hub of one process: builds the rooms' objects, starts and drains them in order.

Nothing here does anything itself. Building is without I/O.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable

from django.db import DatabaseError, InterfaceError, connection

from . import conf, patience
from .bus.switchboard import Switchboard
from .devices.events import Events
from .devices.presence import Presence
from .devices.registry import Registry
from .devices.tallies import Tallies, seconds_to_hour
from .history.catch_up import CatchUp
from .history.heads import HeadRow, Heads
from .history.keeper import new_keeper, new_room
from .history.raw_from import RawFrom
from .history.rounds import Rounds
from .history.tail import Tail
from .ingest.door import Door
from .ingest.gate import STOPPING
from .ingest.pipeline import Pipeline
from .jobs import Errands
from .live.echo import LinkChecks
from .live.feed import Feed
from .protocol import clock

logger = logging.getLogger(__name__)

# How often what other processes wrote of their devices is read.
PRESENCE_LOOK_SECONDS = 2.0
# Of the time for the end, for what is written after the last commits: so much, or a
# quarter. The pipeline has a second of it.
LAST_SECONDS = 3.0
LAST_SHARE = 0.25


class Hub:
    """One a process; ASGI scopes carry it as `telemetry.hub`.

    has_jobs: whether it also does the jobs of the whole hub (jobs.py), as it does
    when it is the only process. Workers leave them to `runjobs`.
    """

    # Said before it begins to stop, so that a balancer sends nobody more.
    is_leaving = False

    def __init__(self, *, has_jobs: bool = True) -> None:
        limits = conf.limits()
        self.events = Events(
            int(conf.value("EVENTS_PER_MINUTE")), int(conf.value("EVENTS_HELD"))
        )
        self.tallies = Tallies(int(conf.value("QUALITY_HELD")))
        self.registry = Registry(limits, self.events)
        self.presence = Presence(self.events, self.tallies)
        self.heads = Heads()
        self.tail = Tail(int(conf.value("TAIL_READINGS")))
        self.switchboard = Switchboard()
        self.feed = Feed(self.registry, self.presence, self.heads, self.switchboard)
        self.link_checks = LinkChecks(int(conf.value("ECHO_SOCKETS")))
        self.pipeline = Pipeline(
            self.heads,
            self.tail,
            gather_ms=float(conf.value("GATHER_MS")),
            commit_readings=int(conf.value("COMMIT_READINGS")),
            held_bytes=int(conf.value("HELD_BYTES")),
            sessions_per_device=limits.sessions_per_device,
        )
        self.room = new_room()
        self.door = Door(
            self.registry,
            self.presence,
            self.heads,
            self.pipeline,
            self.room,
            limits,
            self.tallies,
        )
        self.upkeep = self._new_upkeep(has_jobs)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def _new_upkeep(self, has_jobs: bool) -> Rounds:
        own = CatchUp(
            self.tail, self.room, self._hand_over_raw_from, self._hand_over_heads
        )
        stopping = threading.Event()
        looks = [own.look]
        if has_jobs:
            keeper = new_keeper(self.room, stopping, own.let_go)
            looks += [patience.long(keeper.look), Errands().look]
        return Rounds("upkeep", stopping, *looks)

    async def start(self) -> None:
        """Take over what the last process left, and open the doors."""
        patience.begin(conf.value("STATEMENT_SECONDS"))
        await self.pipeline.start()
        await self.presence.load(self.pipeline.writer)
        self.switchboard.listen_for_commands(self.pipeline.writer, self.door.on_command)
        self.door.takeover.tell_with(self.switchboard.tell)
        await self.registry.start()
        await self.switchboard.start()
        await self.feed.start()
        self.pipeline.listen(self.feed.on_tick)
        await self.door.start()
        loop = self._loop = asyncio.get_running_loop()
        self.upkeep.start()
        self._tasks = [
            loop.create_task(self._write_presence(), name="presence"),
            loop.create_task(self._look_at_presence(), name="presence of others"),
            loop.create_task(self._write_events(), name="events"),
            loop.create_task(self._write_tallies(), name="tallies"),
            loop.create_task(self._load_tail(), name="tail"),
        ]

    async def drain(self, until: float | None = None) -> None:
        """Send all devices away with their acknowledgements, and end in order.

        until: of the loop's time, when all of it is over, whatever hangs; otherwise in
        DRAIN_SECONDS.
        """
        loop = asyncio.get_running_loop()
        if until is None:
            until = loop.time() + conf.value("DRAIN_SECONDS")
        try:
            await asyncio.wait_for(self._drain(until), until - loop.time())
        except asyncio.TimeoutError:
            logger.warning("the hub has not ended in order: there was no time left")

    async def _drain(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        last_seconds = min(LAST_SECONDS, LAST_SHARE * (until - loop.time()))

        def left() -> float:
            """Until the last commits have to be through."""
            return max(0.1, until - last_seconds - loop.time())

        await self.door.drain(left())
        await asyncio.to_thread(self.upkeep.stop, left())
        is_drained = await self.pipeline.drain(left())
        if not is_drained:
            logger.error("stopped with readings that no commit took; none was acked")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.link_checks.dismiss()
        await self.feed.stop()
        await self.switchboard.stop()
        try:
            await asyncio.wait_for(
                self._write_last(is_drained), max(0.0, until - loop.time())
            )
        except asyncio.TimeoutError:
            logger.warning("the database does not answer: presence is not written")

    async def _write_last(self, is_drained: bool) -> None:
        if is_drained:
            await _without_database_errors(self.presence.flush())
            await _without_database_errors(self.events.flush())
            await _without_database_errors(self.tallies.flush())
        await self.registry.stop()

    def troubles(self) -> list[str]:
        """Why the hub cannot take readings just now, in words; empty if it can."""
        reason = STOPPING if self.is_leaving else self.door.gate.why_closed
        return [] if reason is None else [reason]

    def _hand_over_raw_from(self, raw_from: RawFrom) -> None:
        self._on_loop(lambda: setattr(self.heads, "raw_from", raw_from))

    def _hand_over_heads(self, rows: list[HeadRow]) -> None:
        self._on_loop(lambda: self.heads.restore(rows))

    def _on_loop(self, take: Callable[[], None]) -> None:
        """From the upkeep's thread to the loop, where alone heads are used."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop has ended.
                self._loop.call_soon_threadsafe(take)

    async def _write_presence(self) -> None:
        while True:
            await asyncio.sleep(conf.value("PRESENCE_SECONDS"))
            await _without_database_errors(self.presence.flush())

    async def _look_at_presence(self) -> None:
        while self.presence.is_shared:
            await asyncio.sleep(PRESENCE_LOOK_SECONDS)
            await _without_database_errors(self.presence.look())

    async def _write_events(self) -> None:
        while True:
            await asyncio.sleep(conf.value("PRESENCE_SECONDS"))
            await _without_database_errors(self.events.flush())

    async def _write_tallies(self) -> None:
        while True:
            to_hour = seconds_to_hour(clock.now_us())
            await asyncio.sleep(min(conf.value("QUALITY_SECONDS"), to_hour))
            await _without_database_errors(self.tallies.flush())

    async def _load_tail(self) -> None:
        # In the background, on a thread of its own: until it is loaded, reading
        # goes to the journal.
        await _without_database_errors(
            asyncio.to_thread(_load_and_close, self.tail, self.pipeline.writer)
        )


def _load_and_close(tail: Tail, own_writer: int) -> None:
    try:
        tail.load(own_writer)
    finally:
        connection.close()


async def _without_database_errors(work: Awaitable[None]) -> None:
    """Do without what can be done again later, when the database is away."""
    try:
        await work
    except (DatabaseError, InterfaceError) as error:
        logger.warning("the database is away: %s", error)
