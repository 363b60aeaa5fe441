"""A disk as a power cut leaves it, rebuilt from the system calls of a process.

A write counts as on disk when a sync of its file that began after it has ended, a
new or removed name when its directory has been synced. What was written since may be
there, or not, or in part: a cut picks. What SQLite shares in memory (-shm) is gone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

# What `strace` must be asked for: `strace -f -D -y -xx -s … -e trace=…`.
CALLS = (
    *("openat", "pwrite64", "write", "writev", "sendto", "sendmsg"),
    *("fsync", "fdatasync", "ftruncate", "unlink"),
)
# Longer than a page of the database and than any frame to a device.
SHOWN_BYTES = 70_000
# Disks write whole sectors; a longer write may get through in part.
SECTOR_BYTES = 512
# What happens to that which was not synced, and how often.
FATES = ("dropped", "half", "kept")

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_PATH = re.compile(r"\d+<((?:\\x..)+)>")
_TEXT = re.compile(r'"((?:\\x..)*)"')
_OFFSET = re.compile(r", (\d+)(?: <unfinished|\) )")
_WELCOME = re.compile(rb'"type":"welcome","device":"([^"]+)"')
_ACK = re.compile(rb'"type":"ack","seq":(\d+)')


class Change(NamedTuple):
    """Bytes at an offset; without bytes: the file ends there."""

    number: int
    offset: int
    written: bytes | None


@dataclass(slots=True)
class File:
    """What of a file is on disk, and what was changed since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    # Whether its name is on disk, and whether it should be.
    is_named: bool = False
    is_there: bool = True

    def sync(self, before: int) -> None:
        """All changes numbered below are on disk."""
        for change in self.pending:
            if change.number < before:
                _apply(self.synced, change)
        self.pending = [each for each in self.pending if each.number >= before]

    def after_cut(self, fate: str, rng: random.Random) -> bytes | None:
        """What is found when the power is back; None: no such file."""
        if self.is_named != self.is_there:
            is_there = self.is_there if _survives(fate, rng) else self.is_named
        else:
            is_there = self.is_there
        if not is_there:
            return None
        found = bytearray(self.synced)
        for change in self.pending:
            if not _survives(fate, rng):
                continue
            written = change.written
            if fate == "half" and written and rng.random() < 0.3:
                sectors = rng.randint(0, len(written) // SECTOR_BYTES)
                written = written[: sectors * SECTOR_BYTES]
            _apply(found, change._replace(written=written))
        return bytes(found)


class Disk:
    """The files of `directory`; feed it the lines of a trace in order.

    before: what was in it when the trace began, all of it on disk.
    """

    def __init__(self, directory: Path, before: Path) -> None:
        self._directory = directory
        self.files: dict[str, File] = {}
        for path in before.iterdir():
            if not path.name.endswith("-shm"):
                content = bytearray(path.read_bytes())
                self.files[path.name] = File(content, is_named=True)
        # How far each device was told that its batches are on disk, by slug.
        self.acked: dict[str, int] = {}
        # Writes to the database's own file: there are checkpoints.
        self.checkpointed = 0
        self._number = 0
        self._devices: dict[str, str] = {}
        # What threads wait for: (call, path, first number that it does not cover).
        self._syncing: dict[str, tuple[str, int]] = {}

    def play(self, line: str) -> str | None:
        """Do what a line of the trace says; returns the kind of a step that counts.

        “write”, “sync” and “ack”; None for a line that changes nothing on the disk.
        """
        found = _LINE.match(line)
        if found is None:
            return None
        thread, resumed, call, rest = found.groups()
        if resumed:
            return self._end_sync(thread) if resumed.endswith("sync") else None
        if call.endswith("sync"):
            return self._begin_sync(thread, rest)
        if call in ("pwrite64", "ftruncate"):
            return self._change(call, rest)
        if call == "openat":
            return self._open(rest)
        if call == "unlink":
            return self._unlink(rest)
        return self._send(rest)

    def cut(self, fate: str, rng: random.Random, into: Path) -> None:
        """Write the files as they are found after the power was cut here."""
        into.mkdir(parents=True)
        for name, file in self.files.items():
            content = file.after_cut(fate, rng)
            if content is not None:
                (into / name).write_bytes(content)

    # --- calls --------------------------------------------------------------------

    def _begin_sync(self, thread: str, rest: str) -> str | None:
        self._syncing[thread] = (_path(rest), self._number)
        return None if "<unfinished" in rest else self._end_sync(thread)

    def _end_sync(self, thread: str) -> str | None:
        path, before = self._syncing.pop(thread)
        if path == str(self._directory):
            # No name changes while a directory is synced: SQLite's lock is held.
            for file in self.files.values():
                file.is_named = file.is_there
            return "sync"
        name = self._name(path)
        if name is None:
            return None
        self.files[name].sync(before)
        return "sync"

    def _change(self, call: str, rest: str) -> str | None:
        name = self._name(_path(rest))
        if name is None:
            return None
        offset = _OFFSET.search(rest)
        assert offset is not None, rest[-80:]
        written = _written(rest) if call == "pwrite64" else None
        self._number += 1
        change = Change(self._number, int(offset[1]), written)
        self.files[name].pending.append(change)
        # A sync that began with this number does not cover it.
        self._number += 1
        self.checkpointed += name.endswith(".sqlite3")
        return "write"

    def _open(self, rest: str) -> str | None:
        if "O_CREAT" not in rest or "= -1" in rest:
            return None
        name = self._name(_written(rest).decode(), is_new=True)
        if name is None:
            return None
        file = self.files.setdefault(name, File())
        if not file.is_there:
            # A new file under a name whose removal was not synced: keep the old
            # content, which is what a cut might find.
            file.is_there = True
        return "write"

    def _unlink(self, rest: str) -> str | None:
        name = self._name(_written(rest).decode())
        if name is None:
            return None
        self.files[name].is_there = False
        return "write"

    def _send(self, rest: str) -> str | None:
        socket = rest.split(",", 1)[0]
        sent = b"".join(_pieces(rest))
        welcome = _WELCOME.search(sent)
        if welcome is not None:
            self._devices[socket] = welcome[1].decode()
        acks = _ACK.findall(sent)
        if not acks:
            return None
        self.acked[self._devices[socket]] = int(acks[-1])
        return "ack"

    def _name(self, path: str, is_new: bool = False) -> str | None:
        """The file's name if it is one of these."""
        parent, _, name = path.removesuffix(" (deleted)").rpartition("/")
        if parent != str(self._directory) or name.endswith("-shm"):
            return None
        return name if is_new or name in self.files else None


def _apply(content: bytearray, change: Change) -> None:
    end = change.offset + len(change.written or b"")
    if change.written is None:
        del content[end:]
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if change.written is not None:
        content[change.offset : end] = change.written


def _survives(fate: str, rng: random.Random) -> bool:
    return fate == "kept" or (fate == "half" and rng.random() < 0.5)


def _path(rest: str) -> str:
    found = _PATH.match(rest)
    return "" if found is None else _bytes(found[1]).decode()


def _written(rest: str) -> bytes:
    return next(_pieces(rest), b"")


def _pieces(rest: str) -> Iterator[bytes]:
    for found in _TEXT.finditer(rest):
        yield _bytes(found[1])


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
