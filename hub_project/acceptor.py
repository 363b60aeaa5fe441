"""Takes connections in at the public socket and hands each to a worker.

One process accepts for all: when several wait at one socket, the kernel lets whoever
is awake take nearly all of a rush, and one that hangs is given its share as well.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

logger = logging.getLogger(__name__)

# Taken in a turn of the loop, so that signals and children are heard in a rush.
ACCEPTED_AT_ONCE = 64
# Nobody takes connections just now, or this process has no descriptors.
PAUSE_SECONDS = 0.05


class Acceptor:
    """give: hands a connection over; False: nobody takes one now."""

    def __init__(
        self,
        listener: socket.socket,
        backlog: int,
        give: Callable[[socket.socket], bool],
    ) -> None:
        self._listener = listener
        self._backlog = backlog
        self._give = give
        # Accepted and not handed over yet.
        self._held: socket.socket | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self._is_open = False

    def open(self) -> None:
        """Begin to listen; more than once is no harm."""
        if self._is_open:
            return
        self._is_open = True
        self._listener.setblocking(False)
        self._listener.listen(self._backlog)
        self._resume()

    def close(self) -> None:
        """Listen no more: from now on connections are refused."""
        if self._resuming is not None:
            self._resuming.cancel()
        elif self._is_open:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._is_open = False
        if self._held is not None:
            self._held.close()
        self._listener.close()

    def _resume(self) -> None:
        self._resuming = None
        loop = asyncio.get_running_loop()
        loop.add_reader(self._listener.fileno(), self._accept)
        if self._held is not None:
            self._accept()  # Perhaps nobody else comes.

    def _pause(self) -> None:
        """Those that come wait in the kernel meanwhile."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        self._resuming = loop.call_later(PAUSE_SECONDS, self._resume)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection = self._held or self._listener.accept()[0]
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.warning("no connection can be accepted: %s", error)
                self._pause()
                return
            self._held = None
            if not self._give(connection):
                self._held = connection
                self._pause()
                return
            # The worker has it now, under a number of its own.
            connection.close()
