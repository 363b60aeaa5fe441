"""When frames go out: one loop a process and interval, for all its viewers together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from ..protocol import close_codes
from ..protocol.clock import now_us
from .subscription import Subscription

logger = logging.getLogger(__name__)

INTERVALS_MS: Final = (100, 250, 1000, 5000)
KEEP_ALIVE_SECONDS = 1.0
# A pass over many viewers lets others have the loop after this many.
VIEWERS_A_TURN = 100


class Pacing:
    """Advances each subscription at its interval. Used on one event loop."""

    def __init__(self) -> None:
        self._paced: dict[int, set[Subscription]] = {ms: set() for ms in INTERVALS_MS}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._pace(interval_ms)) for interval_ms in INTERVALS_MS
        ]
        self._tasks.append(loop.create_task(self._keep_alive()))

    async def stop(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def add(self, subscription: Subscription, interval_ms: int) -> None:
        """Send to it from now on, and what there is at once."""
        self._paced[interval_ms].add(subscription)
        subscription.advance(time.monotonic(), now_us())

    def remove(self, subscription: Subscription) -> None:
        """Send to it no more."""
        for paced in self._paced.values():
            paced.discard(subscription)

    async def _pace(self, interval_ms: int) -> None:
        paced = self._paced[interval_ms]
        interval = interval_ms / 1000
        due = time.monotonic()
        while True:
            now = time.monotonic()
            # A pass that took long is not made up for.
            due = max(due + interval, now)
            await asyncio.sleep(due - now)
            if paced:
                await self._advance_all(paced)

    async def _advance_all(self, paced: set[Subscription]) -> None:
        now, wall_us = time.monotonic(), now_us()
        for count, subscription in enumerate(list(paced), 1):
            self._safely(subscription.advance, subscription, now, wall_us)
            if count % VIEWERS_A_TURN == 0:
                await asyncio.sleep(0)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            now, wall_us = time.monotonic(), now_us()
            for paced in self._paced.values():
                for subscription in list(paced):
                    self._safely(subscription.keep_alive, subscription, now, wall_us)

    def _safely(
        self,
        step: Callable[[float, int], None],
        subscription: Subscription,
        now: float,
        wall_us: int,
    ) -> None:
        try:
            step(now, wall_us)
        except Exception:
            # The edge of the process: one topic gone wrong must not stop the frames
            # of all the others.
            logger.exception("a viewer's frame could not be made")
            self.remove(subscription)
            subscription.viewer.bye(close_codes.INTERNAL)
