"""hub_project.child: a program is kept running; with real, small programs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_project import child as children
from hub_project.child import Child, Program, how_it_ended, restart_delay
from tests.processes import ROOT

PATIENCE_SECONDS = 90
START = """
import pathlib, signal, sys, time
from hub_project.child_line import ChildLine, Cut
line = ChildLine(int(sys.argv[1]))
starts = pathlib.Path(sys.argv[2])
with starts.open("a") as file:
    file.write("start\\n")
start = len(starts.read_text().splitlines())
"""
# Says that it lives until SIGTERM ends it, and closes what it is given.
WORK = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
line.say_ready()
taken = 0
while True:
    line.say_alive(taken)
    try:
        taken += len(line.take())
    except Cut:
        sys.exit(0)
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def only_the_hub_speaks() -> Iterator[None]:
    # asyncio warns of a child whose end its transport has noticed before its watcher.
    theirs = logging.getLogger("asyncio")
    level = theirs.level
    theirs.setLevel(logging.ERROR)
    yield
    theirs.setLevel(level)


@pytest.mark.parametrize(
    "deaths, seconds",
    [(1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (7, 16.0), (8, 30.0), (10**9, 30.0)],
)
def test_pause_before_a_start_grows_with_quick_deaths(
    deaths: int, seconds: float
) -> None:
    assert restart_delay(deaths) == seconds


@pytest.mark.parametrize(
    "code, words",
    [
        (0, "ended with 0"),
        (3, "ended with 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-63, "was killed by signal 63"),
    ],
)
def test_end_is_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words


class Kept:
    """A child that runs a small program, and what became of it."""

    def __init__(self, directory: Path, program: str, stop_seconds: float) -> None:
        script = directory / "program.py"
        script.write_text(START + program)
        self.starts_file = directory / "starts"
        self.changes = 0
        self.child = Child(
            Program(
                "worker-1",
                script,
                ("{line}", str(self.starts_file)),
                {"PYTHONPATH": str(ROOT)},
            ),
            stop_seconds,
            self._on_change,
        )

    def _on_change(self) -> None:
        self.changes += 1

    @property
    def starts(self) -> int:
        if not self.starts_file.exists():
            return 0
        return len(self.starts_file.read_text().splitlines())

    async def ready(self) -> int:
        """Wait for it, and return its pid."""
        await asyncio.wait_for(self.child.is_ready.wait(), PATIENCE_SECONDS)
        assert self.child.pid is not None
        return self.child.pid


async def comes_true(is_true: Callable[[], bool]) -> None:
    async def look() -> None:
        while not is_true():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), PATIENCE_SECONDS)


@contextlib.asynccontextmanager
async def kept(
    directory: Path, program: str = WORK, stop_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[Kept]:
    made = Kept(directory, program, stop_seconds)
    made.child.start()
    try:
        yield made
    finally:
        made.child.kill()
        await made.child.retire()


async def test_one_that_was_killed_is_started_again_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept(tmp_path) as made:
        first = await made.ready()
        os.kill(first, signal.SIGKILL)
        await comes_true(lambda: not made.child.is_ready.is_set())
        assert await made.ready() != first
    assert "worker-1 was killed by SIGKILL; it is started again at once" in caplog.text


async def test_one_that_dies_at_once_is_started_ever_more_seldom(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(children, "LONGEST_DELAY_SECONDS", 0.03)
    async with kept(tmp_path, "sys.exit(7)") as made:
        await comes_true(lambda: made.starts >= 6)
    told = [line.partition("; it is started again ")[2] for line in caplog.messages]
    assert told[:5] == ["at once", "in 0.01 s", "in 0.02 s", "in 0.03 s", "in 0.03 s"]
    assert "worker-1 ended with 7" in caplog.text


async def test_one_that_lived_for_long_does_not_wait(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(children, "SETTLED_SECONDS", 0.0)
    async with kept(tmp_path, "sys.exit(7)") as made:
        await comes_true(lambda: made.starts >= 4)
    assert {message.rpartition("again ")[2] for message in caplog.messages} == {
        "at once"
    }


async def test_call_that_is_wrong_is_not_repeated(tmp_path: Path) -> None:
    async with kept(tmp_path, "sys.exit(2)") as made:
        await asyncio.wait_for(made.child.wrong_call.wait(), PATIENCE_SECONDS)
        assert made.starts == 1


async def test_two_after_it_has_been_ready_is_a_death_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 0.01)
    program = "line.say_ready()\nline.say_alive()\ntime.sleep(0.05)\nsys.exit(2)"
    async with kept(tmp_path, program) as made:
        await comes_true(lambda: made.starts >= 2)
        assert not made.child.wrong_call.is_set()


async def test_one_that_cannot_be_started_is_tried_again(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 0.01)
    python = sys.executable
    # As while it is being replaced: the interpreter is not there.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    async with kept(tmp_path) as made:
        await comes_true(lambda: len(caplog.messages) >= 3)
        assert not made.child.wrong_call.is_set()
        monkeypatch.setattr(sys, "executable", python)
        await made.ready()
    told = "worker-1 cannot be started ([Errno 2] "
    assert all(message.startswith(told) for message in caplog.messages)
    assert caplog.messages[0].endswith("; it is started again in 0.01 s")


@pytest.mark.parametrize(
    "error", [BlockingIOError(11, "no process"), RuntimeError("no thread")]
)
async def test_start_that_fails_once_is_mended(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 0.01)
    spawn = asyncio.create_subprocess_exec
    errors = [error]

    async def fail_once(*args: Any, **options: Any) -> asyncio.subprocess.Process:
        if errors:
            raise errors.pop()
        return await spawn(*args, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fail_once)
    async with kept(tmp_path) as made:
        await made.ready()
    assert not errors


async def test_one_that_cannot_be_started_can_be_retired(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    async with kept(tmp_path) as made:
        await comes_true(lambda: "cannot be started" in caplog.text)
        await made.child.retire()
        assert not made.child.was_killed


async def test_replacing_ends_it_and_starts_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept(tmp_path) as made:
        first = await made.ready()
        assert await made.child.replace(PATIENCE_SECONDS)
        assert made.child.pid not in (None, first)
        assert made.child.is_open
    assert caplog.messages == []


async def test_replacement_that_does_not_get_ready_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 60.0)
    program = "if start > 1: sys.exit(1)" + WORK
    async with kept(tmp_path, program) as made:
        await made.ready()
        assert not await made.child.replace(0.5)
        assert not made.child.is_open


async def test_replacing_one_that_waits_for_its_next_start_begins_it_now(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 3_600.0)
    monkeypatch.setattr(children, "LONGEST_DELAY_SECONDS", 3_600.0)
    program = "if start <= 2: sys.exit(1)" + WORK
    async with kept(tmp_path, program) as made:
        await comes_true(lambda: "in 3600 s" in caplog.text)
        assert await made.child.replace(PATIENCE_SECONDS)


async def test_one_that_does_not_end_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = WORK.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    async with kept(tmp_path, program, stop_seconds=0.2) as made:
        pid = await made.ready()
        await made.child.retire()
        assert made.child.was_killed
    assert f"worker-1 (pid {pid}) did not end within 0.2 s and is killed" in caplog.text


async def test_one_that_is_retired_stays_away(tmp_path: Path) -> None:
    async with kept(tmp_path) as made:
        await made.ready()
        await made.child.retire()
        assert (made.child.pid, made.child.was_killed) == (None, False)
        assert made.starts == 1


async def test_one_that_is_retired_while_it_starts_ends(tmp_path: Path) -> None:
    async with kept(tmp_path) as made:
        await made.child.retire()
        assert made.child.pid is None


class TestHanging:
    async def test_one_that_is_stopped_for_a_while_goes_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with kept(tmp_path) as made:
            pid = await made.ready()
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.1)  # What it had said is heard.
            for _ in range(children.HUNG_LOOKS - 1):
                made.child.look()
            assert made.child.is_quiet
            assert "has not answered for 15 s; it is given 120 s" in caplog.text
            os.kill(pid, signal.SIGCONT)
            await comes_true(lambda: "answers again" in caplog.text)
            assert made.child.pid == pid
            assert not made.child.is_quiet

    async def test_one_that_hangs_for_long_is_killed_and_started_again(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with kept(tmp_path) as made:
            pid = await made.ready()
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.1)
            for _ in range(children.HUNG_LOOKS):
                made.child.look()
            await comes_true(lambda: made.child.pid not in (None, pid))
            await made.ready()
        assert "has not answered for 120 s and is killed" in caplog.text

    async def test_a_start_may_take_longer(self, tmp_path: Path) -> None:
        async with kept(tmp_path, "time.sleep(3_600)") as made:
            await comes_true(lambda: made.starts == 1)
            for _ in range(children.STARTING_LOOKS - 1):
                made.child.look()
            await asyncio.sleep(0.1)
            assert made.starts == 1
            made.child.look()
            await comes_true(lambda: made.starts == 2)


class TestConnections:
    async def test_it_takes_them_when_it_is_ready_and_counts_them(
        self, tmp_path: Path
    ) -> None:
        one, other = socket.socketpair()
        with one, other:
            async with kept(tmp_path) as made:
                assert not made.child.give(one)
                await made.ready()
                assert made.child.is_open
                assert made.child.give(one)
                assert made.child.connections == 1
                # It says itself that it has taken it, and that it is still there.
                await comes_true(lambda: made.child._taken == 1)
                assert made.child.connections == 1

    async def test_one_that_is_leaving_takes_none(self, tmp_path: Path) -> None:
        program = WORK.replace("taken = 0", "taken = 0; line.say_leaving()")
        async with kept(tmp_path, program) as made:
            await made.ready()
            await comes_true(lambda: not made.child.is_open)
            assert made.changes >= 2
            assert made.child.is_ready.is_set()
