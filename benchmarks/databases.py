"""Databases for a benchmark, each migrated and empty: SQLite files, or PostgreSQL.

PostgreSQL is started on a free port, in a new directory, as durable as it comes; as
root it runs as the user `postgres`, which Debian's package makes. Parts of a
benchmark run in processes of their own, with Django set up for one such database.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .processes import ROOT, free_port, other_variables, wait_until

POSTGRES_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
SQLITE, POSTGRESQL = "sqlite", "postgresql"
TEMPLATE = "hub_template"
STOP_SECONDS = 60.0


@dataclass
class Database:
    """One database, the data directory that goes with it, and its server if any."""

    kind: str
    data_dir: Path
    url: str | None = None
    server: Server | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process of the hub that uses it."""
        settings = {"HUB_DATA_DIR": str(self.data_dir)}
        if self.url is not None:
            settings["DATABASE_URL"] = self.url
        module = {"DJANGO_SETTINGS_MODULE": "hub_project.settings"}
        return {**other_variables(), **module, **settings}

    @property
    def file(self) -> Path:
        """The file of a SQLite database."""
        return self.data_dir / "hub.sqlite3"

    def run(self, part: str, job: dict[str, Any]) -> dict[str, Any]:
        """Run `benchmarks.<part>.run(job)` in a process of its own; its figures."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.part", part],
            cwd=ROOT,
            env=self.environment,
            input=json.dumps(job),
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{part} ended with {done.returncode}: see above")
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a statement, as another process sees them."""
        if self.url is not None:
            return _query(self.url, sql)
        path = f"file:{self.file}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def size_bytes(self) -> int:
        """The whole database: SQLite's file and log, or all of PostgreSQL's."""
        if self.url is not None:
            ((size,),) = self.query("SELECT pg_database_size(current_database())")
            return int(size)
        files = (self.file, self.file.with_name(f"{self.file.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def cool(self) -> None:
        """Let the system (and the server) forget what it has read of the files."""
        if self.server is not None:
            self.server.stop()
        folder = self.data_dir if self.server is None else self.server.cluster
        os.sync()
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if self.server is not None:
            self.server.start()


@dataclass
class Server:
    """A PostgreSQL of this run."""

    programs: Path
    directory: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    owner: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        # initdb refuses to run as root.
        if os.geteuid() == 0:
            self.owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.directory, "postgres", "postgres")

    @property
    def cluster(self) -> Path:
        return self.directory / "cluster"

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://hub:{self.password}@127.0.0.1:{self.port}/{name}"

    def make(self) -> None:
        """Make the cluster."""
        secret = self.directory / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        command = [str(self.programs / "initdb"), "-D", str(self.cluster)]
        command += ["-U", "hub", "-E", "UTF8", "--auth=scram-sha-256"]
        command += [f"--pwfile={secret}", "--no-sync"]
        subprocess.run(
            command, check=True, capture_output=True, cwd=self.directory, **self.owner
        )

    @property
    def command(self) -> list[str]:
        """Runs it."""
        return [
            *(str(self.programs / "postgres"), "-D", str(self.cluster)),
            *("-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.directory)),
        ]

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, cwd=self.directory, **self.owner
            )
        wait_until(lambda: _answers(self.url()), "PostgreSQL answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # Its fast shutdown.
            self.process.wait(STOP_SECONDS)
            self.process = None


@dataclass
class Databases:
    """Makes databases of one kind: copies of one that is migrated."""

    kind: str
    directory: Path
    server: Server | None = None
    made: int = 0

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Database]:
        """A new database, which is gone afterwards."""
        self.made += 1
        data_dir = self.directory / f"data-{self.made}"
        shutil.copytree(self.directory / "template", data_dir)
        if self.server is None:
            yield Database(self.kind, data_dir)
        else:
            name = f"hub_{self.made}"
            _query(self.server.url(), f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            yield Database(self.kind, data_dir, self.server.url(name), self.server)
            _query(self.server.url(), f"DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(data_dir, ignore_errors=True)


@contextlib.contextmanager
def databases(kind: str) -> Iterator[Databases]:
    """Databases of a kind: `sqlite` or `postgresql`."""
    # The unix socket's path has a limit of 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    try:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(_server()) if kind == POSTGRESQL else None
            made = Databases(kind, directory, server)
            _make_template(made)
            yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def has_postgresql() -> bool:
    return bool(POSTGRES_BIN)


def _make_template(made: Databases) -> None:
    data_dir = made.directory / "template"
    data_dir.mkdir()
    template = Database(made.kind, data_dir, server=made.server)
    if made.server is not None:
        _query(made.server.url(), f"CREATE DATABASE {TEMPLATE}")
        template.url = made.server.url(TEMPLATE)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"],
        cwd=ROOT,
        env=template.environment,
        check=True,
    )


@contextlib.contextmanager
def _server() -> Iterator[Server]:
    if not POSTGRES_BIN:
        raise SystemExit("expected PostgreSQL in /usr/lib/postgresql, got nothing")
    directory = Path(tempfile.mkdtemp(prefix="hub-bench-pg-"))
    server = Server(POSTGRES_BIN[0], directory)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _query(url: str, sql: str) -> list[tuple[Any, ...]]:
    import psycopg  # Only machines with PostgreSQL need it.

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def _answers(url: str) -> bool:
    import psycopg  # Only machines with PostgreSQL need it.

    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
