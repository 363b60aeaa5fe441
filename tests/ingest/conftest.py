"""One hub on each server for all tests of the doors, with devices to spend."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from telemetry.ingest import committing, pipeline
from tests.once import made_once
from tests.processes import HubProcess, manage

from .wire import Device, Stored, in_database, stored

DEVICES = 700
# Wide where a test would have to wait; limits of size are the defaults.
VARIABLES = {
    "TELEMETRY_CREDENTIAL_SECONDS": "1",
    "TELEMETRY_RELOAD_SECONDS": "0.1",
    "TELEMETRY_AUTH_FAILURES_PER_MINUTE": "10000",
    "TELEMETRY_DEVICE_RATE": "0",
    "TELEMETRY_NEW_SERIES_FREE": "2000",
}
# Narrow: every limit of time and frequency is met within a second or two.
NARROW = {
    "TELEMETRY_CREDENTIAL_SECONDS": "1",
    "TELEMETRY_HEARTBEAT_SECONDS": "1",
    "TELEMETRY_DEVICE_RATE": "100",
    "TELEMETRY_DEVICE_BURST": "100",
    "TELEMETRY_AUTH_FAILURES_PER_MINUTE": "3",
}
COMMANDS = {"uvicorn": ("serve",), "daphne": ("runserver", "--noreload")}


class Known(NamedTuple):
    """A device that the hub knows, and its key."""

    slug: str
    key: str


@dataclass
class DeviceHub:
    """A running hub, and devices that no other test uses."""

    server: str
    process: HubProcess
    unused: Iterator[Known]
    open: list[Device] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.process.url

    def new(self) -> Known:
        """A device that was never connected."""
        return next(self.unused)

    def connect(
        self, known: Known | str | None, *coding: str, **options: Any
    ) -> Device:
        """A socket of a device, by key in the header; closed after the test."""
        key = known.key if isinstance(known, Known) else known
        if coding:
            options["subprotocols"] = coding
        device = Device(self.url, key, **options)
        self.open.append(device)
        return device

    def stored(self, known: Known) -> Stored:
        """All readings of a device in the database, by metric: (time µs, value)."""
        return stored(self.process.data_dir, known.slug)

    def edit(self, work: Any) -> Any:
        """Run `work()` on the hub's database, as another process would."""
        return in_database(self.process.data_dir, work)

    def close_sockets(self) -> None:
        while self.open:
            self.open.pop().socket.close()


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[Known]]:
    """A data directory with a database full of devices, to be copied."""

    def make(folder: Path) -> None:
        names = [f"unit {number}" for number in range(DEVICES)]
        for arguments in (["migrate"], ["createdevice", *names, "--group", "all"]):
            done = manage(folder / "var", *arguments)
            assert done.returncode == 0, done.stderr
        (folder / "keys").write_text(done.stdout)

    folder = made_once(tmp_path_factory, "devices", make)
    lines = (folder / "keys").read_text().splitlines()
    return folder / "var", [Known(*line.split("\t")) for line in lines]


def run_hub(
    server: str,
    prepared: tuple[Path, list[Known]],
    directory: Path,
    variables: dict[str, str],
) -> Iterator[DeviceHub]:
    """A hub on a copy of the prepared directory, until the generator is closed."""
    data_dir, known = prepared
    shutil.copytree(data_dir, directory / "var")
    process = HubProcess(directory / "var", *COMMANDS[server], variables=variables)
    process.start()
    try:
        yield DeviceHub(server, process, itertools.chain(known))
    finally:
        process.kill()


@pytest.fixture(scope="session", params=list(COMMANDS))
def session_hub(request, prepared, tmp_path_factory) -> Iterator[DeviceHub]:
    yield from run_hub(
        request.param, prepared, tmp_path_factory.mktemp(request.param), VARIABLES
    )


@pytest.fixture(scope="session", params=list(COMMANDS))
def narrow_session_hub(request, prepared, tmp_path_factory) -> Iterator[DeviceHub]:
    yield from run_hub(
        request.param, prepared, tmp_path_factory.mktemp(request.param), NARROW
    )


@pytest.fixture
def device_hub(session_hub, django_db_blocker) -> Iterator[DeviceHub]:
    """A hub with wide limits of frequency; the test's sockets are closed after it."""
    with django_db_blocker.unblock():
        yield session_hub
        session_hub.close_sockets()


@pytest.fixture
def narrow_hub(narrow_session_hub, django_db_blocker) -> Iterator[DeviceHub]:
    """A hub whose limits of time and frequency are met at once."""
    with django_db_blocker.unblock():
        yield narrow_session_hub
        narrow_session_hub.close_sockets()


@pytest.fixture
def bystander(device_hub: DeviceHub) -> Iterator[None]:
    """Another device, which must not notice anything of the test."""
    known = device_hub.new()
    device = device_hub.connect(known)
    device.hello("quiet")
    device.send(type="data", seq=1, time=1_795_000_000_000, values={"x": 1})
    device.acked(1)
    yield
    device.send(type="data", seq=2, time=1_795_000_000_001, values={"x": 2})
    assert device.receive() == {"type": "ack", "seq": 2}
    device.is_alive()
    assert device_hub.stored(known) == {
        "x": [(1_795_000_000_000_000, 1.0), (1_795_000_000_001_000, 2.0)]
    }


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away is asked again at once."""
    monkeypatch.setattr(committing, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(committing, "LONGEST_RETRY_SECONDS", 0.004)
    monkeypatch.setattr(pipeline, "AWAY_SECONDS", 0.004)
