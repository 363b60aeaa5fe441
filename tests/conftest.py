"""Fixtures for all tests: settings that reload, people, real PostgreSQL and Redis."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_django
from django.db import connections
from django.test.signals import setting_changed
from hypothesis import settings as hypothesis_settings

from telemetry import conf, threads

from .once import made_once
from .processes import (
    START_SECONDS,
    HubProcess,
    free_port,
    is_open,
    manage,
    missing,
    wait_until,
)

# Without a clock: a busy machine is no failure.
hypothesis_settings.register_profile("hub", deadline=None)
hypothesis_settings.load_profile("hub")

POSTGRES_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[None]:
    """The test database, let go by all threads before it is dropped."""
    yield
    threads._executor.submit(connections.close_all).result()
    if (connection := connections["default"]).vendor == "postgresql":
        # A hub that did not end in its time, as some tests want it, may have left one.
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def _forget_settings(setting: str, **kwargs: Any) -> None:
    if setting.startswith(conf.PREFIX):
        conf.reset()


# override_settings and pytest-django's `settings` both send it.
setting_changed.connect(_forget_settings)


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """No test sees the TELEMETRY_ values that another one read."""
    conf.reset()
    yield
    conf.reset()


@pytest.fixture(scope="session")
def set_up_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as `serve --setup` leaves it, made once: copy it, then start."""

    def make(folder: Path) -> None:
        program = "from telemetry.management.setup import set_up; set_up()"
        done = manage(folder / "var", "shell", "--no-imports", "-c", program)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "set-up", make) / "var"


@pytest.fixture
def hub(tmp_path: Path, set_up_data_dir: Path) -> Iterator[HubProcess]:
    """A real hub (uvicorn, SQLite) with data of its own; `hub.start()` starts it."""
    shutil.copytree(set_up_data_dir, tmp_path / "var")
    process = HubProcess(tmp_path / "var")
    yield process
    process.end()


@pytest.fixture(scope="module")
def shared_hub(
    tmp_path_factory: pytest.TempPathFactory, set_up_data_dir: Path
) -> Iterator[HubProcess]:
    """The same, started, for all tests of a module that only add to it."""
    data_dir = tmp_path_factory.mktemp("shared") / "var"
    shutil.copytree(set_up_data_dir, data_dir)
    process = HubProcess(data_dir)
    yield process.start()
    process.end()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis of this run, empty, without persistence."""
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="telemetry-redis-") as directory:
        command = [
            *(str(program), "--port", str(port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", directory),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: is_open(port), "redis-server listens")
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                process.terminate()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL of this run, on a free port; as durable as it comes."""
    if not POSTGRES_BIN:
        missing("postgresql")
    # The unix socket's path has a limit of 107 bytes: not below tmp_path.
    directory = Path(tempfile.mkdtemp(prefix="telemetry-pg-"))
    try:
        yield from _postgres(POSTGRES_BIN[0], directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _postgres(programs: Path, directory: Path) -> Iterator[str]:
    # initdb refuses to run as root.
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(directory, "postgres", "postgres")
    cluster, port, password = directory / "cluster", free_port(), secrets.token_hex(16)
    secret = directory / "password"
    secret.write_text(password)
    secret.chmod(0o644)
    initdb = [str(programs / "initdb"), "-D", str(cluster), "-U", "hub", "-E", "UTF8"]
    initdb += ["--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=directory, **owner)
    server = [str(programs / "postgres"), "-D", str(cluster), "-p", str(port)]
    server += ["-h", "127.0.0.1", "-k", str(directory)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            server, stdout=log, stderr=log, cwd=directory, **owner
        )
    try:
        url = f"postgresql://hub:{password}@127.0.0.1:{port}/postgres"
        wait_until(lambda: _answers(url), "PostgreSQL answers")
        yield url
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown.
        process.wait(START_SECONDS)


def _answers(url: str) -> bool:
    import psycopg  # Only machines with PostgreSQL need it.

    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
