"""One topic that is watched: its state, its viewers, and how it follows its members."""

from __future__ import annotations

from dataclasses import dataclass, field

from .frames import Frames
from .members import Members
from .rows import Rows
from .state import GroupState
from .subscription import Subscription
from .topic_rows import HeadRows


@dataclass(slots=True)
class News:
    """Rows that other processes have not been told yet."""

    rows: list[Rows] = field(default_factory=list)
    writer: int = 0
    number: int = 0
    received_us: int = 0


@dataclass(slots=True, eq=False)
class Watched:
    """Used on the event loop alone; every method is one step of it."""

    topic: str
    state: GroupState
    frames: Frames
    members: Members
    viewers: set[Subscription] = field(default_factory=set)
    # Whether the switchboard brings what other processes commit.
    is_joined: bool = False
    # Since when nobody looks, by the monotonic clock.
    idle_since: float = 0.0
    news: News = field(default_factory=News)

    def take_members(self, members: Members, heads: HeadRows) -> bool:
        """Follow what the registry says now; whether the series changed.

        `news` must be told before: its rows carry positions of the old state.

        Series that only came are told in the next update; any other change (members,
        names, units) makes every viewer start afresh.
        """
        old = self.members
        self.members = members
        before, now = set(old.series), set(members.series)
        if before - now or old.identity() != members.identity():
            self.state = self.state.successor(
                members.series, members.devices.values(), heads
            )
            return True
        self.state.set_devices(members.devices.values())
        fresh = [row for row in members.series if row not in before]
        if fresh:
            ids = {row.id for row in fresh}
            known = {key: head for key, head in heads.items() if key in ids}
            self.state.add_series(fresh, known)
        return bool(fresh)

    def end(self) -> None:
        """There is no such group or device any more: tell every viewer."""
        viewers, self.viewers = self.viewers, set()
        for subscription in viewers:
            subscription.viewer.lose(self.topic, "gone")
