"""A small PostgreSQL to trace, which starts again on what a power cut left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import psycopg

from tests.processes import START_SECONDS, wait_until

from .system import Postgres, is_alive

# A log that goes round, and checkpoints all the time: they write the most.
SETTINGS = """
shared_buffers = 4MB
min_wal_size = 2MB
max_wal_size = 2MB
autovacuum_naptime = 1s
wal_sync_method = fdatasync
"""
# PostgreSQL's own: whether indexes and tables are as it would have made them.
CHECKS = (
    "SELECT bt_index_check(oid, true) FROM pg_class JOIN pg_index ON oid = indexrelid"
    " WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND indisvalid"
    " AND relpersistence = 'p'",
    "SELECT relname, wrong.msg FROM pg_class, verify_heapam(oid) AS wrong"
    " WHERE relkind IN ('r', 'm', 't') AND relpersistence = 'p'",
)


class SmallPostgres(Postgres):
    """May be started by another process, by its `command`."""

    def make(self) -> None:
        super().make()
        self._run("pg_resetwal", "--wal-segsize=1")
        self._run("pg_checksums", "--enable", "--no-sync")
        self.configure(SETTINGS)

    def configure(self, settings: str) -> None:
        with (self.cluster / "postgresql.conf").open("a") as file:
            file.write(settings)

    @property
    def postmaster(self) -> int:
        """The process that has the directory, whoever has started it; 0: none."""
        try:
            said = (self.cluster / "postmaster.pid").read_text()
        except FileNotFoundError:
            return 0
        return int(said.split("\n", 1)[0])

    def checkpoint(self) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def end_other(self, number: signal.Signals = signal.SIGINT) -> int:
        """End one that another process has started; its process's id."""
        pid = self.postmaster
        if pid and is_alive(pid):
            os.kill(pid, number)
            wait_until(lambda: not is_alive(pid), "PostgreSQL has ended")
        return pid

    def end(self) -> None:
        if self.process is None:
            self.end_other(signal.SIGQUIT)
        super().end()

    # --- on what a cut left -------------------------------------------------------

    def recovers(self) -> bool:
        """Start; False: it ended, for what it found is beyond its repair."""
        self.configure("fsync = off\n")  # The power is not cut again.
        if self.owner:
            user = f"{self.owner['user']}:{self.owner['group']}"
            subprocess.run(["chown", "-R", user, str(self.cluster)], check=True)
        self.cluster.chmod(0o700)
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, cwd=self.directory, **self.owner
            )
        until = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < until, self.said
                time.sleep(0.02)
            else:
                return True
        return False

    def wrongs(self) -> list[tuple[Any, ...]]:
        """What its own checks find; pages have checksums. Raises psycopg.Error."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
            connection.execute(CHECKS[0])
            return connection.execute(CHECKS[1]).fetchall()

    @property
    def said(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def _run(self, program: str, *options: str) -> None:
        command = [str(self.programs / program), "-D", str(self.cluster), *options]
        subprocess.run(
            command, check=True, capture_output=True, cwd=self.directory, **self.owner
        )
