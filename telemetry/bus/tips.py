"""What was said of each topic, and what of it was heard. Pure: time is passed in.

A process numbers what it publishes, and says every other second how far it is: its
tips. A number that is left out, a tip that is ahead and a process that has gone
silent each mean that news may be missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

# topic, n, writer, number: see Offer.
Tip = tuple[str, int, int, int]


@dataclass(slots=True)
class Offer:
    """A topic of which this process publishes all news.

    writer, number: its last commit that was told, or that was before the beginning.
    """

    n: int
    writer: int
    number: int
    # How far the layer has been given what was published.
    sent: int


class Offers:
    """What this process publishes."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}
        # Of topics that nobody wants any more: numbers never go back.
        self._ended: dict[str, int] = {}

    def __contains__(self, topic: str) -> bool:
        return topic in self._offers

    def begin(self, topic: str, writer: int, number: int) -> None:
        """From now on all news of `topic` are published.

        After an interruption a number is left out: who heard the earlier ones has to
        see that something may be missing.
        """
        if topic not in self._offers:
            n = self._ended.pop(topic, -1) + 1
            self._offers[topic] = Offer(n, writer, number, n)

    def keep(self, wanted: Collection[str]) -> None:
        """Nobody wants the others any more."""
        for topic in [topic for topic in self._offers if topic not in wanted]:
            self._ended[topic] = self._offers.pop(topic).n

    def count(self, topic: str, writer: int, number: int) -> int:
        """The number of the next publication of a topic that has begun."""
        offer = self._offers[topic]
        offer.n += 1
        offer.writer, offer.number = writer, number
        return offer.n

    def sent(self, topic: str, n: int) -> None:
        """Everything up to `n` was given to the layer, or is lost."""
        offer = self._offers.get(topic)
        if offer is not None:
            offer.sent = max(offer.sent, n)

    def tips(self, topics: Iterable[str] | None = None) -> list[Tip]:
        """How far this process is, with all that it publishes or with some."""
        return [
            (topic, offer.sent, offer.writer, offer.number)
            for topic in (self._offers if topics is None else topics)
            if (offer := self._offers.get(topic)) is not None
        ]


@dataclass(slots=True)
class _Origin:
    heard_at: float
    # topic → the highest n that came, or that is known to be missing.
    heard: dict[str, int] = field(default_factory=dict)


class Following:
    """What this process has heard from the others of the topics that it wants."""

    def __init__(self, silent_seconds: float) -> None:
        self._silent_seconds = silent_seconds
        self._origins: dict[str, _Origin] = {}

    def hear(self, origin: str, now: float) -> None:
        """Anything at all came from this process."""
        known = self._origins.setdefault(origin, _Origin(now))
        known.heard_at = now

    def begin(self, origin: str, topic: str, n: int) -> bool:
        """Whether this is the first that was heard of `topic` from a known process.

        What it published before, if anything, is not known.
        """
        heard = self._origins[origin].heard
        if topic in heard:
            return False
        heard[topic] = n
        return True

    def publication(self, origin: str, topic: str, n: int) -> int:
        """One came of a topic that has begun: how many before it did not."""
        heard = self._origins[origin].heard
        missing = max(0, n - heard[topic] - 1)
        heard[topic] = max(heard[topic], n)
        return missing

    def is_ahead(self, origin: str, topic: str, n: int) -> bool:
        """Whether a tip tells of something that has not come, or not yet."""
        known = self._origins.get(origin)
        return known is not None and n > known.heard.get(topic, n)

    def catch_up(self, origin: str, topic: str, n: int) -> int:
        """What a tip told of should be here by now: how many are not."""
        if not self.is_ahead(origin, topic, n):
            return 0
        heard = self._origins[origin].heard
        missing = n - heard[topic]
        heard[topic] = n
        return missing

    def have_begun(self, topic: str, now: float, within_seconds: float) -> bool:
        """Whether all processes that were heard lately have spoken of `topic`."""
        return all(
            topic in each.heard
            for each in self._origins.values()
            if now - each.heard_at < within_seconds
        )

    def forget(self, topic: str) -> None:
        """It is not wanted any more."""
        for each in self._origins.values():
            each.heard.pop(topic, None)

    def leave(self, origin: str) -> None:
        """A process has said that it ends."""
        self._origins.pop(origin, None)

    def silent(self, now: float) -> set[str]:
        """The topics of processes that have gone silent, which are forgotten."""
        gone = [
            origin
            for origin, each in self._origins.items()
            if now - each.heard_at > self._silent_seconds
        ]
        return {topic for each in gone for topic in self._origins.pop(each).heard}

    def pardon(self, now: float) -> None:
        """This process heard nobody, not even itself: the others were not silent."""
        for each in self._origins.values():
            each.heard_at = now
