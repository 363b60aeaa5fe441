"""Which topics the other processes want. Pure: time is passed in, in seconds."""

from __future__ import annotations

from collections.abc import Iterable


class Interests:
    """Who announced interest in what; an announcement holds for a while."""

    def __init__(self, kept_seconds: float) -> None:
        self._kept_seconds = kept_seconds
        # topic → origin → until when
        self._until: dict[str, dict[str, float]] = {}
        self._wanted: frozenset[str] | None = frozenset()

    def announce(self, origin: str, topics: Iterable[str], now: float) -> list[str]:
        """`origin` wants `topics` from now on; returns those that are new from it."""
        fresh = []
        for topic in topics:
            origins = self._until.get(topic)
            if origins is None:
                origins = self._until[topic] = {}
                self._wanted = None
            if origin not in origins:
                fresh.append(topic)
            origins[origin] = now + self._kept_seconds
        return fresh

    def withdraw(self, origin: str, topics: Iterable[str]) -> None:
        """`origin` no longer wants `topics`."""
        for topic in topics:
            origins = self._until.get(topic)
            if origins is None:
                continue
            origins.pop(origin, None)
            if not origins:
                del self._until[topic]
                self._wanted = None

    def forget_silent(self, now: float) -> None:
        """Drop what was not announced again in time: its process is gone."""
        for topic, origins in list(self._until.items()):
            silent = [origin for origin, until in origins.items() if until <= now]
            for origin in silent:
                self.withdraw(origin, [topic])

    def wanted(self) -> frozenset[str]:
        """The topics that somebody wants."""
        if self._wanted is None:
            self._wanted = frozenset(self._until)
        return self._wanted
