"""The one pipeline behind every door: gather → one durable commit → tick → acks.

While one commit runs on the writer's thread, the next one grows. Commits are
strictly ordered: one that the database refuses is repeated, with the same number
and the same bytes, before anything later, for a cumulative ack covers all that
came before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)
from msgspec import Struct

from .. import counters
from ..devices.sharing import is_shared
from ..history import watermarks
from ..history.heads import Heads
from ..history.journal import Gathered, Mark, Row, SessionKey, open_writer
from ..history.owners import Superseded
from ..history.tail import Tail
from ..history.tick import Columns, Tick
from ..protocol import clock
from ..threads import on_database_thread
from .batch import Batch
from .heartbeat import Heartbeat

logger = logging.getLogger(__name__)

# What a batch costs beside its columns, measured: its record, mark and numbers.
RECORD_BYTES = 288
READING_BYTES = 20
TEXT_BYTES = 160
FOLD_SECONDS = 30.0
# And after so many readings: what is not folded cannot be sealed, and is replayed
# by a start after a crash, a quarter of a second of it.
FOLD_READINGS = 1_000_000
FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 1.0
# A commit that takes longer counts as refused: a lock may be waited for in silence.
SLOW_SECONDS = 2.0
# For what is written at the end, when the time for draining is over by then.
LAST_SECONDS = 3.0


class Sender(Protocol):
    """Who a batch came from, and is told what became of it. On the event loop."""

    def committed(self, seq: int | None) -> None:
        """Everything up to `seq` is on disk."""

    def refused(self, seq: int | None, reason: str) -> None:
        """The database cannot store this batch; it counts as done."""

    def gave_up(self) -> None:
        """What was submitted may be lost: forget that it was ever received."""

    def superseded(self) -> None:
        """The device is another process's now: nothing un-acked is stored here."""


class Record(Struct, frozen=True):
    """Where a batch's readings and texts begin in the columns, and whose they are."""

    sender: Sender
    seq: int | None
    session: SessionKey | None
    mark: Mark | None
    start: int
    text_start: int


@dataclass(slots=True)
class Gathering:
    """Batches of many senders that will be one commit."""

    columns: Gathered = field(default_factory=Gathered)
    records: list[Record] = field(default_factory=list)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    size_bytes: int = 0

    def add(
        self,
        batch: Batch,
        sender: Sender,
        seq: int | None,
        session: SessionKey | None,
        mark: Mark | None,
    ) -> int:
        """Take in one batch; returns what it costs in bytes."""
        columns = self.columns
        start, text_start = len(columns.series), len(columns.texts)
        _extend(columns.series, batch.series)
        _extend(columns.times_us, batch.times_us)
        _extend(columns.values, batch.values)
        columns.texts.extend(batch.texts)
        if session is not None and mark is not None:
            columns.marks[session] = mark
        self.records.append(Record(sender, seq, session, mark, start, text_start))
        size = RECORD_BYTES + READING_BYTES * (len(columns.series) - start)
        if batch.texts:
            size += sum(TEXT_BYTES + 4 * len(text[2]) for text in batch.texts)
        self.size_bytes += size
        return size

    def part(self, start: int, stop: int) -> Gathering:
        """Some of the batches as a gathering of their own."""
        return self.only(range(start, stop))

    def only(self, places: Iterable[int]) -> Gathering:
        """The batches at these places as a gathering of their own."""
        part = Gathering()
        ends = [(record.start, record.text_start) for record in self.records[1:]]
        ends.append((len(self.columns.series), len(self.columns.texts)))
        for record, end in ((self.records[at], ends[at]) for at in places):
            readings = slice(record.start, end[0])
            batch = Batch(
                self.columns.series[readings].tolist(),
                self.columns.times_us[readings].tolist(),
                self.columns.values[readings].tolist(),
                self.columns.texts[record.text_start : end[1]],
            )
            part.add(batch, record.sender, record.seq, record.session, record.mark)
        return part


def _extend(column: object, added: object) -> None:
    """Append a list or a numpy array to an array.array."""
    if isinstance(added, list):
        column.extend(added)  # type: ignore[attr-defined]
    elif len(added):  # type: ignore[arg-type]
        column.frombytes(memoryview(added).cast("B"))  # type: ignore[attr-defined, arg-type]


class Pipeline:
    """One a process. All methods belong to the event loop."""

    def __init__(
        self,
        heads: Heads,
        tail: Tail,
        *,
        gather_ms: float,
        commit_readings: int,
        held_bytes: int,
        sessions_per_device: int,
    ) -> None:
        self._heads = heads
        self._tail = tail
        self._gather_seconds = gather_ms / 1000
        self._commit_readings = commit_readings
        self._most_held_bytes = held_bytes
        self._sessions_per_device = sessions_per_device
        self._queue: deque[Gathering] = deque()
        self._current: Gathering | None = None
        self._work = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._held_bytes = 0
        self._number = 0
        self._last_received_us = 0
        self._unfolded: dict[SessionKey, Mark] = {}
        self._next_fold = 0.0
        self._readings_to_fold = 0
        self._listeners: list[Callable[[Tick], None]] = []
        self._stall_listeners: list[Callable[[bool], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._heart: Heartbeat | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._is_stopping = False
        self.writer = 0
        self.is_stalled = False
        self.committed_readings = 0

    # --- life -------------------------------------------------------------------

    async def start(self) -> None:
        """Open a writer, and take over what earlier ones have left."""
        loop = asyncio.get_running_loop()
        self.writer = await loop.run_in_executor(self._executor, self._open)
        self._last_received_us = self._heads.newest_received_us
        self._next_fold = loop.time() + FOLD_SECONDS
        counters.HELD_BYTES.set_function(lambda: self._held_bytes)
        self._task = loop.create_task(self._run(), name="pipeline")
        if is_shared():
            # Who else would want to know whether this process lives?
            self._heart = Heartbeat(self.writer)
            self._heart.start()

    def _open(self) -> int:
        now = clock.now_us()
        writer = open_writer(now)
        watermarks.recover(self._heads, writer.id, now, self._sessions_per_device)
        return writer.id

    async def drain(self, seconds: float) -> bool:
        """Commit all that was submitted, fold, and stop. False: time ran out."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._is_stopping = True
        self._work.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            # Only what the database still refuses: a commit that is cut off may yet
            # reach the disk, so the writer must not count as ended then.
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._heart is not None:
            await asyncio.to_thread(self._heart.stop)
        is_flushed = not self._queue
        if is_flushed:
            ending = loop.create_task(self._end(), name="end of the writer")
            left = max(LAST_SECONDS, until - loop.time())
            _done, late = await asyncio.wait([ending], timeout=left)
            if late:
                # The next start does what is missing.
                logger.warning("the database does not answer: nothing was folded")
                ending.cancel()
                await asyncio.wait(late)
            else:
                ending.result()
        self._give_up()
        # The writer's thread may hang in a database that says nothing.
        closed = asyncio.wrap_future(self._executor.submit(_close_connection))
        await asyncio.wait([closed], timeout=LAST_SECONDS)
        self._executor.shutdown(wait=False)
        return is_flushed

    async def _end(self) -> None:
        if await self._fold():
            await asyncio.get_running_loop().run_in_executor(
                self._executor, watermarks.end_writer, self.writer, clock.now_us()
            )

    @property
    def is_stopping(self) -> bool:
        """Whether nothing is taken any more."""
        return self._is_stopping

    def listen(self, listener: Callable[[Tick], None]) -> None:
        """Call `listener` after each durable commit."""
        self._listeners.append(listener)

    def listen_for_stalls(self, listener: Callable[[bool], None]) -> None:
        """Call `listener`: True, the database is away; False, it is back."""
        self._stall_listeners.append(listener)

    # --- in ---------------------------------------------------------------------

    def submit(
        self,
        batch: Batch,
        sender: Sender,
        seq: int | None = None,
        session: SessionKey | None = None,
        mark: Mark | None = None,
    ) -> None:
        """Put a batch on its way to the disk; the sender hears of it."""
        if self._is_stopping:
            sender.gave_up()
            return
        last = self._queue[-1] if self._queue else None
        if last is None or len(last.columns) + len(batch) > self._commit_readings:
            last = Gathering()
            self._queue.append(last)
            self._work.set()
        self._held_bytes += last.add(batch, sender, seq, session, mark)
        if self._held_bytes > self._most_held_bytes:
            self._has_room.clear()

    @property
    def has_room(self) -> bool:
        """Whether more may be submitted."""
        return self._has_room.is_set()

    async def room(self) -> None:
        """Wait until more may be submitted: the bound on what is held in memory."""
        await self._has_room.wait()

    async def flush(self) -> None:
        """Wait until all that has been submitted so far is on disk."""
        last = self._queue[-1] if self._queue else self._current
        if last is None:
            return
        waiter = asyncio.get_running_loop().create_future()
        last.waiters.append(waiter)
        await waiter

    async def watermark(self, device_id: int, session: str) -> Mark | None:
        """How far a device's session got on disk. `flush` first."""
        mark = self._unfolded.get((device_id, session))
        if mark is not None:
            return mark
        while True:
            try:
                return await on_database_thread(
                    watermarks.last_mark, device_id, session, self.writer
                )
            except (OperationalError, InterfaceError):
                if self._is_stopping:
                    raise
                await asyncio.sleep(LONGEST_RETRY_SECONDS)

    def unfolded(self, session: SessionKey) -> Mark | None:
        """How far a session got here; None: nothing of it since the last fold."""
        return self._unfolded.get(session)

    # --- out --------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or not self._is_stopping:
            if not self._queue:
                self._work.clear()
                await self._wait_for_work(self._next_fold - loop.time())
            if self._queue:
                if len(self._queue) == 1 and self._gather_seconds:
                    await asyncio.sleep(self._gather_seconds)
                await self._commit_next()
            is_much = self._readings_to_fold >= FOLD_READINGS
            if is_much or loop.time() >= self._next_fold:
                self._next_fold = loop.time() + FOLD_SECONDS
                self._readings_to_fold = 0
                await self._fold()

    async def _wait_for_work(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._work.wait(), max(seconds, 0.0))
        except asyncio.TimeoutError:
            return

    async def _commit_next(self) -> None:
        gathering = self._current = self._queue.popleft()
        try:
            await self._commit(gathering)
        except asyncio.CancelledError:
            self._queue.appendleft(gathering)
            raise
        except Exception:
            # The edge of the process: a fault of ours must not cover a lost batch.
            logger.exception("a commit failed for good; devices will send it again")
            self._queue.appendleft(gathering)
            self._give_up()
            # Nothing is left to try: a pause would have no end.
            self._set_stalled(False)
        else:
            self._release(gathering)
        finally:
            self._current = None

    async def _commit(self, gathering: Gathering) -> None:
        """Make a gathering durable; what the database cannot store is refused."""
        self._last_received_us = max(clock.now_us(), self._last_received_us)
        row = Row(
            self.writer, self._number + 1, self._last_received_us, gathering.columns
        )
        try:
            columns = await self._write(row)
        except (DataError, IntegrityError, ValueError) as error:
            await self._halve(gathering, error)
            return
        except Superseded as gone:
            self._set_stalled(False)
            await self._leave_out(gathering, gone.devices)
            return
        self._number = row.number
        for session, mark in gathering.columns.marks.items():
            # In the order of use: a device keeps its newest sessions.
            self._unfolded.pop(session, None)
            self._unfolded[session] = mark
        self._readings_to_fold += len(gathering.columns)
        self.committed_readings += len(gathering.columns)
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
                self._set_stalled(False)
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
            await self._commit(gathering.only(kept))

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
                await self._commit(nothing)
                return
            raise error
        await self._commit(gathering.part(0, count // 2))
        await self._commit(gathering.part(count // 2, count))

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

    def _release(self, gathering: Gathering) -> None:
        self._held_bytes -= gathering.size_bytes
        if self._held_bytes <= self._most_held_bytes:
            self._has_room.set()
        for waiter in gathering.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _give_up(self) -> None:
        """Drop what is queued: its senders forget it, and will send it again."""
        dropped, self._queue = self._queue, deque()
        for gathering in dropped:
            for record in gathering.records:
                record.sender.gave_up()
            self._release(gathering)

    def _set_stalled(self, is_stalled: bool, why: str = "") -> None:
        if is_stalled == self.is_stalled:
            return
        self.is_stalled = is_stalled
        if is_stalled:
            logger.warning("the database refuses commits: %s", why)
        else:
            logger.warning("the database takes commits again")
        for listener in self._stall_listeners:
            listener(is_stalled)

    async def _fold(self) -> bool:
        """Copy marks and heads into their rows, a short transaction at a time."""
        loop = asyncio.get_running_loop()
        number, marks, heads = (
            self._number,
            dict(self._unfolded),
            self._heads.take_changed(),
        )
        now = clock.now_us()
        is_folded = False
        try:
            for step in watermarks.fold_steps(
                marks, heads, self.writer, number, now, self._sessions_per_device
            ):
                await loop.run_in_executor(self._executor, step)
                while len(self._queue) > 0 and self._task is asyncio.current_task():
                    await self._commit_next()
            is_folded = True
        except Exception as error:
            # The edge of the process: commits must go on. All is folded next time.
            if isinstance(error, (DatabaseError, InterfaceError)):
                logger.warning("folding waits for the database: %s", error)
            else:
                logger.exception("folding failed, and is tried again")
            await loop.run_in_executor(self._executor, _close_connection)
            return False
        finally:
            if not is_folded:
                self._heads.change_again(heads)
        for key, mark in marks.items():
            if self._unfolded.get(key) == mark:
                del self._unfolded[key]
        return True


def _close_connection() -> None:
    # `connection` is another object on each thread: look it up on the writer's.
    connection.close()
