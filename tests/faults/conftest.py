"""A hub to hurt, and devices that come back soon."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.fleet import backoff
from tests.processes import HubProcess

from .forks import Forks
from .switches import Faults


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(tmp_path / "faults")


@pytest.fixture
def hub(tmp_path: Path, faults: Faults) -> Iterator[HubProcess]:
    """A real hub that listens to `faults`, set up and not started."""
    process = HubProcess(
        tmp_path / "var",
        "serve",
        variables={
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "FAULTS_DIR": str(faults.directory),
            "TELEMETRY_DEVICE_RATE": "0",
            "TELEMETRY_CONNECTS_PER_MINUTE": "6000",
        },
    )
    process.manage("migrate", "--verbosity", "0")
    yield process
    if process.process is not None and process.process.poll() is None:
        process.kill()


@pytest.fixture
def forks(tmp_path: Path) -> Iterator[Forks]:
    """Processes to hurt, on a SQLite file of their own."""
    with Forks(tmp_path) as forks:
        yield forks


@pytest.fixture(params=["sqlite", "postgresql"])
def any_forks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forks]:
    """The same on SQLite, and on a database of its own on PostgreSQL."""
    variables = {}
    if request.param == "postgresql":
        import psycopg  # Only machines with PostgreSQL need it.

        url = request.getfixturevalue("postgres_url")
        name = f"forks_{secrets.token_hex(8)}"
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
        variables["DATABASE_URL"] = f"{url.rsplit('/', 1)[0]}/{name}"
    with Forks(tmp_path, variables) as forks:
        yield forks


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that come back in a tenth of a second instead of a minute."""
    monkeypatch.setattr(backoff, "BASE_SECONDS", 0.05)
    monkeypatch.setattr(backoff, "LONGEST_SECONDS", 0.2)
