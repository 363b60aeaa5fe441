"""The process's one user of the channel layer: news between the hub's processes.

A process has exactly one channel, joins a topic's group once for all who listen to
it here, and publishes only what another process has said it wants. The layer may
lose anything and may be away: nothing here raises to a caller for that, and nothing
waits for it but the start of a subscription, for a moment.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from .. import counters
from . import envelope, topics
from .envelope import Disinterest, Interest, Probe, Publication, Question
from .interest import Interests

logger = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 5.0
KEPT_SECONDS = 15.0
# Without an announcement of our own for this long the layer has lost us.
DEAF_SECONDS = 12.0
# Layers end a membership after a day or more (group_expiry): long before that.
REJOIN_SECONDS = 3600.0
RETRY_SECONDS = 1.0
BARRIER_SECONDS = 2.0
# Published and not yet taken by the layer. Beyond it the oldest go: who listens
# sees the hole in `n`.
QUEUED_PUBLICATIONS = 2_000
# Of one announcement: keeps a message at some tens of KB.
TOPICS_A_MESSAGE = 500

Callback = Callable[[Publication], None]


class Switchboard:
    """Used on one event loop. `start` before anything else."""

    def __init__(self, layer: Any = None, origin: str = "") -> None:
        """layer: the default channel layer if not given; origin: this process."""
        self.origin = origin or uuid.uuid4().hex
        self._layer = layer
        self._channel = ""
        self._callbacks: dict[str, list[Callback]] = {}
        # Groups that the layer has us in, and since when.
        self._joined: dict[str, float] = {}
        self._interests = Interests(KEPT_SECONDS)
        self._numbers: dict[str, int] = {}
        self._outgoing: deque[Publication] = deque(maxlen=QUEUED_PUBLICATIONS)
        self._has_outgoing = asyncio.Event()
        self._probes: dict[int, asyncio.Event] = {}
        self._tokens = itertools.count(1)
        self._heard_at = 0.0
        self._others_at = -KEPT_SECONDS
        self._tasks: list[asyncio.Task[None]] = []
        self._asides: set[asyncio.Task[None]] = set()
        self.is_up = False
        # What the log said last, so that it says each once.
        self._told_up: bool | None = None

    async def start(self) -> None:
        """Begin to listen and to announce; the layer may be away."""
        if self._layer is None:
            self._layer = get_channel_layer()
        self._heard_at = time.monotonic()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._receive_forever()),
            loop.create_task(self._announce_forever()),
            loop.create_task(self._send_forever()),
        ]

    async def stop(self) -> None:
        """Take leave of the others and of the layer."""
        tasks = [*self._tasks, *self._asides]
        self._tasks = []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.is_up:
            await self._send(
                topics.CONTROL_GROUP, Disinterest(self.origin, self._own())
            )
            for group in list(self._joined):
                await self._try("leave a group", self._discard(group))

    async def subscribe(self, topic: str, callback: Callback) -> bool:
        """Call `callback` for what other processes publish about `topic`.

        When this returns True, whatever is published from now on arrives (as far as
        the layer keeps it); False: the layer is away, and it is joined later.
        """
        callbacks = self._callbacks.setdefault(topic, [])
        callbacks.append(callback)
        if len(callbacks) == 1 and not await self._join(topics.group_of(topic)):
            return False
        await self._send(topics.CONTROL_GROUP, Interest(self.origin, [topic]))
        return await self._hears(topics.group_of(topic))

    def unsubscribe(self, topic: str, callback: Callback) -> None:
        """Undo one `subscribe`."""
        callbacks = self._callbacks.get(topic, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks and self._callbacks.pop(topic, None) is not None:
            self._aside(self._leave(topic))

    def publish(
        self, topic: str, payload: bytes, writer: int = 0, number: int = 0
    ) -> None:
        """Tell the other processes that want `topic`; nothing if none does."""
        if topic not in self._interests.wanted():
            return
        n = self._numbers[topic] = self._numbers.get(topic, 0) + 1
        if len(self._outgoing) == QUEUED_PUBLICATIONS:
            counters.BUS_LOST.inc()
        self._outgoing.append(
            Publication(self.origin, topic, n, writer, number, payload)
        )
        self._has_outgoing.set()

    def wanted(self) -> frozenset[str]:
        """The topics that other processes want."""
        return self._interests.wanted()

    def has_others(self) -> bool:
        """Whether another process has been heard of lately."""
        return time.monotonic() - self._others_at < KEPT_SECONDS

    # --- joining --------------------------------------------------------------------

    async def _join(self, group: str) -> bool:
        if not self._channel:
            return False
        added = await self._try("join a group", self._add(group))
        if added:
            self._joined[group] = time.monotonic()
        return added

    async def _add(self, group: str) -> None:
        await self._layer.group_add(group, self._channel)

    async def _discard(self, group: str) -> None:
        self._joined.pop(group, None)
        await self._layer.group_discard(group, self._channel)

    async def _leave(self, topic: str) -> None:
        await self._send(topics.CONTROL_GROUP, Disinterest(self.origin, [topic]))
        if topic not in self._callbacks:
            await self._try("leave a group", self._discard(topics.group_of(topic)))
        if topic in self._callbacks:
            # Somebody came while we were leaving.
            await self._join(topics.group_of(topic))

    async def _hears(self, group: str) -> bool:
        """Whether what is sent to `group` arrives here: the layer joins lazily."""
        token = next(self._tokens)
        heard = self._probes[token] = asyncio.Event()
        try:
            if not await self._send(group, Probe(self.origin, token)):
                return False
            await asyncio.wait_for(heard.wait(), BARRIER_SECONDS)
        except asyncio.TimeoutError:
            return False
        finally:
            del self._probes[token]
        return True

    async def _rejoin(self) -> None:
        """Join what is wanted and not joined yet, and renew what is old."""
        old = time.monotonic() - REJOIN_SECONDS
        wanted = [topics.CONTROL_GROUP, *map(topics.group_of, self._callbacks)]
        for group in wanted:
            if self._joined.get(group, old) <= old and not await self._join(group):
                return

    # --- the three loops ------------------------------------------------------------

    async def _receive_forever(self) -> None:
        while True:
            if not self._channel:
                if not await self._try("open a channel", self._open()):
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._rejoin()
                await self._send(topics.CONTROL_GROUP, Question(self.origin))
                await self._announce()
            if not await self._try("receive", self._receive_all()):
                self._channel = ""
                self._joined.clear()
                await asyncio.sleep(RETRY_SECONDS)

    async def _open(self) -> None:
        self._channel = await self._layer.new_channel()

    async def _receive_all(self) -> None:
        while True:
            self._take(await self._layer.receive(self._channel))

    async def _announce_forever(self) -> None:
        announced_at = time.monotonic()
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            now = time.monotonic()
            self._interests.forget_silent(now)
            await self._rejoin()
            if now - self._heard_at > DEAF_SECONDS:
                await self._start_afresh()
            if now - announced_at >= ANNOUNCE_SECONDS:
                announced_at = now
                await self._announce()

    async def _announce(self) -> None:
        own = self._own()
        # An empty one too: hearing ourselves says that the layer still has us.
        for start in range(0, max(len(own), 1), TOPICS_A_MESSAGE):
            part = own[start : start + TOPICS_A_MESSAGE]
            await self._send(topics.CONTROL_GROUP, Interest(self.origin, part))

    async def _start_afresh(self) -> None:
        """The layer no longer brings us anything: connect and join anew."""
        logger.warning("the channel layer has been silent: joining it anew")
        self._heard_at = time.monotonic()
        self._joined.clear()
        if hasattr(self._layer, "flush"):
            await self._try("flush", self._layer.flush())
        receiver = self._tasks[0]
        receiver.cancel()
        self._channel = ""
        self._tasks[0] = asyncio.get_running_loop().create_task(self._receive_forever())

    async def _send_forever(self) -> None:
        while True:
            await self._has_outgoing.wait()
            while self._outgoing:
                publication = self._outgoing.popleft()
                group = topics.group_of(publication.topic)
                if not await self._send(group, publication):
                    counters.BUS_LOST.inc()
                    # The layer is away: do not spend the loop on finding out.
                    await asyncio.sleep(RETRY_SECONDS)
            self._has_outgoing.clear()

    # --- what comes -----------------------------------------------------------------

    def _take(self, message: dict[str, Any]) -> None:
        try:
            came = envelope.unpack(message)
        except ValueError as error:
            # Another version of the hub, or somebody else's message.
            logger.warning("the channel layer brought something else: %.200s", error)
            return
        if came.origin == self.origin:
            self._heard_at = time.monotonic()
            self._tell_up()
            if isinstance(came, Probe) and came.token in self._probes:
                self._probes[came.token].set()
            return
        self._others_at = time.monotonic()
        if isinstance(came, Publication):
            self._deliver(came)
        elif isinstance(came, Interest):
            self._interests.announce(came.origin, came.topics, time.monotonic())
        elif isinstance(came, Disinterest):
            self._interests.withdraw(came.origin, came.topics)
        elif isinstance(came, Question):
            self._aside(self._announce())

    def _deliver(self, publication: Publication) -> None:
        for callback in list(self._callbacks.get(publication.topic, ())):
            try:
                callback(publication)
            except Exception:
                # The edge of the process: a message of one process must not stop
                # what all the others send.
                logger.exception("a message of another process could not be taken")

    # --- the layer ------------------------------------------------------------------

    def _own(self) -> list[str]:
        return list(self._callbacks)

    async def _send(self, group: str, content: envelope.Envelope) -> bool:
        message = envelope.pack(content)
        return await self._try("send", self._layer.group_send(group, message))

    async def _try(self, what: str, step: Awaitable[None]) -> bool:
        """Whether the layer could do it."""
        try:
            await step
        except Exception as error:
            # The edge of the process. Layers raise what their clients raise, and
            # there is no common base: whatever it is, the layer is away.
            self._tell_away(what, error)
            self.is_up = False
            counters.BUS_FAILURES.inc()
            return False
        self.is_up = True
        return True

    def _tell_away(self, what: str, error: Exception) -> None:
        if self._told_up is not False:
            logger.warning(
                "Redis (the channel layer) does not answer: live pages of other "
                "processes are not fed until it does (%s: %.200s)",
                what,
                error,
            )
        self._told_up = False

    def _tell_up(self) -> None:
        # Layers may take what they cannot pass on: only an echo of ours proves it. A
        # layer in memory has nothing to tell, unless it failed.
        if not self._told_up and not (self._told_up is None and self._is_in_memory):
            logger.info("Redis (the channel layer) answers")
        self._told_up = True

    @property
    def _is_in_memory(self) -> bool:
        return isinstance(self._layer, InMemoryChannelLayer)

    def _aside(self, step: Any) -> None:
        task = asyncio.get_running_loop().create_task(step)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)
