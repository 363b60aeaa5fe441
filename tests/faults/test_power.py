"""A disk rebuilt from a trace: a sync keeps what was written before it began."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .power import FATES, Disk


def escaped(text: str | bytes) -> str:
    """As `strace -xx` prints it."""
    given = text.encode() if isinstance(text, str) else text
    return "".join(f"\\x{byte:02x}" for byte in given)


class Tracer:
    """Prints calls on the files of a directory as strace does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, content: bytes, offset: int) -> str:
        path = escaped(str(self.directory / name))
        size = len(content)
        return (
            f'7  pwrite64(5<{path}>, "{escaped(content)}", {size}, {offset}) = {size}'
        )

    def truncate(self, name: str, size: int) -> str:
        return f"7  ftruncate(5<{escaped(str(self.directory / name))}>, {size}) = 0"

    def sync(self, name: str = "", thread: int = 7, end: str = ") = 0") -> str:
        path = str(self.directory / name) if name else str(self.directory)
        return f"{thread}  fdatasync(5<{escaped(path)}>{end}"

    def create(self, name: str) -> str:
        path = escaped(str(self.directory / name))
        return f'7  openat(AT_FDCWD, "{path}", O_RDWR|O_CREAT, 0644) = 5<{path}>'

    def unlink(self, name: str) -> str:
        return f'7  unlink("{escaped(str(self.directory / name))}") = 0'

    def send(self, text: str) -> str:
        return f'8  write(9<{escaped("socket:[1]")}>, "{escaped(text)}", 9) = 9'


@pytest.fixture
def tracer(tmp_path: Path) -> Tracer:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "file").write_bytes(b"old.")
    return Tracer(tmp_path / "db")


def after(tracer: Tracer, lines: list[str], fate: str, seed: int = 1) -> dict:
    """The files as a cut after these lines leaves them."""
    disk = Disk(tracer.directory, tracer.directory)
    for line in lines:
        disk.play(line)
    into = tracer.directory.parent / "cut"
    disk.cut(fate, random.Random(seed), into)
    found = {path.name: path.read_bytes() for path in into.iterdir()}
    for path in into.iterdir():
        path.unlink()
    into.rmdir()
    return found


def test_what_was_not_synced_is_dropped_or_kept(tracer):
    lines = [tracer.write("file", b"NEW", 0)]
    assert after(tracer, lines, "dropped") == {"file": b"old."}
    assert after(tracer, lines, "kept") == {"file": b"NEW."}


@pytest.mark.parametrize("fate", FATES)
def test_what_was_synced_is_there(tracer, fate):
    lines = [
        tracer.write("file", b"NEW", 0),
        tracer.truncate("file", 3),
        tracer.write("file", b"more", 4),
        tracer.sync("file"),
    ]
    assert after(tracer, lines, fate) == {"file": b"NEW\0more"}


def test_half_of_it_may_be_there_in_any_part(tracer):
    lines = [tracer.write("file", bytes([at]) * 600, 600 * at) for at in range(1, 9)]
    seen = {after(tracer, lines, "half", seed)["file"] for seed in range(30)}
    assert len(seen) > 10


def test_a_sync_covers_only_what_was_written_before_it_began(tracer):
    lines = [
        tracer.write("file", b"A", 0),
        tracer.sync("file", 8, " <unfinished ...>"),
        tracer.write("file", b"B", 1),
        "8  <... fdatasync resumed>) = 0",
    ]
    assert after(tracer, lines[:3], "dropped") == {"file": b"old."}
    assert after(tracer, lines, "dropped") == {"file": b"Ald."}


def test_a_name_is_there_when_its_directory_is_synced(tracer):
    made = [tracer.create("log"), tracer.write("log", b"1", 0), tracer.sync("log")]
    assert "log" not in after(tracer, made, "dropped")
    assert after(tracer, [*made, tracer.sync()], "dropped")["log"] == b"1"
    gone = [*made, tracer.sync(), tracer.unlink("log")]
    assert "log" in after(tracer, gone, "dropped")
    assert "log" not in after(tracer, [*gone, tracer.sync()], "dropped")


def test_it_knows_what_each_device_was_told(tracer):
    disk = Disk(tracer.directory, tracer.directory)
    assert (
        disk.play(tracer.send('{"type":"welcome","device":"pump","acked":3}')) is None
    )
    assert (
        disk.play(tracer.send('{"type":"ack","seq":4}{"type":"ack","seq":6}')) == "ack"
    )
    assert disk.acked == {"pump": 6}
