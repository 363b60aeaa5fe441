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
import itertools
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from .. import counters
from . import envelope, topics
from .envelope import (
    Command,
    Disinterest,
    Interest,
    Probe,
    Publication,
    Question,
    Tips,
)
from .interest import Interests
from .line import Line
from .outgoing import Outgoing
from .tips import Following, Offers

logger = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 5.0
KEPT_SECONDS = 15.0
TIP_SECONDS = 2.0
# What a tip tells of may be on its way still, through another Redis.
GRACE_SECONDS = 0.5
# Three tips and a little: then a process has died, or does not turn.
SILENT_SECONDS = 7.0
# Without an echo of our own for this long the layer has lost us.
DEAF_SECONDS = 7.0
# Who has been heard within this is there. More than from one tip to the next.
LIVELY_SECONDS = 3.0
# A subscription waits so long for those who are there to begin with its topic.
BEGIN_SECONDS = 0.25
# Layers end a membership after a day or more (group_expiry): long before that.
REJOIN_SECONDS = 3600.0
RETRY_SECONDS = 1.0
BARRIER_SECONDS = 2.0
FAREWELL_SECONDS = 2.0
# Of one announcement: keeps a message at some tens of KB.
TOPICS_A_MESSAGE = 500

Callback = Callable[[Publication], None]
# What to do, and the id of the device that it is about.
OnCommand = Callable[[str, int], None]
OnTopic = Callable[[str], None]


def _nothing(topic: str) -> None:
    """Nobody listens for it."""


class Switchboard:
    """Used on one event loop. `start` before anything else."""

    def __init__(self, layer: Any = None, origin: str = "") -> None:
        """layer: the default channel layer if not given; origin: this process."""
        self.origin = origin or uuid.uuid4().hex
        self._line = Line(layer)
        self._channel = ""
        self._callbacks: dict[str, list[Callback]] = {}
        # By writer: of this process, and what hears its commands.
        self._on_command: dict[int, OnCommand] = {}
        self._on_wanted: OnTopic = _nothing
        self._on_missed: OnTopic = _nothing
        # Groups that the layer has us in, and since when.
        self._joined: dict[str, float] = {}
        self._interests = Interests(KEPT_SECONDS)
        self._offers = Offers()
        self._following = Following(SILENT_SECONDS)
        self._outgoing = Outgoing(self._send, self._sent)
        # Topics whose tip is to be sent, and whether those of all are.
        self._untold: set[str] = set()
        self._is_tip_due = False
        self._has_tips = asyncio.Event()
        self._telling = asyncio.Lock()
        self._tipped = asyncio.Event()
        self._probes: dict[int, asyncio.Event] = {}
        self._tokens = itertools.count(1)
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
            loop.create_task(self._tip_forever()),
            loop.create_task(self._send_tips_forever()),
        ]

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
        await self._outgoing.stop()

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
        callbacks = self._callbacks.setdefault(topic, [])
        callbacks.append(callback)
        if len(callbacks) == 1 and not await self._join(topics.group_of(topic)):
            return False
        await self._line.send(topics.CONTROL_GROUP, Interest(self.origin, [topic]))
        if not await self._hears(topics.group_of(topic)):
            return False
        await self._have_begun(topic)
        return True

    def unsubscribe(self, topic: str, callback: Callback) -> None:
        """Undo one `subscribe`."""
        callbacks = self._callbacks.get(topic, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks and self._callbacks.pop(topic, None) is not None:
            self._following.forget(topic)
            self._aside(self._leave(topic))

    def listen_for_missed(self, on_missed: OnTopic) -> None:
        """Call it with a topic that is subscribed to, when news may be missing.

        Also when a process is first heard of: what it did before is not known here.
        """
        self._on_missed = on_missed

    def listen_for_wanted(self, on_wanted: OnTopic) -> None:
        """Call it with a topic that another process has just asked for."""
        self._on_wanted = on_wanted

    def offer(self, topic: str, writer: int, number: int) -> None:
        """From now on all news of `topic`, if it is wanted, are published.

        writer, number: the last commit until now, 0: there was none.
        """
        if topic in self._interests.wanted() and topic not in self._offers:
            self._offers.begin(topic, writer, number)
            self._untold.add(topic)
            self._has_tips.set()

    def publish(
        self, topic: str, payload: bytes, writer: int = 0, number: int = 0
    ) -> None:
        """Tell the other processes that want `topic`; nothing if none does."""
        if topic not in self._interests.wanted():
            return
        self.offer(topic, writer, number)
        n = self._offers.count(topic, writer, number)
        self._outgoing.put(Publication(self.origin, topic, n, writer, number, payload))

    def listen_for_commands(self, writer: int, callback: OnCommand) -> None:
        """Call `callback` with what other processes `tell` this writer.

        Before or after `start`; once for a writer.
        """
        self._on_command[writer] = callback
        if self._channel:
            group = topics.group_of(topics.process_topic(writer))
            self._aside(self._join(group))

    def tell(self, writer: int, kind: str, device_id: int) -> None:
        """Ask the process that has this writer to do something with a device.

        Best effort: it may be gone, and the layer away; nothing is repeated.
        """
        group = topics.group_of(topics.process_topic(writer))
        command = Command(self.origin, writer, kind, device_id)
        self._aside(self._line.send(group, command))

    def wanted(self) -> frozenset[str]:
        """The topics that other processes want."""
        return self._interests.wanted()

    def has_others(self) -> bool:
        """Whether another process has been heard of lately."""
        return time.monotonic() - self._others_at < KEPT_SECONDS

    def may_have_others(self) -> bool:
        """Whether there may be others: unheard of, while Redis is away."""
        is_deaf = time.monotonic() - self._echo_at > LIVELY_SECONDS
        return self.has_others() or (is_deaf and not self._line.is_in_memory)

    # --- joining --------------------------------------------------------------------

    async def _join(self, group: str) -> bool:
        if not self._channel:
            return False
        added = await self._line.attempt("join a group", self._add(group), about=group)
        if added:
            self._joined[group] = time.monotonic()
        return added

    async def _add(self, group: str) -> None:
        await self._line.layer.group_add(group, self._channel)

    async def _discard(self, group: str) -> None:
        self._joined.pop(group, None)
        await self._line.layer.group_discard(group, self._channel)

    async def _leave(self, topic: str) -> None:
        await self._line.send(topics.CONTROL_GROUP, Disinterest(self.origin, [topic]))
        group = topics.group_of(topic)
        if topic not in self._callbacks:
            await self._line.attempt("leave a group", self._discard(group))
        if topic in self._callbacks:
            # Somebody came while we were leaving.
            await self._join(group)

    async def _hears(self, group: str) -> bool:
        """Whether what is sent to `group` arrives here: the layer joins lazily."""
        token = next(self._tokens)
        heard = self._probes[token] = asyncio.Event()
        try:
            if not await self._line.send(group, Probe(self.origin, token)):
                return False
            await asyncio.wait_for(heard.wait(), BARRIER_SECONDS)
        except asyncio.TimeoutError:
            return False
        finally:
            del self._probes[token]
        return True

    async def _have_begun(self, topic: str) -> None:
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

    async def _rejoin(self) -> None:
        """Join what is wanted and not joined yet, and renew what is old."""
        old = time.monotonic() - REJOIN_SECONDS
        own = [*map(topics.process_topic, self._on_command), *self._callbacks]
        wanted = [topics.CONTROL_GROUP, *map(topics.group_of, own)]
        for group in wanted:
            if self._joined.get(group, old) <= old and not await self._join(group):
                return

    # --- the four loops -------------------------------------------------------------

    async def _receive_forever(self) -> None:
        while True:
            if not self._channel:
                if not await self._line.attempt("open a channel", self._open()):
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._rejoin()
                await self._greet()
            if not await self._line.attempt(
                "receive", self._receive_all(), seconds=None
            ):
                self._channel = ""
                self._joined.clear()
                await asyncio.sleep(RETRY_SECONDS)

    async def _open(self) -> None:
        self._channel = await self._line.layer.new_channel()

    async def _receive_all(self) -> None:
        while True:
            self._take(await self._line.layer.receive(self._channel))

    async def _announce_forever(self) -> None:
        announced_at = time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(RETRY_SECONDS)
            now = time.monotonic()
            if now - before > RETRY_SECONDS + LIVELY_SECONDS:
                # It was this process that stood still: what came waits to be read.
                self._heard_at = now
            self._interests.forget_silent(now)
            self._offers.keep(self._interests.wanted())
            await self._rejoin()
            if now - self._heard_at > DEAF_SECONDS:
                await self._start_afresh()
            elif now - self._echo_at < LIVELY_SECONDS:
                for topic in self._following.silent(now):
                    self._miss(topic)
            if now - announced_at >= ANNOUNCE_SECONDS:
                announced_at = now
                await self._announce()

    async def _greet(self) -> None:
        """We are here (again): who wants what, and how far is everybody?"""
        await self._line.send(topics.CONTROL_GROUP, Question(self.origin))
        await self._announce()
        self._tip_soon()

    async def _announce(self) -> None:
        own = list(self._callbacks)
        for start in range(0, len(own), TOPICS_A_MESSAGE):
            part = own[start : start + TOPICS_A_MESSAGE]
            await self._line.send(topics.CONTROL_GROUP, Interest(self.origin, part))

    async def _start_afresh(self) -> None:
        """The layer no longer brings us anything: connect and join anew."""
        self._line.lost()
        self._heard_at = time.monotonic()
        self._joined.clear()
        if hasattr(self._line.layer, "flush"):
            await self._line.attempt("flush", self._line.layer.flush())
        receiver = self._tasks[0]
        receiver.cancel()
        self._channel = ""
        self._tasks[0] = asyncio.get_running_loop().create_task(self._receive_forever())

    async def _tip_forever(self) -> None:
        while True:
            await asyncio.sleep(TIP_SECONDS)
            self._tip_soon()

    def _tip_soon(self) -> None:
        self._is_tip_due = True
        self._has_tips.set()

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
                message = Tips(self.origin, part)
                if not await self._line.send(topics.CONTROL_GROUP, message):
                    return False
            return True

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

    async def _say_farewell(self) -> None:
        await self._outgoing.drain()
        if await self._send_tips():
            last = Tips(self.origin, self._offers.tips(), is_last=True)
            await self._line.send(topics.CONTROL_GROUP, last)
        own = list(self._callbacks)
        await self._line.send(topics.CONTROL_GROUP, Disinterest(self.origin, own))
        for group in list(self._joined):
            await self._line.attempt("leave a group", self._discard(group))

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
        self._following.hear(came.origin, now)
        if isinstance(came, Publication):
            self._take_publication(came)
        elif isinstance(came, Tips):
            self._take_tips(came)
        elif isinstance(came, Interest):
            for topic in self._interests.announce(came.origin, came.topics, now):
                self._begin(topic)
        elif isinstance(came, Disinterest):
            self._interests.withdraw(came.origin, came.topics)
            self._offers.keep(self._interests.wanted())
        elif isinstance(came, Question):
            self._aside(self._announce())
            self._tip_soon()
        elif isinstance(came, Command):
            self._obey(came)

    def _take_echo(self, came: envelope.Envelope, now: float) -> None:
        if now - self._echo_at > LIVELY_SECONDS:
            self._following.pardon(now)
        self._echo_at = self._heard_at = now
        if self._line.proved():
            self._aside(self._greet())
        if isinstance(came, Probe) and came.token in self._probes:
            self._probes[came.token].set()

    def _take_publication(self, came: Publication) -> None:
        if came.topic not in self._callbacks:
            return
        if self._following.begin(came.origin, came.topic, came.n):
            self._miss(came.topic)
        else:
            missing = self._following.publication(came.origin, came.topic, came.n)
            self._miss(came.topic, missing, is_certain=True)
        for callback in list(self._callbacks[came.topic]):
            _safely("message", callback, came)

    def _take_tips(self, came: Tips) -> None:
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
            _safely("hole", self._on_missed, topic)

    def _begin(self, topic: str) -> None:
        """Another process wants this, and waits for the beginning."""
        if topic in self._offers:
            self._untold.add(topic)
            self._has_tips.set()
        else:
            _safely("wish", self._on_wanted, topic)

    def _obey(self, command: Command) -> None:
        callback = self._on_command.get(command.writer)
        if callback is not None:
            _safely("command", callback, command.kind, command.device_id)

    def _aside(self, step: Any) -> None:
        task = asyncio.get_running_loop().create_task(step)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)


def _safely(what: str, callback: Callable[..., None], *arguments: Any) -> None:
    try:
        callback(*arguments)
    except Exception:
        # The edge of the process: a message of one process must not stop what all
        # the others send.
        logger.exception("a %s of another process could not be taken", what)
