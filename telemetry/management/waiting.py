"""How a command that runs for long waits: for the database, and for its end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from hub_project.child_line import ChildLine, Cut

from .. import conf, patience
from . import setup

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# For a process that has done all that it can, to be gone.
GONE_SECONDS = 5.0


class End:
    """Comes with SIGTERM or SIGINT, or when the supervisor is gone.

    line: to the supervisor, if there is one. Made on the main thread.
    """

    def __init__(self, line: ChildLine | None) -> None:
        self._line = line
        self._has_come = threading.Event()
        self._before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGTERM, signal.SIGINT)
        }

    def say_ready(self) -> None:
        """Work has begun."""
        if self._line is not None:
            self._line.say_ready()

    def within(self, seconds: float) -> bool:
        """Wait so long at most; whether the end has come."""
        if self._line is not None:
            self._line.say_alive()
            try:
                self._line.take()
            except Cut:
                return True
        return self._has_come.wait(seconds)

    def leave(self) -> bool:
        """Give the signals back to whom they belonged; whether the end has come."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return self._has_come.is_set()

    def _on_signal(self, number: int, frame: Any) -> None:
        self._has_come.set()


def no_longer(seconds: float = GONE_SECONDS) -> None:
    """Let this process end in this time, whatever its threads wait for.

    Python waits for each before it ends; one that asks a database that says nothing
    may wait for hours, and what it does is not acknowledged to anybody.
    """
    sys.stdout.flush()
    watch = threading.Timer(seconds, os._exit, (0,))
    watch.daemon = True
    watch.start()


def for_database(end: End) -> bool:
    """Until the database answers, and has its tables; False: the end came sooner.

    Raises CommandError when it answers and lacks tables.
    """
    # A server that is stopped takes connections as well, and never answers.
    patience.begin(conf.value("STATEMENT_SECONDS"))
    has_said = False
    while True:
        try:
            is_ready = not setup.needs_migration()
        except (DatabaseError, InterfaceError) as error:
            if not has_said:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                logger.warning("waiting for the database: %s", lines[0][:300])
                has_said = True
            # One that broke would stay broken.
            connection.close()
        else:
            if not is_ready:
                setup.check_is_migrated()  # Says what is missing.
            return True
        if end.within(LOOK_SECONDS):
            return False
