"""The jobs of the whole hub: whichever process runs them, they do no harm twice.

Sealing, retention and removal are `history.keeper`'s, fenced by its lease. Here is
what is small beside them, and how `runjobs` runs all of them.
"""

from __future__ import annotations

import threading
import time
from importlib import import_module

from django.conf import settings

from . import patience
from .devices.sharing import is_shared
from .devices.sweep import Sweep
from .history import owners
from .history.keeper import new_keeper, new_room
from .history.rounds import Rounds

# An expired session opens nothing: its row only takes room.
SESSIONS_SECONDS = 3_600.0
# Not at once: a hub that starts has other things to do.
FIRST_SESSIONS_SECONDS = 300.0


class Errands:
    """What is quickly done and needs no lease."""

    def __init__(self) -> None:
        self._sessions_due = time.monotonic() + FIRST_SESSIONS_SECONDS
        self._sweep = Sweep(owners.heartbeats) if is_shared() else None

    def look(self) -> None:
        """Do what is due. Raises DatabaseError; may be called again."""
        if self._sweep is not None:
            self._sweep.look()
        if time.monotonic() >= self._sessions_due:
            patience.long(clear_sessions)()
            self._sessions_due = time.monotonic() + SESSIONS_SECONDS


def clear_sessions() -> None:
    """Delete the sessions of people that have expired."""
    engine = import_module(settings.SESSION_ENGINE)
    engine.SessionStore.clear_expired()


class Jobs:
    """All jobs, in a process of their own: `manage.py runjobs`.

    On two threads: a pass of the sealer may take long, and who is online must not
    wait for it.
    """

    def __init__(self) -> None:
        self._stopping = threading.Event()
        room = new_room()
        keeper = new_keeper(room, self._stopping)
        self._rounds = (
            Rounds("jobs", self._stopping, room.measure, patience.long(keeper.look)),
            Rounds("errands", self._stopping, Errands().look),
        )

    def start(self) -> None:
        """Begin; the database has been migrated."""
        for rounds in self._rounds:
            rounds.start()

    def stop(self, seconds: float) -> bool:
        """End after the steps that run now; False: one takes longer. Blocks."""
        until = time.monotonic() + seconds
        ended = [each.stop(max(0.0, until - time.monotonic())) for each in self._rounds]
        return all(ended)
