"""What this process hears from the others: news of its topics, or that some is missing.

That a number was left out, that a tip is ahead and that a process has gone silent are
told to who listens for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from .. import counters
from .envelope import Publication, Tips
from .tips import Following

logger = logging.getLogger(__name__)

# What a tip tells of may be on its way still, through another Redis.
GRACE_SECONDS = 0.5
# Three tips and a little: then a process has died, or does not turn.
SILENT_SECONDS = 7.0
# Who has been heard within this is there. More than from one tip to the next.
LIVELY_SECONDS = 3.0
# A subscription waits so long for those who are there to begin with its topic.
BEGIN_SECONDS = 0.25

Callback = Callable[[Publication], None]
OnTopic = Callable[[str], None]


def nothing(topic: str) -> None:
    """Nobody listens for it."""


class Listening:
    """Used on one event loop."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callback]] = {}
        self._following = Following(SILENT_SECONDS)
        self._tipped = asyncio.Event()
        self.on_missed: OnTopic = nothing

    def __contains__(self, topic: str) -> bool:
        return topic in self._callbacks

    def topics(self) -> list[str]:
        """All that somebody here listens to."""
        return list(self._callbacks)

    def add(self, topic: str, callback: Callback) -> bool:
        """Call `callback` for what comes of `topic`. Whether it is the first one."""
        callbacks = self._callbacks.setdefault(topic, [])
        callbacks.append(callback)
        return len(callbacks) == 1

    def remove(self, topic: str, callback: Callback) -> bool:
        """Undo one `add`. Whether nobody listens to `topic` any more."""
        callbacks = self._callbacks.get(topic, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if callbacks or self._callbacks.pop(topic, None) is None:
            return False
        self._following.forget(topic)
        return True

    async def have_begun(self, topic: str) -> None:
        """Wait a moment until those who are there publish `topic`.

        What they committed before that is in the database; of one that takes longer
        it is not known, and `on_missed` is called.
        """
        now = time.monotonic()
        until = now + BEGIN_SECONDS
        while now < until and not self._following.have_begun(
            topic, now, LIVELY_SECONDS
        ):
            self._tipped.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._tipped.wait(), until - now)
            now = time.monotonic()

    # --- what comes -----------------------------------------------------------------

    def hear(self, origin: str, now: float) -> None:
        """Anything at all came from another process."""
        self._following.hear(origin, now)

    def pardon(self, now: float) -> None:
        """This process heard nobody, not even itself: the others were not silent."""
        self._following.pardon(now)

    def look_for_silent(self, now: float) -> None:
        """Of who has gone silent something may be missing."""
        for topic in self._following.silent(now):
            self._miss(topic)

    def take_publication(self, came: Publication) -> None:
        """Hand it to who listens to its topic."""
        if came.topic not in self._callbacks:
            return
        if self._following.begin(came.origin, came.topic, came.n):
            self._miss(came.topic)
        else:
            missing = self._following.publication(came.origin, came.topic, came.n)
            self._miss(came.topic, missing, is_certain=True)
        for callback in list(self._callbacks[came.topic]):
            safely("message", callback, came)

    def take_tips(self, came: Tips) -> None:
        """See what they tell of and has not come, now or in a moment."""
        ahead = []
        for topic, n, _, number in came.tips:
            if topic not in self._callbacks:
                continue
            if self._following.begin(came.origin, topic, n):
                # Who has not committed anything yet has told nobody anything.
                self._miss(topic, 1 if number else 0)
            elif self._following.is_ahead(came.origin, topic, n):
                ahead.append((topic, n))
        self._tipped.set()
        loop = asyncio.get_running_loop()
        if ahead:
            loop.call_later(GRACE_SECONDS, self._catch_up, came.origin, ahead)
        if came.is_last:
            loop.call_later(2 * GRACE_SECONDS, self._following.leave, came.origin)

    def _catch_up(self, origin: str, tips: list[tuple[str, int]]) -> None:
        for topic, n in tips:
            missing = self._following.catch_up(origin, topic, n)
            self._miss(topic, missing, is_certain=True)

    def _miss(self, topic: str, count: int = 1, *, is_certain: bool = False) -> None:
        if is_certain:
            counters.BUS_MISSED.inc(count)
        if count and topic in self._callbacks:
            safely("hole", self.on_missed, topic)


def safely(what: str, callback: Callable[..., None], *arguments: Any) -> None:
    """Call it; what it raises is logged."""
    try:
        callback(*arguments)
    except Exception:
        # The edge of the process: a message of one process must not stop what all
        # the others send.
        logger.exception("a %s of another process could not be taken", what)
