"""Folding, every half minute: marks and heads go from the journal into their rows.

What was committed and is not folded yet is kept here; a commit never waits for a
whole fold, only for one of its short transactions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from django.db import DatabaseError, InterfaceError, connection

from ..history import watermarks
from ..history.heads import Heads
from ..history.journal import Gathered, Mark, SessionKey
from ..protocol import clock

logger = logging.getLogger(__name__)

FOLD_SECONDS = 30.0
# And after so many readings: what is not folded cannot be sealed, and is replayed
# by a start after a crash, a quarter of a second of it.
FOLD_READINGS = 1_000_000


class Folding:
    """Of one writer. All methods belong to the event loop."""

    def __init__(
        self, heads: Heads, executor: Executor, sessions_per_device: int
    ) -> None:
        self._heads = heads
        self._executor = executor
        self._sessions_per_device = sessions_per_device
        self._writer = 0
        self._number = 0
        self._readings = 0
        self._next_at = 0.0
        # How far sessions got since the last fold, in the order of their use.
        self.marks: dict[SessionKey, Mark] = {}

    def start(self, writer: int) -> None:
        """From here on there are commits of this writer."""
        self._writer = writer
        self._next_at = asyncio.get_running_loop().time() + FOLD_SECONDS

    def add(self, number: int, columns: Gathered) -> None:
        """This commit is on disk."""
        self._number = number
        self._readings += len(columns)
        for session, mark in columns.marks.items():
            # In the order of use: a device keeps its newest sessions.
            self.marks.pop(session, None)
            self.marks[session] = mark

    @property
    def due_seconds(self) -> float:
        """How long it is until the next fold; 0: it should be now."""
        if self._readings >= FOLD_READINGS:
            return 0.0
        return max(0.0, self._next_at - asyncio.get_running_loop().time())

    async def fold(
        self, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> bool:
        """Copy marks and heads into their rows, a short transaction at a time.

        meanwhile: called after each of them. False: all is folded next time.
        """
        loop = asyncio.get_running_loop()
        self._next_at = loop.time() + FOLD_SECONDS
        self._readings = 0
        number, marks, heads = (
            self._number,
            dict(self.marks),
            self._heads.take_changed(),
        )
        now = clock.now_us()
        is_folded = False
        try:
            for step in watermarks.fold_steps(
                marks, heads, self._writer, number, now, self._sessions_per_device
            ):
                await loop.run_in_executor(self._executor, step)
                if meanwhile is not None:
                    await meanwhile()
            is_folded = True
        except Exception as error:
            # The edge of the process: commits must go on. All is folded next time.
            if isinstance(error, (DatabaseError, InterfaceError)):
                logger.warning("folding waits for the database: %s", error)
            else:
                logger.exception("folding failed, and is tried again")
            await loop.run_in_executor(self._executor, close_connection)
            return False
        finally:
            if not is_folded:
                self._heads.change_again(heads)
        for key, mark in marks.items():
            if self.marks.get(key) == mark:
                del self.marks[key]
        return True


def close_connection() -> None:
    """Close the connection of the thread that this runs on."""
    # `connection` is another object on each thread: look it up on the writer's.
    connection.close()
