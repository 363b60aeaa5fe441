"""A hub to hurt, and devices that come back soon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.fleet import backoff
from tests.processes import HubProcess


class Faults:
    """Turns the faults of tests/faults/settings.py on and off."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def on(self, name: str, number: int) -> None:
        whole = self.directory / f"{name}.new"
        whole.write_text(str(number))
        whole.replace(self.directory / name)

    def off(self, name: str) -> None:
        (self.directory / name).unlink()


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


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that come back in a tenth of a second instead of a minute."""
    monkeypatch.setattr(backoff, "BASE_SECONDS", 0.05)
    monkeypatch.setattr(backoff, "LONGEST_SECONDS", 0.2)
