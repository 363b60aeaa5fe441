"""Faults that a test turns on and off while processes run."""

from __future__ import annotations

from pathlib import Path


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
