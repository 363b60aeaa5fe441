"""What a trace of system calls says: what was done to a disk, what devices were told.

`strace -f -D -y -xx -s SHOWN_BYTES -e trace=CALLS` prints it. A call that others came
between is printed twice, when it begins and when it ends.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .power import Change, Disk

WRITES = ("write", "pwrite64", "writev", "pwritev")
SENDS = ("write", "writev", "sendto", "sendmsg")
SYNCS = ("fsync", "fdatasync")
SIZES = ("truncate", "ftruncate", "fallocate")
NAMES = (
    *("openat", "link", "linkat", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "mkdir", "rmdir"),
)
# What nobody does to a database's files. If one does, the replay says so.
UNKNOWN = (
    *("open", "creat", "symlink", "mkdirat"),
    *("copy_file_range", "sendfile", "pwritev2"),
)
CALLS = (*dict.fromkeys((*WRITES, *SENDS, *SYNCS, *SIZES, *NAMES, *UNKNOWN)),)
# Longer than a page, than what is written of a log at once, than any frame to a device.
SHOWN_BYTES = 1_100_000

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()")
_FD = re.compile(r"(\d+)<((?:\\x..)+)>(\(deleted\))?")
_HERE = re.compile(r"AT_FDCWD<((?:\\x..)+)>")
_WELCOME = re.compile(rb'"type":"welcome","device":"([^"]+)"')
_ACK = re.compile(rb'"type":"ack","seq":(\d+)')
_UNFINISHED = " <unfinished ...>"


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that has not ended: what was printed of it, and what it has changed."""

    name: str
    text: str
    moment: int
    changes: tuple[Change, ...]


class Replay:
    """Does to `disk` what the lines of a trace say that was done to `directory`."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self.disk = disk
        # How far each device was told that its batches are on disk, by slug.
        self.acked: dict[str, int] = {}
        # How often each file was written.
        self.writes: Counter[str] = Counter()
        self._prefix = f"{directory}/"
        self._devices: dict[str, str] = {}
        self._begun: dict[str, Begun] = {}
        # Where the next `write` of (process, file descriptor) goes.
        self._positions: dict[tuple[str, str], int] = {}

    def play(self, line: str) -> str | None:
        """Do what a line of the trace says; returns the kind of a step that counts.

        “write”, “sync”, “name” and “ack”; None for what changes nothing on the disk.
        """
        found = _LINE.match(line)
        if found is None:
            return None
        thread, resumed, name = found.groups()
        text = line[found.end() :].rstrip()
        if resumed:
            begun = self._begun.pop(thread)
            whole = begun.text + text
            return self._end(thread, begun, whole)
        is_whole = not text.endswith(_UNFINISHED)
        text = text.removesuffix(_UNFINISHED)
        kind, changes = self._begin(thread, name, text)
        begun = Begun(name, text, self.disk.tick(), changes)
        if is_whole:
            return self._end(thread, begun, text) or kind
        self._begun[thread] = begun
        return kind

    # --- calls --------------------------------------------------------------------

    def _begin(
        self, thread: str, name: str, text: str
    ) -> tuple[str | None, tuple[Change, ...]]:
        """From here on it may be there."""
        is_write = name in WRITES
        if not is_write and name not in ("ftruncate", "fallocate", *SENDS):
            return None, ()
        path = self._open_file(text)
        if path is None:
            return ("ack" if name in SENDS and self._send(text) else None), ()
        if not is_write:
            return "write", self._resize(name, path, text)
        self.writes[path] += 1
        written = b"".join(_pieces(text))
        if name in ("write", "writev"):
            place = (thread, text.split("<", 1)[0])
            offset = self._positions.get(place, 0)
            self._positions[place] = offset + len(written)
        else:
            # What follows the bytes: a length, then the offset.
            offset = int(re.findall(r", (\d+)", text[text.rindex('"') :])[-1])
        return "write", (self.disk.write(path, offset, written),)

    def _resize(self, name: str, path: str, text: str) -> tuple[Change, ...]:
        numbers = [int(each) for each in re.findall(r", (\d+)", text)]
        if name == "ftruncate":
            return (self.disk.write(path, numbers[0], None),)
        # fallocate(fd, mode, offset, length): zeros where nothing was.
        assert len(numbers) == 3, text
        return (self.disk.write(path, numbers[-2] + numbers[-1], b""),)

    def _end(self, thread: str, begun: Begun, text: str) -> str | None:
        """It has returned: it is done, or has failed."""
        name, result = begun.name, text.rpartition(" = ")[2]
        for change in begun.changes:
            change.ended = self.disk.tick()
            if change.written and name in WRITES:
                assert result == str(len(change.written)), f"{name}: {result}"
        if result.startswith(("-1", "?")):
            return None
        if name in SYNCS:
            return self._sync(begun, text)
        if name == "openat":
            return self._open(thread, text, result)
        if name == "truncate":
            path = self._path(text)
            if path in self.disk.names:
                numbers = re.findall(r", (\d+)\)", text)
                self.disk.write(path, int(numbers[-1]), None).ended = self.disk.tick()
                return "write"
            return None
        if name in NAMES:
            return self._rename(name, text)
        if name in UNKNOWN:
            paths = [_text(each) for each in text.split('"')[1::2]]
            ours = [each for each in paths if each.startswith(self._prefix)]
            assert not ours and self._open_file(text) is None, f"{name}{text[:300]}"
        return None

    def _sync(self, begun: Begun, text: str) -> str | None:
        path = self._open_file(text, is_directory=True)
        if path is None:
            return None
        self.disk.sync(path, begun.moment)
        return "sync"

    def _open(self, thread: str, text: str, result: str) -> str | None:
        found = _FD.match(result)
        if found is None:
            return None
        self._positions[thread, found[1]] = 0
        path = self._own(_text(found[2]))
        if path is None or path in self.disk.directories:
            return None
        assert "O_SYNC" not in text and "O_DSYNC" not in text, text
        if "O_CREAT" in text:
            self.disk.create(path)
        if "O_TRUNC" in text:
            self.disk.write(path, 0, None).ended = self.disk.tick()
        return "name" if "O_CREAT" in text else None

    def _rename(self, name: str, text: str) -> str | None:
        paths = [self._resolve(text, _text(each)) for each in text.split('"')[1::2]]
        path = paths[0]
        if path is None:
            return None
        if name == "mkdir":
            self.disk.directories.add(path)
        elif name == "rmdir" or "AT_REMOVEDIR" in text:
            self.disk.directories.discard(path)
        elif path not in self.disk.names:
            return None
        elif name.startswith("unlink"):
            self.disk.unlink(path)
        else:
            new = paths[1]
            assert new is not None, text
            change: Callable[[str, str], None] = (
                self.disk.link if name.startswith("link") else self.disk.rename
            )
            change(path, new)
        return "name"

    def _send(self, text: str) -> bool:
        """Whether it tells a device that something is on disk."""
        sent = b"".join(_pieces(text))
        socket = _FD.match(text)
        if socket is None:
            return False
        welcome = _WELCOME.search(sent)
        if welcome is not None:
            self._devices[socket[2]] = welcome[1].decode()
        acks = _ACK.findall(sent)
        if acks:
            self.acked[self._devices[socket[2]]] = int(acks[-1])
        return bool(acks)

    # --- paths --------------------------------------------------------------------

    def _open_file(self, text: str, is_directory: bool = False) -> str | None:
        """The file that the first argument is open on, if it is one of these."""
        found = _FD.match(text)
        if found is None or found[3]:
            return None
        path = self._own(_text(found[2]))
        if is_directory and (path in self.disk.directories or path == ""):
            return path
        return path if path in self.disk.names else None

    def _path(self, text: str) -> str | None:
        return self._resolve(text, _text(text.split('"', 2)[1]))

    def _resolve(self, text: str, path: str) -> str | None:
        """What is relative to nothing else is relative to the directory."""
        if not path.startswith("/"):
            here = _HERE.search(text)
            path = f"{_text(here[1])}/{path}" if here else self._prefix + path
        return self._own(path)

    def _own(self, path: str) -> str | None:
        """Relative to the directory; None: not below it, or of no interest."""
        if f"{path}/" == self._prefix:
            return ""
        if not path.startswith(self._prefix):
            return None
        name = path.removeprefix(self._prefix).removesuffix(" (deleted)")
        # PostgreSQL says where it is: `./base` as well as `base`.
        name = name.removeprefix("./")
        return None if self.disk.is_left_out(name) or "(deleted)" in path else name


def _pieces(text: str) -> list[bytes]:
    """All bytes that are shown: everything between quotes, for all is escaped."""
    return [bytes.fromhex(each.replace("\\x", "")) for each in text.split('"')[1::2]]


def _text(escaped: str) -> str:
    return bytes.fromhex(escaped.replace("\\x", "")).decode(errors="replace")
