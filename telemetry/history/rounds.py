"""A thread that looks again and again whether something is due, and survives errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection

from .lease import LeaseLost

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# After an error nobody foresaw.
PAUSE_SECONDS = 60.0


class Rounds:
    """One daemon thread with a connection of its own.

    looks: called one after another, a second apart, each does what is due. One that
    takes long looks at `stopping` now and then.
    """

    def __init__(
        self, name: str, stopping: threading.Event, *looks: Callable[[], None]
    ) -> None:
        self._name = name
        self._stopping = stopping
        self._looks = looks
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the database has been migrated."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """End after the step that runs now: each can be repeated. Blocks.

        False: it takes longer than this.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = LOOK_SECONDS
            try:
                for look in self._looks:
                    look()
            except LeaseLost as error:
                logger.warning("another process keeps the history: %s", error)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("%s waits for the database: %s", self._name, error)
                connection.close()
            except Exception:
                # The edge of the thread: ingest goes on, and so must this.
                logger.exception("%s failed, and is tried again", self._name)
                connection.close()
                pause = PAUSE_SECONDS
            self._stopping.wait(pause)
        connection.close()
