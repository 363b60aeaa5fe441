"""Processes that work on one database and may be killed or stopped at any moment.

A parent imports Django once and forks a child for each piece of work, so that a
test can have a hundred fresh processes in seconds. `python -m tests.faults.forks`
is the parent: it takes a line of JSON for each command, and answers with one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from django.db.backends.signals import connection_created

from tests.processes import ROOT, environment

from .switches import Faults

SETTINGS = "tests.faults.settings"


@dataclass(slots=True)
class Child:
    """A process of its own that does one piece of work."""

    parent: Forks
    pid: int
    answer_path: Path

    def kill(self) -> None:
        """SIGKILL, as a power cut would; it may have ended already."""
        # Nobody has waited for it yet: the id is still its own.
        os.kill(self.pid, signal.SIGKILL)

    def wake(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def wait_until_stopped(self) -> None:
        """Return once it is stopped; fail the test if it ends instead."""
        status = self.parent.command("wait_stopped", pid=self.pid)
        if not status["is_stopped"]:
            pytest.fail(f"expected a stopped process, it ended: {status}")

    def wait(self) -> int:
        """Its exit code; −9 for one that was killed."""
        return int(self.parent.command("wait", pid=self.pid)["code"])

    def answer(self) -> Any:
        """What the work returned; fails the test if it failed."""
        code = self.wait()
        if code:
            pytest.fail(f"the work ended with {code}: {self.parent.output}")
        return json.loads(self.answer_path.read_text())


class Forks:
    """The parent, as a context: `with Forks(directory) as forks`."""

    def __init__(
        self, directory: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = directory / "var"
        self.answers = directory / "answers"
        self.log = directory / "forks.log"
        self.faults = Faults(directory / "faults")
        self._variables = dict(variables or {})
        self._count = 0

    def __enter__(self) -> Forks:
        for made in (self.data_dir, self.answers):
            made.mkdir(parents=True, exist_ok=True)
        # Not a pipe: nobody would read it while a command runs.
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=ROOT,
                env=environment(
                    self.data_dir,
                    DJANGO_SETTINGS_MODULE=SETTINGS,
                    FAULTS_DIR=str(self.faults.directory),
                    # A fork has one thread; numpy's would be missing in it.
                    OPENBLAS_NUM_THREADS="1",
                    **self._variables,
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    @property
    def output(self) -> str:
        """What all children have logged so far."""
        return self.log.read_text(errors="replace")

    def start(self, work: str, **arguments: Any) -> Child:
        """Begin a piece of work (a function of works.py) in a process of its own."""
        self._count += 1
        answer_path = self.answers / f"{self._count}.json"
        answered = self.command(
            "fork", work=work, arguments=arguments, answer=str(answer_path)
        )
        return Child(self, answered["pid"], answer_path)

    def run(self, work: str, **arguments: Any) -> Any:
        """Do a piece of work to its end, and return its answer."""
        return self.start(work, **arguments).answer()

    def command(self, name: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": name, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            pytest.fail(f"the parent of the forks ended: {self.output}")
        answer: dict[str, Any] = json.loads(line)
        return answer


# --- in the parent's process ------------------------------------------------------


def _main() -> None:
    import django  # Only this process is set up by these settings.

    django.setup()
    from tests.faults import works  # After the set-up: it imports models.

    connection_created.connect(_do_not_sync)
    pids: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any]
        if asked["command"] == "fork":
            pid = os.fork()
            if not pid:
                _work(getattr(works, asked["work"]), asked)
            pids.add(pid)
            answer = {"pid": pid}
        elif asked["command"] == "wait_stopped":
            answer = _wait_stopped(asked["pid"], pids)
        else:
            pids.discard(asked["pid"])
            _, status = os.waitpid(asked["pid"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        print(json.dumps(answer), flush=True)
    for pid in pids:
        # What a test that failed has left behind.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _do_not_sync(connection: Any, **kwargs: Any) -> None:
    """The power stays on: what a process has written is there when it is killed."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous = OFF")


def _wait_stopped(pid: int, pids: set[int]) -> dict[str, Any]:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"is_stopped": True}
    pids.discard(pid)
    return {"is_stopped": False, "code": os.waitstatus_to_exitcode(status)}


def _work(work: Any, asked: dict[str, Any]) -> None:
    """In the child: never returns."""
    code = 1
    try:
        # stdout is the parent's channel to the test.
        os.dup2(2, 1)
        answer = work(**asked["arguments"])
        # Whole or not at all.
        whole = Path(f"{asked['answer']}.new")
        whole.write_text(json.dumps(answer))
        whole.replace(asked["answer"])
        code = 0
    except BaseException:
        # The edge of the process: the test reads the log.
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _main()
