"""A Redis of its own on a fixed port, to kill, to stop and to start again."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import redis

from .processes import START_SECONDS, free_port, is_open, missing, wait_until


class RedisServer:
    """One redis-server without persistence; `options` as on its command line."""

    def __init__(self, directory: Path, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            missing("redis-server")
        directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            *(str(program), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(directory), *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        """Start, and return once it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_until(lambda: is_open(self.port), "redis-server listens")
        return self

    def client(self) -> redis.Redis:
        """A connection for the test's own questions."""
        return redis.Redis(port=self.port, socket_timeout=START_SECONDS)

    def kill(self) -> None:
        """SIGKILL. Nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_SECONDS)
            self._process = None

    def stand_still(self) -> None:
        """SIGSTOP: its connections stay, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Sentinel(RedisServer):
    """One that watches `master` and makes its replica the master when it is gone."""

    NAME = "hub"

    def __init__(self, directory: Path, master: RedisServer) -> None:
        super().__init__(directory)
        # It writes what it learns into its own configuration.
        file = directory / "sentinel.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {directory}",
            f"sentinel monitor {self.NAME} 127.0.0.1 {master.port} 1",
            f"sentinel down-after-milliseconds {self.NAME} 500",
            f"sentinel failover-timeout {self.NAME} 3000",
        ]
        file.write_text("\n".join(lines) + "\n")
        self._command = [self._command[0], str(file), "--sentinel"]
        self.url = f"sentinel://127.0.0.1:{self.port}/{self.NAME}"

    def master_port(self) -> int:
        """Where it says that the master is."""
        with self.client() as client:
            _, port = client.sentinel_get_master_addr_by_name(self.NAME)
        return int(port)

    def has_replica(self) -> bool:
        """Whether it knows of one that it could promote."""
        with self.client() as client:
            replicas = client.sentinel_slaves(self.NAME)
        return any(each["master-link-status"] == "ok" for each in replicas)
