"""The one pipeline behind every door: gather → one durable commit → tick → acks.

While one commit runs on the writer's thread, the next one grows. What is gathered and
not on disk yet is bounded by its bytes; who may wait for it is told here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import InterfaceError, OperationalError

from .. import counters
from ..devices.sharing import is_shared
from ..history import watermarks
from ..history.heads import Heads
from ..history.journal import Mark, SessionKey, open_writer
from ..history.tail import Tail
from ..history.tick import Tick
from ..protocol import clock
from ..threads import on_database_thread
from .batch import Batch
from .committing import Committer
from .folding import Folding, close_connection
from .gathering import Gathering, Sender
from .heartbeat import Heartbeat

logger = logging.getLogger(__name__)

# How often a database that is away is asked again.
AWAY_SECONDS = 1.0
# For what is written at the end, when the time for draining is over by then.
LAST_SECONDS = 1.0


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
        self._stall_listeners: list[Callable[[bool], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._heart: Heartbeat | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._folding = Folding(heads, self._executor, sessions_per_device)
        self._committer = Committer(
            heads, tail, self._folding, self._executor, self._set_stalled
        )
        self._is_stopping = False
        self.writer = 0
        self.is_stalled = False

    # --- life -------------------------------------------------------------------

    async def start(self) -> None:
        """Open a writer, and take over what earlier ones have left."""
        loop = asyncio.get_running_loop()
        self.writer = await loop.run_in_executor(self._executor, self._open)
        self._folding.start(self.writer)
        self._committer.start(self.writer)
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
        """Commit all that was submitted, fold, and stop. False: time ran out.

        In so many seconds and `LAST_SECONDS`, whatever hangs.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds + LAST_SECONDS

        def left() -> float:
            return max(0.0, until - loop.time())

        self._is_stopping = True
        self._work.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            # Only what the database still refuses: a commit that is cut off may yet
            # reach the disk, so the writer must not count as ended then.
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._heart is not None:
            # Half: who hangs here leaves a moment for the others.
            await asyncio.to_thread(self._heart.stop, left() / 2)
        is_flushed = not self._queue
        if is_flushed:
            ending = loop.create_task(self._end(), name="end of the writer")
            _done, late = await asyncio.wait([ending], timeout=left())
            if late:
                # The next start does what is missing.
                logger.warning("the database does not answer: nothing was folded")
                ending.cancel()
                await asyncio.wait(late)
            else:
                ending.result()
        self._give_up()
        # The writer's thread may hang in a database that says nothing.
        closed = asyncio.wrap_future(self._executor.submit(close_connection))
        await asyncio.wait([closed], timeout=min(LAST_SECONDS, left()))
        self._executor.shutdown(wait=False)
        return is_flushed

    async def _end(self) -> None:
        if await self._folding.fold():
            await asyncio.get_running_loop().run_in_executor(
                self._executor, watermarks.end_writer, self.writer, clock.now_us()
            )

    @property
    def is_stopping(self) -> bool:
        """Whether nothing is taken any more."""
        return self._is_stopping

    @property
    def committed_readings(self) -> int:
        """How many readings are on disk by this process."""
        return self._committer.readings

    def listen(self, listener: Callable[[Tick], None]) -> None:
        """Call `listener` after each durable commit."""
        self._committer.listen(listener)

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
        mark = self.unfolded((device_id, session))
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
                await asyncio.sleep(AWAY_SECONDS)

    def unfolded(self, session: SessionKey) -> Mark | None:
        """How far a session got here; None: nothing of it since the last fold."""
        return self._folding.marks.get(session)

    # --- out --------------------------------------------------------------------

    async def _run(self) -> None:
        while self._queue or not self._is_stopping:
            if not self._queue:
                self._work.clear()
                await self._wait_for_work(self._folding.due_seconds)
            if self._queue:
                if len(self._queue) == 1 and self._gather_seconds:
                    await asyncio.sleep(self._gather_seconds)
                await self._commit_next()
            if not self._folding.due_seconds:
                await self._folding.fold(self._commit_queued)

    async def _wait_for_work(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._work.wait(), seconds)
        except asyncio.TimeoutError:
            return

    async def _commit_queued(self) -> None:
        while self._queue:
            await self._commit_next()

    async def _commit_next(self) -> None:
        gathering = self._current = self._queue.popleft()
        try:
            await self._committer.commit(gathering)
        except asyncio.CancelledError:
            self._queue.appendleft(gathering)
            raise
        except Exception:
            # The edge of the process: a fault of ours must not cover a lost batch.
            logger.exception("a commit failed for good; devices will send it again")
            self._queue.appendleft(gathering)
            self._give_up()
            # Nothing is left to try: a pause would have no end.
            self._set_stalled(False, "")
        else:
            self._release(gathering)
        finally:
            self._current = None

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

    def _set_stalled(self, is_stalled: bool, why: str) -> None:
        if is_stalled == self.is_stalled:
            return
        self.is_stalled = is_stalled
        if is_stalled:
            logger.warning("the database refuses commits: %s", why)
        else:
            logger.warning("the database takes commits again")
        for listener in self._stall_listeners:
            listener(is_stalled)
