"""The parent of several processes of a hub: starts, keeps and ends them in order.

It accepts the connections of all workers, and hands each to the one that has fewest.
Why not uvicorn's own: docs/adr/0010-own-supervisor.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

from .acceptor import Acceptor
from .child import WRONG_CALL, Child, Program

logger = logging.getLogger(__name__)

# How often it looks whether the children still live.
LOOK_SECONDS = 1.0


class Supervisor:
    """All children of a hub: its workers, and then its jobs.

    listener: the public socket, bound. on_started is called once all are ready for
    the first time.
    """

    def __init__(
        self,
        listener: socket.socket,
        workers: Sequence[Program],
        jobs: Program,
        *,
        backlog: int,
        worker_stop_seconds: float,
        jobs_stop_seconds: float,
        ready_seconds: float = 120.0,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        self._acceptor = Acceptor(listener, backlog, self._give)
        self._workers = [
            Child(each, worker_stop_seconds, self._on_change) for each in workers
        ]
        self._jobs = Child(jobs, jobs_stop_seconds, self._on_change)
        # The worker that is asked first, of those with equally many connections.
        self._next = 0
        self._worker_stop_seconds = worker_stop_seconds
        self._ready_seconds = ready_seconds
        self._on_started = on_started
        self._is_started = False
        self._stopping = asyncio.Event()
        self._rolling: asyncio.Task[None] | None = None
        self._is_roll_wanted = False

    async def run(self) -> int:
        """Until a signal ends it all; returns the code of exit."""
        with self._signals():
            for child in self._children:
                child.start()
            loop = asyncio.get_running_loop()
            looking = loop.create_task(self._look(), name="looking")
            wrong = [
                loop.create_task(each.wrong_call.wait()) for each in self._children
            ]
            stopping = loop.create_task(self._stopping.wait())
            try:
                await asyncio.wait(
                    [*wrong, stopping], return_when=asyncio.FIRST_COMPLETED
                )
                is_wrong = not self._stopping.is_set()
                self._stopping.set()
                await self._stop()
            finally:
                for task in (looking, stopping, *wrong):
                    task.cancel()
        if is_wrong:
            return WRONG_CALL
        return int(any(child.was_killed for child in self._children))

    @property
    def is_started(self) -> bool:
        """Whether all have been ready at once."""
        return self._is_started

    @property
    def _children(self) -> list[Child]:
        return [*self._workers, self._jobs]

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self._stopping.set,
            signal.SIGINT: self._on_interrupt,
            signal.SIGHUP: self._on_hangup,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _on_interrupt(self) -> None:
        """Ctrl+C; a second one ends the waiting."""
        if self._stopping.is_set():
            for child in self._children:
                child.kill()
        self._stopping.set()

    def _on_hangup(self) -> None:
        self._is_roll_wanted = True
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.get_running_loop().create_task(
                self._roll(), name="rolling restart"
            )

    def _on_change(self) -> None:
        """A child has become ready, or is leaving."""
        is_open = any(child.is_open for child in self._workers)
        if self._stopping.is_set():
            # All were told at once: one that hangs is not waited for.
            if not is_open or any(child.is_leaving for child in self._workers):
                self._acceptor.close()
        elif is_open:
            self._acceptor.open()
        are_ready = all(child.is_ready.is_set() for child in self._children)
        if are_ready and not self._is_started:
            self._is_started = True
            self._on_started()

    def _give(self, connection: socket.socket) -> bool:
        """Hand it to the worker with the fewest connections that takes it."""
        self._next = (self._next + 1) % len(self._workers)
        workers = self._workers[self._next :] + self._workers[: self._next]
        takers = [child for child in workers if child.is_open]
        # One that hangs gets no more, as long as another is there.
        takers.sort(key=lambda child: (child.is_quiet, child.connections))
        return any(child.give(connection) for child in takers)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for child in self._children:
                child.look()

    async def _roll(self) -> None:
        """Replace one child after another, while the others work."""
        while self._is_roll_wanted and not self._stopping.is_set():
            self._is_roll_wanted = False
            logger.info("all processes are replaced, one after another")
            for child in self._children:
                if self._stopping.is_set():
                    return
                if not await child.replace(self._ready_seconds):
                    if not self._stopping.is_set():
                        logger.error(
                            "%s did not get ready; the others are not replaced",
                            child.name,
                        )
                    return
                logger.info("%s was replaced (pid %s)", child.name, child.pid)
            logger.info("all processes were replaced")

    async def _stop(self) -> None:
        """Workers first: what they commit last is still sealed by somebody later."""
        if self._rolling is not None:
            self._rolling.cancel()
            await asyncio.wait([self._rolling])
        # They listen on for a moment, so that who asks hears that they are leaving.
        loop = asyncio.get_running_loop()
        until = loop.time() + self._worker_stop_seconds
        ends = await asyncio.gather(
            *(child.retire() for child in self._workers), return_exceptions=True
        )
        for child, end in zip(self._workers, ends, strict=True):
            if isinstance(end, BaseException):
                # The others and the jobs still have to end in order.
                logger.error("%s was not kept to its end", child.name, exc_info=end)
        self._acceptor.close()
        # What the workers did not need of their time.
        await self._jobs.retire(max(0.0, until - loop.time()))
