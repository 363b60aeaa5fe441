"""A grown hub for a benchmark: PostgreSQL, Redis, several workers and their jobs.

All on this machine, with the generators: what is measured here are ratios, and what
each part takes of a core and of memory, by its role.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .databases import POSTGRESQL, Database, databases
from .processes import ROOT, Hub, Usage, free_port, is_open, is_ready, usage, wait_until

LOOK_SECONDS = 1.0
STOP_SECONDS = 60.0
ROLES = ("worker", "jobs", "PostgreSQL", "Redis")


@dataclass(frozen=True)
class Taken:
    """What the processes of one role took during a load."""

    # Parts of a core, all of the role together.
    cpu: float
    # The largest process of the role, at its largest.
    rss_bytes: int


@dataclass
class Cluster:
    """A running hub of several processes."""

    hub: Hub
    database: Database
    redis_pid: int

    def roles(self) -> dict[int, str]:
        """The processes that are there now, and what each of them is."""
        found = {self.redis_pid: "Redis"}
        for pid in _tree(self.hub.pid):
            found[pid] = "jobs" if "runjobs" in _command(pid) else "worker"
        server = self.database.server
        if server is not None and server.process is not None:
            found |= dict.fromkeys(_tree(server.process.pid), "PostgreSQL")
        return found

    @contextlib.contextmanager
    def watched(self) -> Iterator[dict[str, Taken]]:
        """Look at all processes while the body runs; filled in at its end."""
        taken: dict[str, Taken] = {}
        watch = _Watch(self)
        watch.thread.start()
        try:
            yield taken
        finally:
            watch.has_ended.set()
            watch.thread.join()
            taken |= watch.taken()


@dataclass
class _Watch:
    cluster: Cluster
    has_ended: threading.Event = field(default_factory=threading.Event)
    first: dict[int, Usage] = field(default_factory=dict)
    last: dict[int, Usage] = field(default_factory=dict)
    role: dict[int, str] = field(default_factory=dict)
    rss_kib: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def _look(self) -> None:
        while True:
            for pid, role in self.cluster.roles().items():
                # A process may end between the two looks.
                with contextlib.suppress(OSError, StopIteration):
                    now = usage(pid)
                    self.role[pid] = role
                    self.first.setdefault(pid, now)
                    self.last[pid] = now
                    self.rss_kib[pid] = max(now.rss_kib, self.rss_kib.get(pid, 0))
            if self.has_ended.wait(LOOK_SECONDS):
                return

    def taken(self) -> dict[str, Taken]:
        found = {}
        for role in ROLES:
            pids = [pid for pid, each in self.role.items() if each == role]
            cpu = sum(
                self.last[pid].cpu_since(self.first[pid])
                for pid in pids
                if self.last[pid].at > self.first[pid].at
            )
            largest = max((self.rss_kib[pid] for pid in pids), default=0)
            found[role] = Taken(cpu, largest * 1_024)
        return found


@contextlib.contextmanager
def cluster(workers: int, **settings: str) -> Iterator[Cluster]:
    """`manage.py serve --workers N` with a new database; `settings` as variables."""
    with (
        databases(POSTGRESQL) as made,
        made.fresh() as database,
        redis_server() as (redis_port, redis_pid),
    ):
        port = free_port()
        environment = {
            **database.environment,
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
            "HUB_PORT": str(port),
            **settings,
        }
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--setup", f"--workers={workers}"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: is_ready(port), "the hub is ready")
            hub = Hub(port, process.pid, database.data_dir, environment)
            yield Cluster(hub, database, redis_pid)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


@contextlib.contextmanager
def redis_server() -> Iterator[tuple[int, int]]:
    """A Redis that keeps nothing: its port and process id."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hub-bench-redis-") as directory:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: is_open(port), "Redis listens")
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _tree(pid: int) -> list[int]:
    """A process and all that it started, and so on."""
    found, pending = [], [pid]
    while pending:
        found.append(pending.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                pending += map(int, (task / "children").read_text().split())
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""
