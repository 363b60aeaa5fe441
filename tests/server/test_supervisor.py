"""hub_project.supervisor: children start, share connections and end in order.

In a process of its own, with small programs as its children.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, wait_until

PATIENCE_SECONDS = 90

# Answers each connection with its name. `ending` is what SIGTERM does.
PROGRAM = """
import os, pathlib, signal, sys, time
from hub_project.child_line import ChildLine, Cut
line, name, directory = ChildLine(int(sys.argv[1])), sys.argv[2], sys.argv[3]
def tell(what):
    with open(directory + "/events", "a") as events:
        events.write(f"{name} {what} {os.getpid()}\\n")
taken = []
def serve():
    while given := line.take():
        for each in given:
            each.sendall(name.encode())
        taken.extend(given)
def end(*_):
    line.say_leaving()
    time.sleep(0.1)
    try:
        serve()
    except Cut:
        pass
    tell("ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
tell("starts")
line.say_ready()
while True:
    line.say_alive(len(taken))
    try:
        serve()
    except Cut:
        end()
    time.sleep(0.01)
"""
STUBBORN = PROGRAM.replace("SIGTERM, end", 'SIGTERM, lambda *_: tell("stays")')
# Only its first start succeeds.
ONCE = PROGRAM.replace(
    'tell("starts")',
    """tell("starts")
if open(directory + "/events").read().count(name + " starts") > 1: sys.exit(1)""",
)
WRONG = "raise SystemExit(2)"


class Supervised:
    """The process of a supervisor with its children."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.stop_seconds = PATIENCE_SECONDS
        self.ready_seconds = PATIENCE_SECONDS
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *workers: str, jobs: str = PROGRAM) -> None:
        """With these programs; wait until all are ready."""
        for number, text in enumerate((jobs, *workers)):
            (self.directory / f"program-{number}.py").write_text(text)
        names = [f"program-{number}.py" for number in range(len(workers) + 1)]
        program = [sys.executable, "-m", "tests.server.supervised"]
        limits = [str(self.stop_seconds), str(self.ready_seconds)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*program, *limits, str(self.directory), *names],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def started(self, *workers: str, jobs: str = PROGRAM) -> None:
        """`start`, and wait until all are ready."""
        self.start(*workers, jobs=jobs)
        self.until("all ready")

    @property
    def events(self) -> list[str]:
        """What the children did, in order, without their pids."""
        lines = self._lines()
        return [
            line.rsplit(" ", 1)[0] if line[-1].isdigit() else line for line in lines
        ]

    def pid_of(self, name: str) -> int:
        """Of the newest start of a child."""
        return [
            int(line.rsplit(" ", 1)[1])
            for line in self._lines()
            if line.startswith(f"{name} starts")
        ][-1]

    def until(self, event: str, times: int = 1) -> None:
        wait_until(lambda: self.events.count(event) >= times, f"{times} x {event}")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_SECONDS)

    def connect(self) -> socket.socket:
        port = int((self.directory / "address").read_text())
        return socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)

    def told(self) -> str:
        return self.log.read_text()

    def _lines(self) -> list[str]:
        path = self.directory / "events"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait(PATIENCE_SECONDS)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # What nobody waits for any more is a zombie until somebody does.
    return state != "Z"


def all_gone(pids: list[int]) -> Callable[[], bool]:
    return lambda: not any(is_alive(pid) for pid in pids)


class TestConnections:
    def test_workers_get_equally_many(self, supervised: Supervised) -> None:
        supervised.started(PROGRAM, PROGRAM, PROGRAM)
        peers = [supervised.connect() for _ in range(30)]
        answers = Counter(peer.recv(100) for peer in peers)
        assert answers == dict.fromkeys((b"worker-1", b"worker-2", b"worker-3"), 10)
        for peer in peers:
            peer.close()

    def test_one_that_was_killed_gets_them_when_it_is_back(
        self, supervised: Supervised
    ) -> None:
        supervised.started(PROGRAM, PROGRAM)
        os.kill(supervised.pid_of("worker-1"), signal.SIGKILL)
        supervised.until("worker-1 starts", 2)
        answers: Counter[bytes] = Counter()
        peers = []
        # The other one has answered some; this one begins with none.
        while answers[b"worker-1"] < 5:
            peers.append(supervised.connect())
            answers[peers[-1].recv(100)] += 1
        assert set(answers) <= {b"worker-1", b"worker-2"}
        for peer in peers:
            peer.close()

    def test_who_comes_while_no_worker_is_there_is_served_later(
        self, supervised: Supervised
    ) -> None:
        supervised.started(PROGRAM)
        os.kill(supervised.pid_of("worker-1"), signal.SIGKILL)
        wait_until(lambda: "was killed" in supervised.told(), "it is noticed")
        with supervised.connect() as peer:
            assert peer.recv(100) == b"worker-1"


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_workers_end_first_and_then_the_jobs(
        self, supervised: Supervised, number: signal.Signals
    ) -> None:
        supervised.started(PROGRAM, PROGRAM)
        supervised.signal(number)
        assert supervised.ended() == 0
        *before, first, second, last = supervised.events
        assert {first, second} == {"worker-1 ends", "worker-2 ends"}
        assert last == "jobs ends"
        assert not any(event.endswith("ends") for event in before)
        with pytest.raises(ConnectionRefusedError):
            supervised.connect()

    def test_one_that_hangs_keeps_nothing_open_and_is_killed(
        self, supervised: Supervised
    ) -> None:
        supervised.stop_seconds = 3
        supervised.started(PROGRAM, PROGRAM)
        os.kill(supervised.pid_of("worker-2"), signal.SIGSTOP)
        supervised.signal(signal.SIGTERM)
        supervised.until("worker-1 ends")
        with pytest.raises(ConnectionRefusedError):
            supervised.connect()
        assert supervised.ended() == 1
        assert "jobs ends" in supervised.events
        assert "worker-2 (pid " in supervised.told()

    def test_second_interrupt_ends_the_waiting(self, supervised: Supervised) -> None:
        supervised.started(STUBBORN)
        pid = supervised.pid_of("worker-1")
        supervised.signal(signal.SIGINT)
        supervised.until("worker-1 stays")
        supervised.signal(signal.SIGINT)
        assert supervised.ended() == 0
        assert not is_alive(pid)

    def test_children_of_a_parent_that_was_killed_end(
        self, supervised: Supervised
    ) -> None:
        supervised.started(PROGRAM, PROGRAM)
        names = ("worker-1", "worker-2", "jobs")
        pids = [supervised.pid_of(name) for name in names]
        supervised.signal(signal.SIGKILL)
        supervised.ended()
        with pytest.raises(ConnectionRefusedError):
            supervised.connect()
        for name in names:
            supervised.until(f"{name} ends")
        wait_until(all_gone(pids), "all are gone")

    @pytest.mark.parametrize("place", ["worker", "jobs"])
    def test_call_that_is_wrong_ends_it_all_with_2(
        self, supervised: Supervised, place: str
    ) -> None:
        if place == "worker":
            supervised.start(PROGRAM, WRONG)
        else:
            supervised.start(PROGRAM, jobs=WRONG)
        assert supervised.ended() == 2
        assert "started again" not in supervised.told()


class TestRollingRestart:
    def test_one_after_another_is_replaced(self, supervised: Supervised) -> None:
        supervised.started(PROGRAM, PROGRAM)
        names = ("worker-1", "worker-2", "jobs")
        before = [supervised.pid_of(name) for name in names]
        supervised.signal(signal.SIGHUP)
        supervised.until("jobs starts", 2)
        events = supervised.events
        assert events[events.index("all ready") + 1 :] == [
            *("worker-1 ends", "worker-1 starts"),
            *("worker-2 ends", "worker-2 starts"),
            *("jobs ends", "jobs starts"),
        ]
        assert not set(before) & {supervised.pid_of(name) for name in names}
        wait_until(
            lambda: "all processes were replaced" in supervised.told(), "it says so"
        )

    def test_who_comes_meanwhile_is_served(self, supervised: Supervised) -> None:
        supervised.started(PROGRAM, PROGRAM)
        supervised.signal(signal.SIGHUP)
        while supervised.events.count("jobs starts") < 2:
            with supervised.connect() as peer:
                assert peer.recv(100) in (b"worker-1", b"worker-2")

    def test_one_that_does_not_come_up_ends_it(self, supervised: Supervised) -> None:
        supervised.ready_seconds = 3
        supervised.started(ONCE, PROGRAM)
        other = supervised.pid_of("worker-2")
        supervised.signal(signal.SIGHUP)
        told = "worker-1 did not get ready; the others are not replaced"
        wait_until(lambda: told in supervised.told(), "it says so")
        assert supervised.pid_of("worker-2") == other
        with supervised.connect() as peer:
            assert peer.recv(100) == b"worker-2"
        supervised.signal(signal.SIGTERM)
        assert supervised.ended() == 0

    def test_end_comes_before_it(self, supervised: Supervised) -> None:
        supervised.started(PROGRAM, PROGRAM, PROGRAM)
        supervised.signal(signal.SIGHUP)
        supervised.until("worker-1 ends")
        supervised.signal(signal.SIGTERM)
        assert supervised.ended() == 0
        assert "worker-3 starts" in supervised.events
        assert supervised.events.count("worker-3 starts") == 1

    def test_asked_for_again_meanwhile_it_is_done_again(
        self, supervised: Supervised
    ) -> None:
        supervised.started(PROGRAM)
        supervised.signal(signal.SIGHUP)
        supervised.until("worker-1 ends")
        supervised.signal(signal.SIGHUP)
        supervised.until("worker-1 starts", 3)
        supervised.until("jobs starts", 3)
