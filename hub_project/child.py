"""One child of the supervisor: started, watched, started again, replaced, ended.

A child is `manage.py` with arguments of its own, a new interpreter, so that a restart
runs the code that is there then. It speaks with its parent on a line of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import child_line
from .child_line import Cut, ParentLine

logger = logging.getLogger(__name__)

# Looks at a child that says nothing, a second apart. Counted and not measured: when
# this process sleeps as well, nobody is late.
QUIET_LOOKS = 4
# A machine that swaps, or a debugger, may hold up a worker for some tens of seconds;
# after two minutes all its devices are elsewhere, and it holds what they need.
SILENT_LOOKS = 15
HUNG_LOOKS = 120
# A start loads all devices and what is in no block yet.
STARTING_LOOKS = 300
# One that lived so long did not die of its start: the next one begins at once.
SETTLED_SECONDS = 30.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
# The call or the installation is wrong: the same again would end the same way.
WRONG_CALL = 2
NOT_STARTED = 1


def restart_delay(deaths: int) -> float:
    """How long to wait before the next start, after so many quick deaths in a row.

    The first death may be anything (somebody killed it): it is mended at once.
    """
    if deaths <= 1:
        return 0.0
    # The exponent is bounded too: a huge one is no float.
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(deaths - 2, 16))


def how_it_ended(code: int) -> str:
    """An exit code as Popen has it, in words."""
    if code >= 0:
        return f"ended with {code}"
    known = {each.value: each.name for each in signal.Signals}
    return f"was killed by {known.get(-code, f'signal {-code}')}"


@dataclass(frozen=True, slots=True)
class Program:
    """What a child runs; `{line}` in an argument stands for its end of the line."""

    name: str
    manage: Path
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


class Child:
    """One program, kept running until it is retired. Belongs to the event loop.

    stop_seconds: how long it may take to end when it is asked to; then it is killed.
    on_change: called when it has become ready, and when it takes no more connections.
    """

    def __init__(
        self, program: Program, stop_seconds: float, on_change: Callable[[], None]
    ) -> None:
        self.name = program.name
        self.is_ready = asyncio.Event()
        # Its first life could not begin, because the call is wrong.
        self.wrong_call = asyncio.Event()
        self.was_killed = False
        # It has said that it takes no more connections.
        self.is_leaving = False
        # Given in this life; what it said last of how many it has, and has taken.
        self._given = 0
        self._open = 0
        self._taken = 0
        self._program = program
        self._stop_seconds = stop_seconds
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._line: ParentLine | None = None
        self._retired = asyncio.Event()
        # A pause before the next start is over.
        self._woken = asyncio.Event()
        # One that is being replaced ends because it was told to.
        self._is_replaced = False
        self._has_been_ready = False
        self._silent_looks = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of its process, while it has one."""
        return self._process.pid if self._process is not None else None

    @property
    def is_open(self) -> bool:
        """Whether it takes connections."""
        return self._line is not None and self.is_ready.is_set() and not self.is_leaving

    @property
    def is_quiet(self) -> bool:
        """Whether it has said nothing for longer than it should."""
        return self._silent_looks >= QUIET_LOOKS

    @property
    def connections(self) -> int:
        """How many it has, with those that are on their way to it."""
        return self._open + self._given - self._taken

    def give(self, connection: socket.socket) -> bool:
        """Hand over a connection; False: it takes none."""
        if self._line is None or not self._line.give(connection):
            return False
        self._given += 1
        return True

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._keep(), name=self.name)

    async def replace(self, ready_seconds: float) -> bool:
        """End this process and start a new one; False if that does not get ready."""
        self._is_replaced = self._process is not None
        self._set_unready()
        self._woken.set()
        await self._end_process()
        self.was_killed = False  # That says how it ended for good.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.is_ready.wait(), ready_seconds)
        return self.is_ready.is_set()

    async def retire(self, more_seconds: float = 0.0) -> None:
        """End it for good, in its own time (and so much more of it) or by force."""
        self._stop_seconds += more_seconds
        self._retired.set()
        self._woken.set()
        await self._end_process()
        if self._task is not None:
            await self._task

    def kill(self) -> None:
        """End it for good, at once."""
        self._retired.set()
        self._woken.set()
        self._kill_process()

    def look(self) -> None:
        """Once a second: does it still say that it lives?"""
        if self._process is None or self._retired.is_set():
            return
        self._silent_looks += 1
        if self._silent_looks == SILENT_LOOKS and self.is_ready.is_set():
            logger.warning(
                "%s (pid %s) has not answered for %s s; it is given %s s",
                *(self.name, self.pid, SILENT_LOOKS, HUNG_LOOKS),
            )
        most = HUNG_LOOKS if self.is_ready.is_set() else STARTING_LOOKS
        if self._silent_looks == most:
            told = "%s (pid %s) has not answered for %s s and is killed"
            logger.error(told, self.name, self.pid, most)
            self._kill_process()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while not self._retired.is_set():
            began = loop.time()
            try:
                code = await self._live()
                how = how_it_ended(code)
            except (OSError, RuntimeError) as error:
                # No process, descriptor or thread to be had: that may last a little.
                # If it runs nevertheless, its line is cut, and it ends.
                code, how = NOT_STARTED, f"cannot be started ({error})"
                deaths = max(deaths, 1)
            if self._retired.is_set():
                return
            if self._is_replaced:
                self._is_replaced = False
                deaths = 0
                continue
            if code == WRONG_CALL and not self._has_been_ready:
                # It has said itself what is wrong.
                self.wrong_call.set()
                return
            is_settled = loop.time() - began >= SETTLED_SECONDS
            deaths = 1 if is_settled else deaths + 1
            await self._pause(how, restart_delay(deaths))

    async def _pause(self, how: str, seconds: float) -> None:
        logger.error(
            "%s %s; it is started again %s",
            *(self.name, how, f"in {seconds:g} s" if seconds else "at once"),
        )
        self._woken.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    async def _live(self) -> int:
        """One life of it, from its start to its end; its exit code."""
        self._silent_looks = self._given = self._open = self._taken = 0
        self.is_leaving = False
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await self._spawn(theirs.fileno())
            loop = asyncio.get_running_loop()
            try:
                self._process = process
                self._line = ParentLine(ours)
                loop.add_reader(ours.fileno(), self._listen, self._line)
                if self._retired.is_set():
                    # Told to end while it was being started.
                    process.terminate()
                return await process.wait()
            finally:
                loop.remove_reader(ours.fileno())
                self._process = None
                self._line = None
                self._set_unready()

    async def _spawn(self, number: int) -> asyncio.subprocess.Process:
        program = self._program
        arguments = [each.replace("{line}", str(number)) for each in program.arguments]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, str(program.manage), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(number,),
            env={**os.environ, **program.variables},
            # Ctrl+C in a terminal is for the parent, which tells them in order.
            start_new_session=True,
        )

    def _listen(self, heard: ParentLine) -> None:
        try:
            words = heard.hear()
        except Cut:
            # As its death does; waiting for that says more.
            asyncio.get_running_loop().remove_reader(heard.fileno())
            self._line = None
            return
        if self._silent_looks >= SILENT_LOOKS and self.is_ready.is_set():
            logger.warning("%s (pid %s) answers again", self.name, self.pid)
        self._silent_looks = 0
        for word in words:
            self._take(word)

    def _take(self, word: child_line.Word) -> None:
        if word.what == child_line.ALIVE:
            self._open, self._taken = word.connections, word.taken
        elif word.what == child_line.LEAVING:
            self.is_leaving = True
            self._on_change()
        elif word.what == child_line.READY and not self._is_replaced:
            self._has_been_ready = True
            self.is_ready.set()
            self._on_change()

    def _set_unready(self) -> None:
        self.is_ready.clear()
        self._on_change()

    async def _end_process(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end in its time."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._stop_seconds)
        except asyncio.TimeoutError:
            told = "%s (pid %s) did not end within %g s and is killed"
            logger.error(told, self.name, process.pid, self._stop_seconds)
            self.was_killed = True
            self._kill_process()
            await process.wait()

    def _kill_process(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
