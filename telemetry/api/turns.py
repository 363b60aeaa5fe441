"""How many may do a thing at once, of all requests of a process. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Hashable

from .. import conf
from ..protocol.errors import Busy


class Turns:
    """At most as many as a setting says; who is one too many is sent away."""

    def __init__(self, setting: str, what: str) -> None:
        self._setting = setting
        self._what = what
        self._lock = threading.Lock()
        self._taken: dict[Hashable, int] = {}

    def take(self, who: Hashable = None, most_each: int | None = None) -> Turn:
        """Begin. most_each: of one who. Raises Busy."""
        most = int(conf.value(self._setting))
        with self._lock:
            mine = self._taken.get(who, 0)
            if sum(self._taken.values()) >= most:
                raise Busy(f"expected at most {most} {self._what} at once, got more")
            if most_each is not None and mine >= most_each:
                raise Busy(
                    f"expected at most {most_each} {self._what} of one sender at "
                    "once, got more"
                )
            self._taken[who] = mine + 1
        return Turn(self, who)

    def give_back(self, turn: Turn) -> None:
        """What a turn does at its end, once."""
        with self._lock:
            if turn.is_over:
                return
            turn.is_over = True
            self._taken[turn.who] -= 1
            if not self._taken[turn.who]:
                del self._taken[turn.who]


class Turn:
    """One of them; ends once, whoever says so, or with its `with`."""

    def __init__(self, turns: Turns, who: Hashable) -> None:
        self._turns = turns
        self.who = who
        self.is_over = False

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        self._turns.give_back(self)
