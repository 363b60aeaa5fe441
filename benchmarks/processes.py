"""The processes of a benchmark: a hub of its own, generators, and what they take."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 1.0
STORED = (
    "SELECT (SELECT COALESCE(SUM(count), 0) FROM telemetry_journal)"
    " + (SELECT COALESCE(SUM(count), 0) FROM telemetry_block"
    " WHERE resolution_seconds = 0)"
)

Query = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Usage:
    """A process at one moment: CPU seconds used so far, and memory in KiB."""

    at: float
    cpu_seconds: float
    rss_kib: int

    def cpu_since(self, before: Usage) -> float:
        """CPU between two moments, as a part of one core."""
        return (self.cpu_seconds - before.cpu_seconds) / (self.at - before.at)


def usage(pid: int) -> Usage:
    """What /proc says of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return Usage(
        at=time.monotonic(),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
        rss_kib=int(rss.split()[1]),
    )


@dataclass
class Hub:
    """A running hub, and its database file."""

    port: int
    pid: int
    data_dir: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def device_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/device"

    @property
    def live_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/live"

    def manage(self, *arguments: str) -> str:
        """Run a `manage.py` command of this hub; return what it printed."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def create_devices(self, count: int, group: str) -> list[str]:
        """New devices in a group; their keys."""
        names = [f"{group}-{n:05}" for n in range(count)]
        lines = self.manage("createdevice", *names, "--group", group).splitlines()
        return [line.partition("\t")[2] for line in lines if "\t" in line]

    def stored(self, query: Query | None = None) -> int:
        """Readings in the journal and in blocks, as another process sees them.

        Waits until a pass of the sealer is over: in it, readings are in both.
        `query` is for a database that is no file of this hub.
        """
        query = query or self._query
        before, now = -1, int(query(STORED)[0][0])
        while now != before:
            time.sleep(SETTLE_SECONDS)
            before, now = now, int(query(STORED)[0][0])
        return now

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        path = f"file:{self.data_dir / 'hub.sqlite3'}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def journal_mode(self) -> str:
        return str(self._query("PRAGMA journal_mode")[0][0])


def other_variables() -> dict[str, str]:
    """The environment without what a hub would take for its settings."""
    own = ("HUB_", "TELEMETRY_", "DATABASE_", "REDIS_", "DJANGO_")
    return {
        name: value for name, value in os.environ.items() if not name.startswith(own)
    }


@contextlib.contextmanager
def hub(**settings: str) -> Iterator[Hub]:
    """`manage.py serve` with SQLite in a new directory; `settings` as variables."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as directory:
        port = free_port()
        environment = {
            **other_variables(),
            "HUB_DATA_DIR": directory,
            "HUB_PORT": str(port),
            **settings,
        }
        with _running(
            [sys.executable, "manage.py", "serve", "--setup"], environment
        ) as process:
            wait_until(lambda: is_ready(port), "the hub is ready")
            yield Hub(port, process.pid, Path(directory), environment)


@contextlib.contextmanager
def bare_echo() -> Iterator[tuple[str, int]]:
    """The echo server: its address and process id."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.echo", str(port)]
    with _running(command, dict(os.environ)) as process:
        wait_until(lambda: is_open(port), "the echo listens")
        yield f"ws://127.0.0.1:{port}/", process.pid


@contextlib.contextmanager
def _running(
    command: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Generator:
    """A load generator: takes a job as JSON, says when it measures, gives figures."""

    def __init__(self, module: str, job: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, word: str) -> None:
        """Wait until it says so."""
        line = self._line()
        if line != word:
            raise SystemExit(f"expected the generator to say {word}, got {line[:300]}")

    def result(self) -> dict[str, Any]:
        """Its figures; it has ended then."""
        figures = self.figures()
        self._process.wait(60)
        return figures

    def figures(self) -> dict[str, Any]:
        """The next line it says, as figures; it goes on."""
        figures: dict[str, Any] = json.loads(self._line())
        return figures

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the generator ended without a result: see above")
        return line.strip()


def allow_many_sockets(count: int) -> None:
    """Raise the limit of open files for this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(max(4_096, 2 * count + 200), hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not is_true():
        if time.monotonic() > until:
            raise SystemExit(f"expected that {what} within {START_SECONDS:.0f} s")
        time.sleep(0.05)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
