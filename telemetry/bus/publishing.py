"""What this process tells the others: news that they want, tips of how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from . import topics
from .envelope import TOPICS_A_MESSAGE, Publication, Tips
from .interest import Interests
from .line import Line
from .outgoing import Outgoing
from .tips import Offers

# A wish is announced every five seconds; without that it is forgotten after these.
KEPT_SECONDS = 15.0
TIP_SECONDS = 2.0


class Publishing:
    """Used on one event loop, from `start` to `stop`."""

    def __init__(self, origin: str, line: Line) -> None:
        self._origin = origin
        self._line = line
        self._interests = Interests(KEPT_SECONDS)
        self._offers = Offers()
        self._outgoing = Outgoing(self._send, self._sent)
        # Topics whose tip is to be sent, and whether those of all are.
        self._untold: set[str] = set()
        self._is_tip_due = False
        self._has_tips = asyncio.Event()
        self._telling = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send tips."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._tip_forever()),
            loop.create_task(self._send_tips_forever()),
        ]

    async def end(self) -> None:
        """Send what there is, and the last tips."""
        await self._stop_tips()
        await self._outgoing.drain()
        if await self._send_tips():
            last = Tips(self._origin, self._offers.tips(), is_last=True)
            await self._line.send(topics.CONTROL_GROUP, last)

    async def stop(self) -> None:
        """Send no more."""
        await self._stop_tips()
        await self._outgoing.stop()

    async def _stop_tips(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what is wanted -------------------------------------------------------------

    def wanted(self) -> frozenset[str]:
        """The topics that other processes want."""
        return self._interests.wanted()

    def want(self, origin: str, wished: Iterable[str], now: float) -> list[str]:
        """Another process wants these; returns what is new from it and not offered.

        What is offered it will hear of at once: it waits for the beginning.
        """
        begin = []
        for topic in self._interests.announce(origin, wished, now):
            if topic in self._offers:
                self._tip_of(topic)
            else:
                begin.append(topic)
        return begin

    def want_no_more(self, origin: str, dropped: Iterable[str]) -> None:
        """Another process no longer wants these."""
        self._interests.withdraw(origin, dropped)
        self._offers.keep(self._interests.wanted())

    def forget_silent(self, now: float) -> None:
        """What was not announced again in time is no longer wanted."""
        self._interests.forget_silent(now)
        self._offers.keep(self._interests.wanted())

    # --- news -----------------------------------------------------------------------

    def offer(self, topic: str, writer: int, number: int) -> None:
        """From now on all news of `topic`, if it is wanted, are published."""
        if topic in self._interests.wanted() and topic not in self._offers:
            self._offers.begin(topic, writer, number)
            self._tip_of(topic)

    def publish(self, topic: str, payload: bytes, writer: int, number: int) -> None:
        """Tell the other processes that want `topic`; nothing if none does."""
        if topic not in self._interests.wanted():
            return
        self.offer(topic, writer, number)
        n = self._offers.count(topic, writer, number)
        self._outgoing.put(Publication(self._origin, topic, n, writer, number, payload))

    async def _send(self, publication: Publication) -> bool:
        if publication.topic in self._untold:
            # First: a publication of a topic that has not begun looks like a hole.
            await self._send_tips()
        if self._line.has_failed(topics.CONTROL_GROUP):
            # The layer is away: do not spend the loop on finding out.
            return False
        return await self._line.send(topics.group_of(publication.topic), publication)

    def _sent(self, publication: Publication) -> None:
        self._offers.sent(publication.topic, publication.n)

    # --- tips -----------------------------------------------------------------------

    def tip_soon(self) -> None:
        """Send the tips of all topics as soon as may be."""
        self._is_tip_due = True
        self._has_tips.set()

    def _tip_of(self, topic: str) -> None:
        self._untold.add(topic)
        self._has_tips.set()

    async def _tip_forever(self) -> None:
        while True:
            await asyncio.sleep(TIP_SECONDS)
            self.tip_soon()

    async def _send_tips_forever(self) -> None:
        while True:
            await self._has_tips.wait()
            self._has_tips.clear()
            await self._send_tips()

    async def _send_tips(self) -> bool:
        """Send those that are due. One at a time: the next one may not overtake."""
        async with self._telling:
            if not self._is_tip_due and not self._untold:
                return True
            tips = self._offers.tips(None if self._is_tip_due else self._untold)
            # An empty one too: hearing ourselves says that the layer still has us.
            least = 1 if self._is_tip_due else 0
            self._is_tip_due = False
            self._untold = set()
            for start in range(0, max(len(tips), least), TOPICS_A_MESSAGE):
                part = tips[start : start + TOPICS_A_MESSAGE]
                message = Tips(self._origin, part)
                if not await self._line.send(topics.CONTROL_GROUP, message):
                    return False
            return True
