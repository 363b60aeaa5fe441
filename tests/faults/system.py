"""Real processes by their ids: who started whom, and servers that may be hurt."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.databases import POSTGRES_BIN, Server
from tests.processes import missing, wait_until
from tests.redis_server import RedisServer


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return [each for each in found if is_alive(each)]


def is_alive(pid: int) -> bool:
    """Whether it runs or sleeps; one that nobody has waited for yet has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def environment_of(pid: int) -> dict[str, str]:
    """The variables it was started with; none of one that is gone."""
    try:
        given = Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return {}
    return dict(each.partition("=")[::2] for each in given.split("\0") if each)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Postgres(Server):
    """A PostgreSQL in a new directory, that can be killed with all its processes."""

    @property
    def pids(self) -> list[int]:
        """The postmaster's first, and all others."""
        assert self.process is not None
        return [self.process.pid, *children(self.process.pid)]

    def kill(self) -> None:
        """SIGKILL to all of it: what a crash of the machine leaves of processes."""
        assert self.process is not None
        pids = self.pids
        send(pids, signal.SIGKILL)
        self.process.wait()
        self.process = None
        # It does not start while one of them still holds the shared memory.
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "PostgreSQL is dead")

    def end(self) -> None:
        """For the end of a test, whatever state it is in."""
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def new_postgres(directory: Path | None = None) -> Postgres:
    """One that runs, in `directory` or a new one; as durable as it comes."""
    if not POSTGRES_BIN:
        missing("postgresql")
    # The unix socket's path has a limit of 107 bytes: not below tmp_path.
    made = directory or Path(tempfile.mkdtemp(prefix="telemetry-pg-"))
    server = Postgres(POSTGRES_BIN[0], made)
    try:
        server.make()
        server.start()
    except BaseException:
        server.end()
        raise
    return server


class Redis(RedisServer):
    """One whose process may be sent any signal."""

    @property
    def pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]
