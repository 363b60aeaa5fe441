"""A disk rebuilt from a trace: a sync keeps what was written before it began."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from .calls import Replay
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

    def append(self, name: str, content: bytes) -> str:
        """To where the descriptor is."""
        path = escaped(str(self.directory / name))
        return f'7  write(5<{path}>, "{escaped(content)}", 9) = {len(content)}'

    def write_two(self, name: str, one: bytes, other: bytes, offset: int) -> str:
        path = escaped(str(self.directory / name))
        parts = ", ".join(
            f'{{iov_base="{escaped(each)}", iov_len={len(each)}}}'
            for each in (one, other)
        )
        size = len(one) + len(other)
        return f"7  pwritev(5<{path}>, [{parts}], 2, {offset}) = {size}"

    def rename(self, old: str, new: str) -> str:
        """Relative to the directory, as PostgreSQL does it."""
        return f'7  rename("{escaped(old)}", "{escaped(new)}") = 0'

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
    replay = replay_on(tracer)
    for line in lines:
        replay.play(line)
    into = tracer.directory.parent / "cut"
    replay.disk.cut(fate, random.Random(seed), into)
    found = {
        str(path.relative_to(into)): path.read_bytes()
        for path in into.rglob("*")
        if path.is_file()
    }
    shutil.rmtree(into)
    return found


def replay_on(tracer: Tracer) -> Replay:
    disk = Disk(tracer.directory, lambda name: name.endswith("-shm"))
    return Replay(disk, tracer.directory)


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


def test_a_file_is_replaced_when_its_directory_is_synced(tracer):
    made = [
        tracer.create("new"),
        tracer.append("new", b"n"),
        tracer.append("new", b"ew"),
        tracer.sync("new"),
        tracer.rename("new", "file"),
    ]
    assert after(tracer, made, "dropped") == {"file": b"old."}
    assert after(tracer, made, "kept") == {"file": b"new"}
    assert after(tracer, [*made, tracer.sync()], "dropped") == {"file": b"new"}


def test_a_file_of_an_old_name_is_another_than_the_new_one(tracer):
    lines = [tracer.unlink("file"), tracer.create("file"), tracer.append("file", b"N")]
    assert after(tracer, lines, "dropped") == {"file": b"old."}
    assert after(tracer, [*lines, tracer.sync("file")], "dropped")["file"] == b"old."
    synced = [*lines, tracer.sync("file"), tracer.sync()]
    assert after(tracer, synced, "dropped") == {"file": b"N"}


def test_files_of_a_subdirectory_are_those_of_its_own_sync(tracer):
    (tracer.directory / "wal").mkdir()
    made = [tracer.create("wal/1"), tracer.append("wal/1", b"1"), tracer.sync("wal/1")]
    assert "wal/1" not in after(tracer, [*made, tracer.sync()], "dropped")
    assert after(tracer, [*made, tracer.sync("wal")], "dropped")["wal/1"] == b"1"


def test_what_is_written_in_pieces_is_one_write(tracer):
    lines = [tracer.write_two("file", b"A", b"BC", 2), tracer.sync("file")]
    assert after(tracer, lines, "dropped") == {"file": b"olABC"}


def test_a_write_that_has_not_ended_is_not_covered_by_a_sync(tracer):
    whole = tracer.write("file", b"A", 0)
    lines = [
        whole.replace(") = 1", " <unfinished ...>"),
        tracer.sync("file", 8),
        "7  <... pwrite64 resumed>) = 1",
    ]
    assert after(tracer, lines[:1], "kept") == {"file": b"Ald."}
    assert after(tracer, lines, "dropped") == {"file": b"old."}
    assert after(tracer, [*lines, tracer.sync("file", 8)], "dropped") == {
        "file": b"Ald."
    }


def test_what_others_do_is_no_business_of_the_disk(tracer):
    other = escaped(str(tracer.directory.parent / "file"))
    lines = [
        f'7  unlink("{other}") = 0',
        f'7  pwrite64(5<{other}>, "{escaped(b"N")}", 1, 0) = 1',
        f'7  unlink("{escaped(str(tracer.directory / "file"))}") = -1 EACCES (denied)',
        tracer.create("db-shm"),
    ]
    assert after(tracer, lines, "kept") == {"file": b"old."}


def test_a_call_that_it_cannot_replay_is_not_passed_over(tracer):
    path = escaped(str(tracer.directory / "file"))
    with pytest.raises(AssertionError, match="sendfile"):
        replay_on(tracer).play(f"7  sendfile(5<{path}>, 6<{path}>, NULL, 9) = 9")


def test_it_knows_what_each_device_was_told(tracer):
    replay = replay_on(tracer)
    welcome = tracer.send('{"type":"welcome","device":"pump","acked":3}')
    assert replay.play(welcome) is None
    acks = tracer.send('{"type":"ack","seq":4}{"type":"ack","seq":6}')
    assert replay.play(acks) == "ack"
    assert replay.acked == {"pump": 6}
