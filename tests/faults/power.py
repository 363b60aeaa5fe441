"""A disk as a power cut leaves it, rebuilt from what processes did to it.

A write counts as on disk when a sync of its file that began after it has ended, a
new, changed or removed name when its directory has been synced. What was done since
may be there, or not, or in part: a cut picks. See calls.py for what feeds it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# Disks write whole sectors; a longer write may get through in part.
SECTOR_BYTES = 512
# What happens to that which was not synced, and how often.
FATES = ("dropped", "half", "kept")


@dataclass(slots=True)
class Change:
    """Bytes at an offset; without bytes: the file ends there.

    ended: when the call returned. Only a sync that begins later covers it.
    """

    offset: int
    written: bytes | None
    ended: int | None = None

    def is_before(self, moment: int) -> bool:
        return self.ended is not None and self.ended < moment


@dataclass(slots=True)
class File:
    """What of a file is on disk, and what was changed since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)

    def sync(self, began: int) -> None:
        for change in self.pending:
            if change.is_before(began):
                _apply(self.synced, change.offset, change.written)
        self.pending = [each for each in self.pending if not each.is_before(began)]

    def found(self, fate: str, rng: random.Random) -> bytes | bytearray:
        """Its content when the power is back."""
        if not self.pending or fate == "dropped":
            return self.synced
        found = bytearray(self.synced)
        for change in self.pending:
            if not _survives(fate, rng):
                continue
            written = change.written
            if fate == "half" and written and rng.random() < 0.3:
                sectors = rng.randint(0, len(written) // SECTOR_BYTES)
                written = written[: sectors * SECTOR_BYTES]
            _apply(found, change.offset, written)
        return found


@dataclass(frozen=True, slots=True)
class Naming:
    """A call that gave names to files (None: took them away), in one directory."""

    names: dict[str, File | None]
    ended: int

    @property
    def directory(self) -> str:
        return next(iter(self.names)).rpartition("/")[0]


class Disk:
    """A directory with all that is below it. Paths are relative to it.

    before: what was in it when the calls began, all of it on disk.
    is_left_out: paths that no cut leaves anything of.
    """

    def __init__(self, before: Path, is_left_out: Callable[[str], bool]) -> None:
        self.is_left_out = is_left_out
        self.directories: set[str] = set()
        # As processes see them, and as they are on disk.
        self.names: dict[str, File] = {}
        self._on_disk: dict[str, File] = {}
        self._pending: list[Naming] = []
        self._now = 0
        for path in before.rglob("*"):
            name = str(path.relative_to(before))
            if path.is_dir():
                self.directories.add(name)
            elif not is_left_out(name):
                self.names[name] = File(bytearray(path.read_bytes()))
        self._on_disk.update(self.names)

    def tick(self) -> int:
        """A new moment, later than all before."""
        self._now += 1
        return self._now

    def write(self, name: str, offset: int, written: bytes | None) -> Change:
        """Bytes that are being written; the caller says when that has `ended`."""
        change = Change(offset, written)
        self.names[name].pending.append(change)
        return change

    def create(self, name: str) -> None:
        """Nothing if it is there."""
        if name not in self.names:
            self._name({name: File()})

    def link(self, old: str, new: str) -> None:
        self._name({new: self.names[old]})

    def rename(self, old: str, new: str) -> None:
        self._name({old: None, new: self.names[old]})

    def unlink(self, name: str) -> None:
        self._name({name: None})

    def sync(self, name: str, began: int) -> None:
        """A sync of a file or a directory, begun at `began`, has ended."""
        if name in self.names:
            self.names[name].sync(began)
            return
        rest = []
        for naming in self._pending:
            if naming.directory == name and naming.ended < began:
                _rename(self._on_disk, naming)
            else:
                rest.append(naming)
        self._pending = rest

    def cut(self, fate: str, rng: random.Random, into: Path) -> None:
        """Write the files as they are found after the power was cut here."""
        names = dict(self._on_disk)
        for naming in self._pending:
            if _survives(fate, rng):
                _rename(names, naming)
        into.mkdir(parents=True)
        for directory in sorted(self.directories):
            (into / directory).mkdir(exist_ok=True)
        for name, file in names.items():
            (into / name).write_bytes(file.found(fate, rng))

    def _name(self, names: dict[str, File | None]) -> None:
        naming = Naming(names, self.tick())
        _rename(self.names, naming)
        self._pending.append(naming)


def _rename(names: dict[str, File], naming: Naming) -> None:
    for name, file in naming.names.items():
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def _apply(content: bytearray, offset: int, written: bytes | None) -> None:
    end = offset + len(written or b"")
    if written is None:
        del content[end:]
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if written is not None:
        content[offset:end] = written


def _survives(fate: str, rng: random.Random) -> bool:
    return fate == "kept" or (fate == "half" and rng.random() < 0.5)
