"""One durable commit after another, strictly in order, and what becomes of each.

One that the database refuses is repeated, with the same number and the same bytes,
before anything later, for a cumulative ack covers all that came before it. What can
never be stored is found by halves; what is another process's now is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)

from .. import counters
from ..history.heads import Heads
from ..history.journal import Row
from ..history.owners import Superseded
from ..history.tail import Tail
from ..history.tick import Columns, Tick
from ..protocol import clock
from .batch import Batch
from .folding import Folding
from .gathering import Gathering, Sender

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 1.0
# A commit that takes longer counts as refused: a lock may be waited for in silence.
SLOW_SECONDS = 2.0


class Committer:
    """Of one writer. `commit` belongs to the event loop, and is called in turn."""

    def __init__(
        self,
        heads: Heads,
        tail: Tail,
        folding: Folding,
        executor: Executor,
        set_stalled: Callable[[bool, str], None],
    ) -> None:
        self._heads = heads
        self._tail = tail
        self._folding = folding
        self._executor = executor
        self._set_stalled = set_stalled
        self._writer = 0
        self._number = 0
        self._last_received_us = 0
        self._listeners: list[Callable[[Tick], None]] = []
        self.readings = 0

    def start(self, writer: int) -> None:
        """Commit as this writer, which has no commit yet."""
        self._writer = writer
        self._last_received_us = self._heads.newest_received_us

    def listen(self, listener: Callable[[Tick], None]) -> None:
        """Call `listener` after each durable commit."""
        self._listeners.append(listener)

    async def commit(self, gathering: Gathering) -> None:
        """Make a gathering durable; what the database cannot store is refused."""
        self._last_received_us = max(clock.now_us(), self._last_received_us)
        row = Row(
            self._writer, self._number + 1, self._last_received_us, gathering.columns
        )
        try:
            columns = await self._write(row)
        except (DataError, IntegrityError, ValueError) as error:
            await self._halve(gathering, error)
            return
        except Superseded as gone:
            self._set_stalled(False, "")
            await self._leave_out(gathering, gone.devices)
            return
        self._number = row.number
        self._folding.add(row.number, gathering.columns)
        self.readings += len(gathering.columns)
        counters.COMMITS.inc()
        counters.READINGS.inc(len(gathering.columns))
        tick = self._heads.advance(
            columns,
            gathering.columns.texts,
            writer=row.writer,
            number=row.number,
            received_us=row.received_us,
        )
        self._tell_senders(gathering)
        for listener in self._listeners:
            try:
                listener(tick)
            except Exception:
                # The edge of ingest: a fault of a live page sends no device away.
                logger.exception("a listener failed")

    async def _write(self, row: Row) -> Columns:
        """Write the row, again and again while the database is away."""
        loop = asyncio.get_running_loop()
        delay = FIRST_RETRY_SECONDS
        while True:
            slow = loop.call_later(
                SLOW_SECONDS, self._set_stalled, True, "a commit takes long"
            )
            try:
                columns = await loop.run_in_executor(
                    self._executor, self._write_once, row
                )
            except (DataError, IntegrityError):
                raise
            except (DatabaseError, InterfaceError) as error:
                # Away, full, locked, or read-only while a standby takes over.
                counters.COMMIT_FAILURES.inc()
                self._set_stalled(True, str(error))
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_RETRY_SECONDS)
            else:
                self._set_stalled(False, "")
                return columns
            finally:
                slow.cancel()

    def _write_once(self, row: Row) -> Columns:
        # First what may fail for reasons of our own: after the write it would be
        # too late, the row would be on disk and its number taken for free.
        columns = row.columns()
        with counters.COMMIT_SECONDS.time():
            try:
                row.write()
            except (OperationalError, InterfaceError):
                connection.close()
                raise
            except Superseded:
                raise
            except Exception:
                # PostgreSQL ends a commit that was stopped on its way, by another name.
                connection.close_if_unusable_or_obsolete()
                # Whatever it was: the number is used again only if it is free.
                if not row.is_stored():
                    raise
        try:
            self._tail.add(row.writer, row.number, columns)
        except Exception:
            # The row is on disk. A merge that failed has left the chunk as it was.
            logger.exception("merging the tail failed")
        return columns

    async def _leave_out(self, gathering: Gathering, gone: frozenset[int]) -> None:
        """Commit without the numbered batches of devices that are another's now.

        Their marks would be wrong there, and an ack a lie. No later batch of these
        senders slips through should a device come back: a `hello` claims it only once
        all that was submitted before is through (`flush`).
        """
        kept: list[int] = []
        senders: set[Sender] = set()
        for at, record in enumerate(gathering.records):
            if record.session is not None and record.session[0] in gone:
                senders.add(record.sender)
            else:
                kept.append(at)
        counters.SUPERSEDED.inc(len(gathering.records) - len(kept))
        for sender in senders:
            sender.superseded()
        if kept:
            await self.commit(gathering.only(kept))

    async def _halve(self, gathering: Gathering, error: Exception) -> None:
        """The data is at fault: find the batch that the database cannot store."""
        count = len(gathering.records)
        if count == 1:
            record = gathering.records[0]
            logger.error("the database cannot store a batch: %s", error)
            record.sender.refused(record.seq, "bad_request")
            nothing = Gathering()
            nothing.add(
                Batch([], [], []),
                record.sender,
                record.seq,
                record.session,
                record.mark,
            )
            if len(gathering.columns):
                await self.commit(nothing)
                return
            raise error
        await self.commit(gathering.part(0, count // 2))
        await self.commit(gathering.part(count // 2, count))

    def _tell_senders(self, gathering: Gathering) -> None:
        # The last number of each: acks are cumulative.
        last: dict[Sender, int | None] = {}
        for record in gathering.records:
            # A message without a number must not hide one with.
            if record.seq is not None or record.sender not in last:
                last[record.sender] = record.seq
        counters.ACKS.inc(len(last))
        for sender, seq in last.items():
            sender.committed(seq)
