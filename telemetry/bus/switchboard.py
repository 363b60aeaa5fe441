"""The process's one user of the channel layer: news between the hub's processes.

A process has exactly one channel, joins a topic's group once for all who listen to
it here, and publishes only what another process has said it wants. The layer may
lose anything and may be away: nothing here raises to a caller for that, and nothing
waits for it but the start of a subscription, for a moment. That something may be
missing is told to who listens for it; to mend it is not this room's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from . import envelope, topics
from .envelope import (
    TOPICS_A_MESSAGE,
    Command,
    Disinterest,
    Interest,
    Probe,
    Publication,
    Question,
    Tips,
)
from .line import Line
from .listening import (
    LIVELY_SECONDS,
    Callback,
    Listening,
    OnTopic,
    nothing,
    safely,
)
from .membership import Membership
from .publishing import KEPT_SECONDS, Publishing

logger = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 5.0
# Without an echo of our own for this long the layer has lost us.
DEAF_SECONDS = 7.0
RETRY_SECONDS = 1.0
FAREWELL_SECONDS = 2.0

# What to do, and the id of the device that it is about.
OnCommand = Callable[[str, int], None]


class Switchboard:
    """Used on one event loop. `start` before anything else."""

    def __init__(self, layer: Any = None, origin: str = "") -> None:
        """layer: the default channel layer if not given; origin: this process."""
        self.origin = origin or uuid.uuid4().hex
        self._line = Line(layer)
        self._membership = Membership(self.origin, self._line)
        self._publishing = Publishing(self.origin, self._line)
        self._listening = Listening()
        # By writer: of this process, and what hears its commands.
        self._on_command: dict[int, OnCommand] = {}
        self._on_wanted: OnTopic = nothing
        # When an echo of our own came last; when we began to wait for the next one.
        self._echo_at = -LIVELY_SECONDS
        self._heard_at = 0.0
        self._others_at = -KEPT_SECONDS
        self._tasks: list[asyncio.Task[None]] = []
        self._asides: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen and to announce; the layer may be away."""
        self._line.open()
        self._heard_at = time.monotonic()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._receive_forever()),
            loop.create_task(self._announce_forever()),
        ]
        self._publishing.start()

    async def stop(self) -> None:
        """Say what there is left to say, and take leave of the others."""
        tasks = [*self._tasks, *self._asides]
        self._tasks = []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.is_up:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._say_farewell(), FAREWELL_SECONDS)
        await self._publishing.stop()

    @property
    def is_up(self) -> bool:
        """Whether the layer did what it was last asked to."""
        return self._line.is_up

    async def subscribe(self, topic: str, callback: Callback) -> bool:
        """Call `callback` for what other processes publish about `topic`.

        When this returns True, whatever is published from now on arrives (as far as
        the layer keeps it), and the others that are there have mostly begun to;
        False: the layer is away, and it is joined later.
        """
        is_first = self._listening.add(topic, callback)
        group = topics.group_of(topic)
        if is_first and not await self._membership.join(group):
            return False
        await self._line.send(topics.CONTROL_GROUP, Interest(self.origin, [topic]))
        if not await self._membership.hears(group):
            return False
        await self._listening.have_begun(topic)
        return True

    def unsubscribe(self, topic: str, callback: Callback) -> None:
        """Undo one `subscribe`."""
        if self._listening.remove(topic, callback):
            self._aside(self._leave(topic))

    def listen_for_missed(self, on_missed: OnTopic) -> None:
        """Call it with a topic that is subscribed to, when news may be missing.

        Also when a process is first heard of: what it did before is not known here.
        """
        self._listening.on_missed = on_missed

    def listen_for_wanted(self, on_wanted: OnTopic) -> None:
        """Call it with a topic that another process has just asked for."""
        self._on_wanted = on_wanted

    def offer(self, topic: str, writer: int, number: int) -> None:
        """From now on all news of `topic`, if it is wanted, are published.

        writer, number: the last commit until now, 0: there was none.
        """
        self._publishing.offer(topic, writer, number)

    def publish(
        self, topic: str, payload: bytes, writer: int = 0, number: int = 0
    ) -> None:
        """Tell the other processes that want `topic`; nothing if none does."""
        self._publishing.publish(topic, payload, writer, number)

    def listen_for_commands(self, writer: int, callback: OnCommand) -> None:
        """Call `callback` with what other processes `tell` this writer.

        Before or after `start`; once for a writer.
        """
        self._on_command[writer] = callback
        if self._membership.has_channel:
            group = topics.group_of(topics.process_topic(writer))
            self._aside(self._membership.join(group))

    def tell(self, writer: int, kind: str, device_id: int) -> None:
        """Ask the process that has this writer to do something with a device.

        Best effort: it may be gone, and the layer away; nothing is repeated.
        """
        group = topics.group_of(topics.process_topic(writer))
        command = Command(self.origin, writer, kind, device_id)
        self._aside(self._line.send(group, command))

    def wanted(self) -> frozenset[str]:
        """The topics that other processes want."""
        return self._publishing.wanted()

    def has_others(self) -> bool:
        """Whether another process has been heard of lately."""
        return time.monotonic() - self._others_at < KEPT_SECONDS

    def may_have_others(self) -> bool:
        """Whether there may be others: unheard of, while Redis is away."""
        is_deaf = time.monotonic() - self._echo_at > LIVELY_SECONDS
        return self.has_others() or (is_deaf and not self._line.is_in_memory)

    # --- joining --------------------------------------------------------------------

    async def _leave(self, topic: str) -> None:
        await self._line.send(topics.CONTROL_GROUP, Disinterest(self.origin, [topic]))
        group = topics.group_of(topic)
        if topic not in self._listening:
            await self._membership.leave(group)
        if topic in self._listening:
            # Somebody came while we were leaving.
            await self._membership.join(group)

    async def _rejoin(self) -> None:
        own = [*map(topics.process_topic, self._on_command), *self._listening.topics()]
        groups = [topics.CONTROL_GROUP, *map(topics.group_of, own)]
        await self._membership.rejoin(groups)

    # --- the two loops --------------------------------------------------------------

    async def _receive_forever(self) -> None:
        while True:
            if not self._membership.has_channel:
                if not await self._membership.open():
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._rejoin()
                await self._greet()
            if not await self._membership.receive(self._take):
                self._membership.lost()
                await asyncio.sleep(RETRY_SECONDS)

    async def _announce_forever(self) -> None:
        announced_at = time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(RETRY_SECONDS)
            now = time.monotonic()
            if now - before > RETRY_SECONDS + LIVELY_SECONDS:
                # It was this process that stood still: what came waits to be read.
                self._heard_at = now
            self._publishing.forget_silent(now)
            await self._rejoin()
            if now - self._heard_at > DEAF_SECONDS:
                await self._start_afresh()
            elif now - self._echo_at < LIVELY_SECONDS:
                self._listening.look_for_silent(now)
            if now - announced_at >= ANNOUNCE_SECONDS:
                announced_at = now
                await self._announce()

    async def _greet(self) -> None:
        """We are here (again): who wants what, and how far is everybody?"""
        await self._line.send(topics.CONTROL_GROUP, Question(self.origin))
        await self._announce()
        self._publishing.tip_soon()

    async def _announce(self) -> None:
        own = self._listening.topics()
        for start in range(0, len(own), TOPICS_A_MESSAGE):
            part = own[start : start + TOPICS_A_MESSAGE]
            await self._line.send(topics.CONTROL_GROUP, Interest(self.origin, part))

    async def _start_afresh(self) -> None:
        """The layer no longer brings us anything: connect and join anew."""
        self._line.lost()
        self._heard_at = time.monotonic()
        if hasattr(self._line.layer, "flush"):
            await self._line.attempt("flush", self._line.layer.flush())
        receiver = self._tasks[0]
        receiver.cancel()
        self._membership.lost()
        self._tasks[0] = asyncio.get_running_loop().create_task(self._receive_forever())

    async def _say_farewell(self) -> None:
        await self._publishing.end()
        own = self._listening.topics()
        await self._line.send(topics.CONTROL_GROUP, Disinterest(self.origin, own))
        await self._membership.leave_all()

    # --- what comes -----------------------------------------------------------------

    def _take(self, message: dict[str, Any]) -> None:
        try:
            came = envelope.unpack(message)
        except ValueError as error:
            # Another version of the hub, or somebody else's message.
            logger.warning("the channel layer brought something else: %.200s", error)
            return
        now = time.monotonic()
        if came.origin == self.origin:
            self._take_echo(came, now)
            return
        self._others_at = now
        self._listening.hear(came.origin, now)
        if isinstance(came, Publication):
            self._listening.take_publication(came)
        elif isinstance(came, Tips):
            self._listening.take_tips(came)
        elif isinstance(came, Interest):
            for topic in self._publishing.want(came.origin, came.topics, now):
                safely("wish", self._on_wanted, topic)
        elif isinstance(came, Disinterest):
            self._publishing.want_no_more(came.origin, came.topics)
        elif isinstance(came, Question):
            self._aside(self._announce())
            self._publishing.tip_soon()
        elif isinstance(came, Command):
            self._obey(came)

    def _take_echo(self, came: envelope.Envelope, now: float) -> None:
        if now - self._echo_at > LIVELY_SECONDS:
            self._listening.pardon(now)
        self._echo_at = self._heard_at = now
        if self._line.proved():
            self._aside(self._greet())
        if isinstance(came, Probe):
            self._membership.take_probe(came)

    def _obey(self, command: Command) -> None:
        callback = self._on_command.get(command.writer)
        if callback is not None:
            safely("command", callback, command.kind, command.device_id)

    def _aside(self, step: Any) -> None:
        task = asyncio.get_running_loop().create_task(step)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)
