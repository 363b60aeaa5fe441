"""Says every few seconds that this process lives, for those that share its database.

On a thread and a connection of its own: behind commits, or behind a thousand devices
that come at once, it would wait too long, and a process that is busy would be taken
for dead.
"""

from __future__ import annotations

import logging
import threading

from django.db import DatabaseError, InterfaceError, connection

from ..history import watermarks
from ..protocol import clock

logger = logging.getLogger(__name__)

# Presence takes a process for gone that has been silent for four times as long.
SECONDS = 5.0


class Heartbeat:
    """Of one writer, from `start` to `stop`."""

    def __init__(self, writer: int) -> None:
        self._writer = writer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = SECONDS) -> None:
        """Return when no beat comes any more: it would bring back an ended writer.

        Blocks, so long at most: if one comes after all, the next start ends the writer.
        """
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.wait(SECONDS):
            try:
                watermarks.show_life(self._writer, clock.now_us())
            except (DatabaseError, InterfaceError) as error:
                logger.warning("the database is away: %s", str(error).strip())
                connection.close()
            except Exception:
                # The edge of the thread: the next beat must come.
                logger.exception("a heartbeat failed")
                connection.close()
        connection.close()
