"""The process's line to the channel layer, which may be away, or hang.

Nothing here raises for that: a step that failed is False, counted, and the log says
once that the layer is away and once that it is back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from .. import counters
from . import envelope

logger = logging.getLogger(__name__)

# Redis answers in a millisecond. One that does not for so long has stopped, or the
# way to it has: without an end the whole line would wait for TCP to give up.
STEP_SECONDS = 5.0
# What failed and was not tried again for so long is no sign of anything.
FAILED_SECONDS = 10.0


class Line:
    """Used on one event loop."""

    def __init__(self, layer: Any = None) -> None:
        """layer: the default channel layer if not given."""
        self.layer = layer
        self.is_up = False
        # When a step with this group (or what it was) failed last. With several
        # Redis hosts one may be away, and its groups with it.
        self._failed_at: dict[str, float] = {}
        # What the log said last, so that it says each once.
        self._told_up: bool | None = None

    def open(self) -> None:
        """Find the layer; it may be away."""
        if self.layer is None:
            self.layer = get_channel_layer()

    @property
    def is_in_memory(self) -> bool:
        """Whether there is nobody at the other end: one process, without Redis."""
        return isinstance(self.layer, InMemoryChannelLayer)

    def has_failed(self, group: str) -> bool:
        """Whether the last step with this group failed."""
        return group in self._failed_at

    async def send(self, group: str, content: envelope.Envelope) -> bool:
        """Whether the layer took it."""
        message = envelope.pack(content)
        step = self.layer.group_send(group, message)
        return await self.attempt("send", step, about=group)

    async def attempt(
        self,
        what: str,
        step: Awaitable[Any],
        *,
        about: str = "",
        seconds: float | None = STEP_SECONDS,
    ) -> bool:
        """Whether the layer could do it, within a time; seconds: None for no end.

        about: the group.
        """
        try:
            await _within(step, seconds)
        except Exception as error:
            # The edge of the process. Layers raise what their clients raise, and
            # there is no common base: whatever it is, the layer is away.
            self._failed_at[about or what] = time.monotonic()
            self._tell_away(what, error)
            self.is_up = False
            counters.BUS_FAILURES.inc()
            return False
        self._failed_at.pop(about or what, None)
        self.is_up = True
        return True

    def proved(self) -> bool:
        """What we sent came back: the layer works. Whether it had been away.

        Only that proves it: a layer may take what it cannot pass on.
        """
        if any(
            time.monotonic() - failed_at < FAILED_SECONDS
            for failed_at in self._failed_at.values()
        ):
            # One of several is still away.
            return False
        self._failed_at.clear()
        was_away = self._told_up is False
        # A layer in memory has nothing to tell, unless it failed.
        if was_away or (self._told_up is None and not self.is_in_memory):
            logger.info("Redis (the channel layer) answers")
        self._told_up = True
        return was_away

    def lost(self) -> None:
        """Nothing of what we sent came back for too long."""
        self._tell_away("receive", TimeoutError("it has been silent"))

    def _tell_away(self, what: str, error: Exception) -> None:
        if self._told_up is not False:
            logger.warning(
                "Redis (the channel layer) does not answer: live pages of other "
                "processes are not fed until it does (%s: %.200s)",
                what,
                str(error) or type(error).__name__,
            )
        self._told_up = False


async def _within(step: Awaitable[Any], seconds: float | None) -> None:
    """Raises what `step` raises, or TimeoutError."""
    # Not wait_for: it loses a cancellation that comes with the step's end (before
    # Python 3.12), and who stops the loops would wait for ever.
    task = asyncio.ensure_future(step)
    try:
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            task.result()
        else:
            raise TimeoutError(f"no answer within {seconds:g} s")
    finally:
        task.cancel()
        task.add_done_callback(_look_at)


def _look_at(task: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more: what it raised is no news."""
    if not task.cancelled():
        task.exception()
