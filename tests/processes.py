"""Real processes for tests: the hub on a free port, and waiting for things to be so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90.0
PASSED_ON = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONDEVMODE", "TMPDIR")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(
    is_true: Callable[[], bool], what: str, seconds: float = START_SECONDS
) -> None:
    """Return as soon as `is_true()`; fail the test if it does not come true."""
    until = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > until:
            pytest.fail(f"{what} within {seconds} s")
        time.sleep(0.02)


def is_open(port: int) -> bool:
    """Whether something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def missing(program: str) -> None:
    """Skip, or fail on CI, where .ci/run has installed everything."""
    message = f"{program} is not installed (see .ci/run)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """The variables of a hub of its own: nothing of the tests' leaks in."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # What a test waits for must not stay in a buffer.
    kept["PYTHONUNBUFFERED"] = "1"
    return {**kept, "HUB_DATA_DIR": str(data_dir), **variables}


def manage(
    data_dir: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one `manage.py` command to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(data_dir, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


class HubProcess:
    """A hub in a process of its own, on a free port and in its own data directory.

    command: `("serve", "--setup")` for uvicorn, `("runserver", "--noreload")`, which
    needs a database that is set up, for Daphne. Output goes to a file, so that it
    never blocks.
    """

    def __init__(
        self,
        data_dir: Path,
        *command: str,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = command or ("serve", "--setup")
        self.variables = {"HUB_PORT": str(self.port), **(variables or {})}
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    def start(self) -> HubProcess:
        """Start, and return once it is ready."""
        with self.log.open("ab") as log:
            self._said_before = len(self.output)
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", *self.command],
                cwd=ROOT,
                env=environment(self.data_dir, **self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_up, "the hub is up")
        if self.process.poll() is not None:
            pytest.fail(f"the hub ended with {self.process.returncode}: {self.output}")
        return self

    def stop(self) -> int:
        """SIGTERM, and the exit code. Nothing if it has ended already."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(START_SECONDS)

    def end(self) -> None:
        """Kill it if it still runs: for the end of a test."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> str:
        """All that it has said so far, on both streams."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def manage(self, *arguments: str) -> str:
        """Run another `manage.py` command on the same data; returns its output."""
        done = manage(self.data_dir, *arguments, **self.variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            return True
        # It says so a moment after it listens.
        said = self.output[self._said_before :]
        is_told = self.command[0] != "serve" or "Ctrl+C" in said
        return is_told and is_open(self.port)


def fetch(url: str, **headers: str) -> tuple[int, Message, bytes]:
    """GET: status, headers and body, whatever the status."""
    request = Request(url, headers=headers)
    try:
        with urlopen(request, timeout=30) as response:
            return response.status, response.headers, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read()
