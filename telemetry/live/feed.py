"""From ticks to viewers: which topics are watched, and what they learn from where.

Ticks of this process come directly, those of other processes by the switchboard.
Joining, the copy of the last values and registering are one step of the event loop,
so that a viewer misses nothing and gets nothing twice.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DatabaseError, InterfaceError

from .. import conf
from ..bus.envelope import Publication
from ..bus.switchboard import Switchboard
from ..devices.access import Topics
from ..devices.entries import Change, GroupEntry
from ..devices.presence import Presence
from ..devices.registry import Registry
from ..history.tick import Tick
from ..protocol import close_codes
from ..protocol.errors import Busy
from . import remote
from .audience import Audience
from .frames import Frames
from .healing import Healing
from .index import SeriesIndex
from .members import (
    Heads,
    Members,
    Subject,
    device_row,
    devices_in,
    find,
    head_rows,
    members_of,
    slug_of_device,
)
from .pacing import Pacing
from .state import GroupState
from .subscription import Subscription, Viewer
from .telling import Telling
from .topic_rows import Metrics
from .watched import Watched

logger = logging.getLogger(__name__)

# How long a topic is kept after its last viewer left: a reload resumes.
KEPT_SECONDS = 120.0
PUBLISH_SECONDS = 0.1
# One process publishes some 3,900 messages a second through Redis: with more topics
# than this each is told less often.
TOPICS_A_SECOND = 3_000
SWEEP_SECONDS = 1.0
# Pages of a hub that restarts come back spread over this time.
AFTER_DRAIN_MS = 2_000
ABSENT_SECONDS = 5.0
EARLY_PUBLICATIONS = 1_000


class Feed:
    """All watched topics of this process. Used on its event loop."""

    def __init__(
        self,
        registry: Registry,
        presence: Presence,
        heads: Heads,
        switchboard: Switchboard,
    ) -> None:
        self.audience = Audience()
        self._pacing = Pacing()
        self._registry = registry
        self._presence = presence
        self._heads = heads
        self._switchboard = switchboard
        self._topics: dict[str, Watched] = {}
        self._opening: dict[str, asyncio.Task[Watched | None]] = {}
        self._healing = Healing(heads, self._topics)
        self._telling = Telling(heads, switchboard)
        # Topics to look at again, because the registry found something.
        self._dirty: set[str] = set()
        # Publications for a topic that is being opened.
        self._early: dict[str, deque[Publication]] = {}
        # Topics that were not found, and when.
        self._absent: dict[str, float] = {}
        self._order: list[Watched] = []
        self._index: SeriesIndex | None = SeriesIndex([])
        # Revisions never go back within this process, also not of a topic that was
        # dropped and is watched again: an old position must not fit by chance.
        self._last_revision = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def epoch(self) -> str:
        """Names this life of this process: revisions of another mean nothing here."""
        return self._switchboard.origin

    async def start(self) -> None:
        """Begin to follow the registry and presence, and to send."""
        self._registry.listen(self._on_change)
        self._presence.listen(self._on_presence)
        self._switchboard.listen_for_missed(self._healing.miss)
        self._switchboard.listen_for_wanted(self._tell_others)
        self._pacing.start()
        self.audience.start()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._publish_forever()),
            loop.create_task(self._sweep_forever()),
            loop.create_task(self._healing.run()),
        ]

    async def stop(self) -> None:
        """Tell the others what is left, send all viewers away and end."""
        for watched in self._topics.values():
            _safely(self._telling.publish, watched)
        await self.audience.stop()
        await self.audience.dismiss(close_codes.DRAINING, AFTER_DRAIN_MS)
        await self._pacing.stop()
        tasks = [*self._tasks, *self._opening.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- viewers --------------------------------------------------------------------

    async def open(self, topic: str) -> Watched | None:
        """Make the topic's state ready; None if there is no such group or device.

        The state lives for a while without viewers: `watch` may follow in a later
        step of the loop. Raises Busy while the database is away.
        """
        while True:
            watched = self._topics.get(topic)
            if watched is not None and watched.is_joined:
                watched.idle_since = time.monotonic()
                return watched
            running = self._opening.get(topic)
            if running is None:
                # One viewer that gives up must not take it away from the others.
                return await asyncio.shield(self._begin(topic, join=True))
            # It may be the one that does not join, and it may fail.
            await asyncio.wait([running])

    def holds(self, watched: Watched) -> bool:
        """Whether this is still the topic's state: it may have ended meanwhile."""
        return self._topics.get(watched.topic) is watched

    def watch(
        self,
        watched: Watched,
        viewer: Viewer,
        *,
        metrics: Metrics,
        interval_ms: int,
        resume: int | None = None,
    ) -> Subscription:
        """Send this topic to `viewer` from now on, beginning at once."""
        subscription = Subscription(
            viewer, watched, metrics, resume, conf.limits().live_ack_seconds
        )
        watched.viewers.add(subscription)
        self._pacing.add(subscription, interval_ms)
        return subscription

    def unwatch(self, subscription: Subscription) -> None:
        """Undo `watch`."""
        self._pacing.remove(subscription)
        watched = subscription.watched
        watched.viewers.discard(subscription)
        watched.idle_since = time.monotonic()

    async def look_up(self, topics: Iterable[str]) -> None:
        """Read the devices of these topics in one statement, not one each."""
        slugs = map(slug_of_device, topics)
        await self._registry.look_up(slug for slug in slugs if slug is not None)

    async def may_follow(self, topic: str, topics: Topics) -> bool:
        """Whether `topics` allows this group or device, and it exists."""
        subject = await find(self._registry, topic)
        if subject is None:
            return False
        if isinstance(subject, GroupEntry):
            return topics.has_group(subject.slug)
        return topics.has_device(subject.groups)

    async def exists(self, topic: str) -> bool:
        """Whether there is such a group or device."""
        return await find(self._registry, topic) is not None

    # --- what happens ---------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        """Take what a commit of this process changed. Cheap when nobody watches."""
        self._telling.committed(tick)
        if not self._topics:
            return
        index = self._current_index()
        for topic, rows in index.rows_of(tick).items():
            watched = self._order[topic]
            watched.state.apply(rows, tick.received_us)
            self._telling.add(watched, rows, tick.received_us)

    def _on_remote(self, publication: Publication) -> None:
        topic = publication.topic
        watched = self._topics.get(topic)
        if watched is not None:
            came = remote.unpack(publication.payload, watched.state.position)
            self._heads.suppose_periods(came.series, came.periods_us)
            watched.state.apply(came.rows, came.received_us)
        elif topic in self._opening:
            # Not in the heads of this process, and maybe not in the database's yet.
            early = self._early.setdefault(topic, deque(maxlen=EARLY_PUBLICATIONS))
            early.append(publication)

    def _on_presence(self, device_ids: Iterable[int]) -> None:
        changed = set(device_ids)
        for watched in self._topics.values():
            rows = []
            for device_id in changed & watched.members.devices.keys():
                device = self._registry.device(device_id)
                if device is not None:
                    rows.append(device_row(device, self._presence))
            watched.state.set_devices(rows)

    def _on_change(self, change: Change) -> None:
        for topic, watched in self._topics.items():
            is_group = slug_of_device(topic) is None
            if (is_group and topic in change.groups) or not change.devices.isdisjoint(
                watched.members.devices
            ):
                self._dirty.add(topic)
        self._refresh_dirty()

    # --- opening and following ------------------------------------------------------

    def _refresh_dirty(self) -> None:
        for topic in self._dirty - self._opening.keys():
            self._begin(topic, join=False)

    def _begin(self, topic: str, *, join: bool) -> asyncio.Task[Watched | None]:
        task = asyncio.get_running_loop().create_task(self._open(topic, join))
        self._opening[topic] = task
        task.add_done_callback(functools.partial(self._opened, topic))
        return task

    def _opened(self, topic: str, task: asyncio.Task[Watched | None]) -> None:
        del self._opening[topic]
        self._early.pop(topic, None)
        self._healing.opened(topic)
        if not task.cancelled():
            task.exception()  # Whoever waits has it; nobody has to.

    async def _open(self, topic: str, join: bool) -> Watched | None:
        """Bring the topic up to the registry; with `join` also to other processes."""
        self._dirty.discard(topic)
        try:
            return await self._open_once(topic, join)
        except Exception as error:
            # The edge of the process. The next viewer, or the next sweep, tries again.
            if isinstance(error, (DatabaseError, InterfaceError)):
                logger.warning("opening %s waits for the database: %s", topic, error)
            else:
                logger.exception("a topic could not be opened")
            if topic in self._topics:
                self._dirty.add(topic)
            raise Busy("expected the database to answer, it did not") from None

    async def _open_once(self, topic: str, join: bool) -> Watched | None:
        subject = await find(self._registry, topic)
        if subject is None:
            self._forget(topic)
            self._absent[topic] = time.monotonic()
            return None
        if join:
            await self._switchboard.subscribe(topic, self._on_remote)
        try:
            await self._read_others(topic, subject, join)
        except BaseException:
            if join:
                self._switchboard.unsubscribe(topic, self._on_remote)
            raise
        # From here to the end no await: what is copied and who is registered are of
        # one moment.
        members = members_of(devices_in(subject), self._presence)
        watched = self._take(topic, members)
        if join:
            watched.is_joined = True
            watched.idle_since = time.monotonic()
        for publication in self._early.pop(topic, ()):
            self._on_remote(publication)
        self._telling.offer(watched)
        return watched

    async def _read_others(self, topic: str, subject: Subject, join: bool) -> None:
        """Read what the others committed before they knew that it is wanted here."""
        watched = self._topics.get(topic)
        is_joined = watched is not None and watched.is_joined
        if (join or is_joined) and self._switchboard.may_have_others():
            if not is_joined:
                # Nobody here has seen anything of it yet.
                self._healing.forget(topic)
            await self._healing.read(members_of(devices_in(subject), self._presence))

    def _take(self, topic: str, members: Members) -> Watched:
        heads = head_rows(self._heads.current(members.ids))
        watched = self._topics.get(topic)
        if watched is None:
            state = GroupState(
                members.series,
                members.devices.values(),
                heads,
                ring_bytes=int(conf.value("LIVE_RING_BYTES")),
                revision=self._last_revision + 1,
            )
            frames = Frames(topic, conf.limits().live_snapshot_rows)
            watched = self._topics[topic] = Watched(topic, state, frames, members)
            self._index = None
        else:
            self._telling.publish(watched)
            known = set(watched.members.ids)
            if watched.take_members(members, heads):
                self._index = None
            watched.state.catch_up(heads)
            self._telling.add_heads(watched, {*members.ids} - known)
        self._tell_periods(watched)
        return watched

    def _tell_periods(self, watched: Watched) -> None:
        state = watched.state
        state.set_periods(self._heads.periods_us(state.ids))

    def _forget(self, topic: str) -> None:
        watched = self._topics.pop(topic, None)
        if watched is None:
            return
        self._index = None
        self._last_revision = max(self._last_revision, watched.state.revision)
        if watched.is_joined:
            self._switchboard.unsubscribe(topic, self._on_remote)
        for subscription in list(watched.viewers):
            self._pacing.remove(subscription)
        watched.end()

    def _current_index(self) -> SeriesIndex:
        if self._index is None:
            self._order = list(self._topics.values())
            self._index = SeriesIndex([watched.state.ids for watched in self._order])
        return self._index

    # --- other processes ------------------------------------------------------------

    async def _publish_forever(self) -> None:
        while True:
            await asyncio.sleep(publish_seconds(len(self._switchboard.wanted())))
            for topic in self._switchboard.wanted():
                _safely(self._tell_others, topic)

    def _tell_others(self, topic: str) -> None:
        watched = self._topics.get(topic)
        if watched is not None:
            watched.idle_since = time.monotonic()
            self._telling.offer(watched)
            self._telling.publish(watched)
        elif topic not in self._opening and not self._is_absent(topic):
            # Watched for others: without viewers, and without joining, else
            # processes would keep each other interested for ever.
            self._begin(topic, join=False)

    def _is_absent(self, topic: str) -> bool:
        """Whether another process wanted it, and it was not found a moment ago."""
        looked_at = self._absent.get(topic)
        return looked_at is not None and time.monotonic() - looked_at < ABSENT_SECONDS

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            _safely(self._sweep)

    def _sweep(self) -> None:
        """Look again at what changed meanwhile, and drop what is idle."""
        self._refresh_dirty()
        for watched in self._topics.values():
            if watched.viewers:
                self._tell_periods(watched)
        old = time.monotonic() - KEPT_SECONDS
        for topic, watched in list(self._topics.items()):
            if not watched.viewers and watched.idle_since < old:
                self._forget(topic)
        self._dirty &= self._topics.keys()
        self._absent = {
            topic: looked_at
            for topic, looked_at in self._absent.items()
            if self._is_absent(topic)
        }


def publish_seconds(topics: int) -> float:
    """Between two messages of a topic, when others watch so many."""
    return max(PUBLISH_SECONDS, topics / TOPICS_A_SECOND)


def _safely(step: Callable[..., None], *arguments: Any) -> None:
    try:
        step(*arguments)
    except Exception:
        # The edge of the process: these loops live as long as it does.
        logger.exception("a watched topic could not be looked after")
