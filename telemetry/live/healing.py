"""Reads again what other processes' messages may not have brought.

The channel layer may lose anything; the database has it all. Last values are
reloaded, and the topic's viewers start afresh (`reset` `gap`), for of what lies in
between nobody knows anything here: pages load their history again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping

from django.db import DatabaseError, InterfaceError, connection

from .. import counters
from ..history.heads import HeadRow
from ..history.watermarks import read_heads
from .members import Heads, Members, head_rows
from .watched import Watched

logger = logging.getLogger(__name__)

# One cut of the line is seen in many topics, at nearly the same time.
GATHER_SECONDS = 0.1
# A line that loses all the time does not keep the database busy all the time.
PAUSE_SECONDS = 1.0


class Healing:
    """Used on one event loop."""

    def __init__(self, heads: Heads, topics: Mapping[str, Watched]) -> None:
        """topics: what is watched, as it is at any moment."""
        self._heads = heads
        self._topics = topics
        # What others wrote is read by one at a time: it may be much.
        self._reading = asyncio.Lock()
        self._missed: set[str] = set()
        self._wake = asyncio.Event()

    def miss(self, topic: str) -> None:
        """Of this topic news may be missing: it is read again soon."""
        self._missed.add(topic)
        self._wake.set()

    def forget(self, topic: str) -> None:
        """It is read from now on anyway, and has no viewers yet."""
        self._missed.discard(topic)

    def opened(self, topic: str) -> None:
        """It has been opened, or not: what was missed meanwhile can be looked at."""
        if topic in self._missed:
            self._wake.set()

    async def read(self, members: Members) -> None:
        """Take over the last values of `members` as all processes know them.

        Raises DatabaseError.
        """
        await self._read(members.ids)

    async def run(self) -> None:
        """Heal what was missed, for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            await self._heal()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _heal(self) -> None:
        # What is being opened is healed when it is open: see `opened`.
        topics = {
            topic
            for topic in self._missed
            if topic in self._topics and self._topics[topic].is_joined
        }
        if not topics:
            return
        self._missed -= topics
        healed = [self._topics[topic] for topic in topics]
        try:
            await self._read({key for each in healed for key in each.members.ids})
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the database is away: %s", error)
            for topic in topics:
                self.miss(topic)
            return
        # From here on no await: a topic's members and its state are of one moment.
        held = [each for each in healed if self._topics.get(each.topic) is each]
        for watched in held:
            watched.state.catch_up(head_rows(self._heads.current(watched.members.ids)))
            watched.state.break_off()
        counters.BUS_HEALED.inc(len(held))
        logger.warning(
            "news of other processes may be missing: %d watched groups and devices "
            "were read again from the database",
            len(held),
        )

    async def _read(self, series_ids: Collection[int]) -> None:
        async with self._reading:
            # Takes seconds if they wrote much: not on the one thread that every
            # hello and log-in waits for.
            heads = await asyncio.to_thread(_read_heads_and_close, series_ids)
        self._heads.restore(heads)


def _read_heads_and_close(series_ids: Collection[int]) -> Iterable[HeadRow]:
    try:
        return read_heads(series_ids)
    finally:
        # It is this thread's own, and nobody else would.
        connection.close()
