"""One viewer's place in one topic: what it has, and what it may get next.

A viewer that is slow, hidden or stalled never gets a queue: it keeps its revision,
and its next frame carries everything since.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol

from ..protocol import close_codes
from .frames import reset
from .topic_rows import Metrics

if TYPE_CHECKING:
    from .watched import Watched

# Sent and not acknowledged, of one topic (protocol: flow).
UNACKED_FRAMES = 2
# Posted ahead of a reader; more frames wait, merged. Well below the outbox's bound.
AHEAD_BYTES = 262_144
HEARTBEAT_SECONDS = 15.0


LostReason = Literal["forbidden", "gone"]


class Viewer(Protocol):
    """The socket, as a subscription sees it."""

    @property
    def outbox_bytes(self) -> int: ...
    def post_frame(self, frame: str) -> None: ...
    def bye(self, code: int) -> None: ...
    def lose(self, topic: str, reason: LostReason) -> None:
        """The topic is taken away: say so, and keep no subscription of it."""


class Subscription:
    """Times are of the monotonic clock, in seconds."""

    __slots__ = (
        "_ack_seconds",
        "_moved_at",
        "_pages",
        "_sent_at",
        "_unacked",
        "metrics",
        "revision",
        "viewer",
        "watched",
    )

    def __init__(
        self,
        viewer: Viewer,
        watched: Watched,
        metrics: Metrics,
        resume: int | None,
        ack_seconds: float,
    ) -> None:
        """resume: the revision that the viewer holds already, None for a snapshot."""
        self.viewer = viewer
        self.watched = watched
        self.metrics = metrics
        # None: it has nothing yet.
        self.revision: int | None = None
        if resume is not None and watched.state.covers(resume):
            self.revision = resume
        self._ack_seconds = ack_seconds
        self._unacked: deque[int] = deque()
        self._pages: deque[str] = deque()
        # Of the newest frame; and since when no acknowledgement has come.
        self._sent_at = 0.0
        self._moved_at = 0.0

    def advance(self, now: float, now_us: int) -> None:
        """Send what is new, if the viewer may get another frame."""
        state = self.watched.state
        if self.revision == state.revision and not self._pages:
            return
        if self._pages:
            self._post_pages(now)
            return
        if len(self._unacked) >= UNACKED_FRAMES:
            return
        if self.viewer.outbox_bytes > AHEAD_BYTES:
            return
        if self.revision is None:
            self._begin_snapshot(now)
        elif not state.covers(self.revision):
            reason = state.lost_reason(self.revision)
            self.viewer.post_frame(reset(self.watched.topic, reason))
            self._begin_snapshot(now)
        else:
            frame = self.watched.frames.update(
                state, self.revision, self.metrics, now_us
            )
            self.revision = state.revision
            if frame is not None:
                self._count(now)
                self.viewer.post_frame(frame)

    def ack(self, revision: int, now: float) -> None:
        """The viewer has shown everything up to `revision`."""
        while self._unacked and self._unacked[0] <= revision:
            self._unacked.popleft()
            self._moved_at = now

    def keep_alive(self, now: float, now_us: int) -> None:
        """Once a second or so: heartbeat, and the end of a viewer that sleeps."""
        if self._unacked and now - self._moved_at > self._ack_seconds:
            self.viewer.bye(close_codes.SILENT)
        elif (
            now - self._sent_at >= HEARTBEAT_SECONDS
            and self.revision is not None
            and not self._pages
            and len(self._unacked) < UNACKED_FRAMES
        ):
            frame = self.watched.frames.heartbeat(self.revision, now_us)
            self._count(now)
            self.viewer.post_frame(frame)

    def _count(self, now: float) -> None:
        assert self.revision is not None  # noqa: S101
        if not self._unacked:
            self._moved_at = now
        self._unacked.append(self.revision)
        self._sent_at = now

    def _begin_snapshot(self, now: float) -> None:
        state = self.watched.state
        self.revision = state.revision
        self._pages.extend(self.watched.frames.snapshot(state, self.metrics))
        self._count(now)
        self._post_pages(now)

    def _post_pages(self, now: float) -> None:
        """Pages one after the other, never more ahead than the outbox bears."""
        while self._pages and self.viewer.outbox_bytes <= AHEAD_BYTES:
            self.viewer.post_frame(self._pages.popleft())
            # A long snapshot over a slow link: the clock starts with its last page.
            self._sent_at = self._moved_at = now
