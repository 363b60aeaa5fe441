"""A hub of several processes to hurt: PostgreSQL, Redis, two workers and their jobs."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.processes import HubProcess, wait_until

from .stored import stored_on
from .switches import Faults
from .system import Postgres, Redis, children, environment_of, new_postgres, send

WORKERS = ("worker-1", "worker-2")
JOBS, POSTGRESQL, REDIS = "jobs", "PostgreSQL", "Redis"
ROLES = (*WORKERS, JOBS, POSTGRESQL, REDIS)
# Three times what it may take.
STOP_SECONDS = 90.0
# A session as a log-in makes it, of somebody who sees everything.
SIGN_IN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("viewer"))
print("cookie", *(f"{k}={m.value}" for k, m in client.cookies.items()))
"""


class Cluster:
    """All of it, set up and not started: `start` starts what is not running."""

    def __init__(
        self, directory: Path, *, postgres: Postgres | None = None, **variables: str
    ) -> None:
        self.faults = Faults(directory / "faults")
        self.postgres: Postgres = postgres or new_postgres()
        self.redis = Redis(directory / "redis")
        self.database_url = self.postgres.url()
        # A unix socket's path has a limit of 107 bytes: not below tmp_path.
        self.run_dir = Path(tempfile.mkdtemp(prefix="telemetry-run-"))
        self.hub = HubProcess(
            directory / "var",
            *("serve", "--workers", str(len(WORKERS))),
            variables={
                "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
                "FAULTS_DIR": str(self.faults.directory),
                "DATABASE_URL": self.database_url,
                "REDIS_URL": self.redis.url,
                "HUB_RUN_DIR": str(self.run_dir),
                "TELEMETRY_DEVICE_RATE": "0",
                "TELEMETRY_CONNECTS_PER_MINUTE": "6000",
                # Devices notice within seconds that nobody answers.
                "TELEMETRY_HEARTBEAT_SECONDS": "2",
                **variables,
            },
        )

    def set_up(self) -> None:
        self.redis.start()
        self.hub.manage("migrate", "--verbosity", "0")

    def start(self) -> None:
        self.hub.start()

    def stop(self) -> int:
        """SIGTERM to the parent, and its exit code."""
        assert self.hub.process is not None
        self.hub.process.terminate()
        return self.hub.process.wait(STOP_SECONDS)

    def end(self) -> None:
        """Whatever state it is in."""
        if self.hub.process is not None and self.hub.process.poll() is None:
            send(self._hub_pids(), signal.SIGKILL)
            self.hub.process.kill()
            self.hub.process.wait()
        self.redis.kill()
        self.postgres.end()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    # --- its processes ------------------------------------------------------------

    def pids(self, role: str) -> list[int]:
        """The processes of a role that run now; none while it is being restarted."""
        if role == POSTGRESQL:
            return self.postgres.pids
        if role == REDIS:
            return self.redis.pids
        return [
            pid
            for pid in self._hub_pids()
            if environment_of(pid).get("HUB_WORKER") == role
        ]

    def backend(self) -> list[int]:
        """One process of PostgreSQL that serves a connection of the hub."""
        for pid in children(self.postgres.pids[0]):
            command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            if re.search(r"hub postgres 127\.0\.0\.1", command):
                return [pid]
        return []

    def kill(self, role: str, what: str = "") -> None:
        """SIGKILL, for `what`. A worker and the jobs are started again by their parent.

        Blocks until PostgreSQL or Redis, which have none, run again.
        """
        if role in (POSTGRESQL, REDIS):
            server: Postgres | Redis = (
                self.postgres if role == POSTGRESQL else self.redis
            )
            server.kill()
            server.start()
        else:
            send(self.wait_for(role, what), signal.SIGKILL)

    def wait_for(self, role: str, what: str = "") -> list[int]:
        """Its processes, as soon as there are any."""
        why = f"{role} runs, for {what or 'a fault'}"
        wait_until(lambda: bool(self.pids(role)), why, 60)
        return self.pids(role)

    @contextlib.contextmanager
    def stopped(self, pids: list[int]) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        assert pids
        send(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            send(pids, signal.SIGCONT)

    def socket_path(self, worker: str) -> Path:
        """Where this one worker listens."""
        return self.run_dir / f"{worker}.sock"

    def _hub_pids(self) -> list[int]:
        return children(self.hub.pid)

    # --- what it holds ------------------------------------------------------------

    def sign_in(self) -> str:
        """The Cookie header of somebody who may see all."""
        return signed_in(self.hub)

    async def stored(self) -> dict[str, list[int]]:
        """What the database holds of each device."""
        return await asyncio.to_thread(stored_on, self.database_url)


def signed_in(hub: HubProcess) -> str:
    """The Cookie header of somebody who may see all of a hub."""
    lines = hub.manage("shell", "-v", "0", "-c", SIGN_IN).splitlines()
    line = next(line for line in lines if line.startswith("cookie "))
    return line.split(" ", 1)[1]


@contextlib.asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Started, and asked to end at the end."""
    await asyncio.to_thread(cluster.start)
    yield cluster
    code = await asyncio.to_thread(cluster.stop)
    assert code == 0, cluster.hub.output[-4_000:]
