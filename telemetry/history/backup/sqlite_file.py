"""A copy of the SQLite file while the hub writes it, and a file from such a copy."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from . import archive, contents
from .archive import Counts

# 1 MiB of the usual pages, then as long a pause: half of the disk is the hub's.
STEP_PAGES = 256
LONGEST_PAUSE_SECONDS = 0.1
# To the disk now and then: all at the end would hold up the hub's own syncs.
SYNC_STEPS = 32


def copy(source: Path, target: Path) -> tuple[list[str], Counts]:
    """Copy the database as it is now; the applied migrations, and what is in it.

    target: an empty file. A read transaction holds the state of the beginning: without
    it, SQLite would begin again after each commit of another process.
    """
    with (
        contextlib.closing(sqlite3.connect(source)) as of,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as to,
    ):
        of.isolation_level = None
        of.execute("PRAGMA busy_timeout = 10000")
        of.execute("BEGIN")
        of.execute("SELECT count(*) FROM sqlite_master").fetchone()
        # It is nobody's yet: what breaks off is thrown away.
        to.execute("PRAGMA journal_mode = OFF")
        to.execute("PRAGMA synchronous = OFF")
        with target.open("rb") as file:
            of.backup(to, pages=STEP_PAGES, progress=_Pace(file.fileno()).step)
        return _finish(to)


class _Pace:
    """Pauses after each step for as long as it took."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._steps = 0
        self._from = time.monotonic()

    def step(self, status: int, remaining: int, total: int) -> None:
        self._steps += 1
        if self._steps % SYNC_STEPS == 0:
            os.fdatasync(self._descriptor)
        if remaining:
            took = time.monotonic() - self._from
            time.sleep(min(took, LONGEST_PAUSE_SECONDS))
        self._from = time.monotonic()


def _finish(copied: sqlite3.Connection) -> tuple[list[str], Counts]:
    """Make one plain file of it, without what is left out, also in freed pages."""
    copied.execute("PRAGMA journal_mode = DELETE")
    copied.execute("PRAGMA secure_delete = ON")
    copied.execute(f"DELETE FROM {contents.LEFT_OUT}")  # noqa: S608
    applied = [f"{app}.{name}" for app, name in copied.execute(contents.APPLIED)]
    counts = {
        name: int(copied.execute(statement).fetchone()[0])
        for name, statement in contents.COUNTS.items()
    }
    return applied, Counts(**counts)


def is_used(path: Path) -> bool:
    """Whether there is a database already, or what one left behind."""
    return any(path.with_name(path.name + end).exists() for end in ("", "-wal"))


def restore(path: Path, count: int, target: Path) -> None:
    """Make `target`, which must not exist, of the first `count` bytes of a backup.

    Raises NoBackup if SQLite does not find it whole. Killed, it leaves `.part`.
    """
    with _appearing(target) as part:
        with part.open("wb") as file:
            for piece in archive.pieces(path, count):
                file.write(piece)
        with contextlib.closing(sqlite3.connect(part)) as database:
            _settle(database)
            ((said,), *_more) = database.execute("PRAGMA quick_check(1)").fetchall()
        if said != "ok":
            raise archive.NoBackup(f"a database of which SQLite says: {said}")


def _settle(database: sqlite3.Connection) -> None:
    try:
        with database:
            for statement in contents.SETTLE:
                database.execute(statement)
            # Ids are never used again (AUTOINCREMENT): the table says where they are.
            name = contents.WRITERS
            ((before,),) = database.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?",
                [name],
            ).fetchall()
            database.execute("DELETE FROM sqlite_sequence WHERE name = ?", [name])
            database.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)",
                [name, max(before, contents.first_writer() - 1)],
            )
    except sqlite3.DatabaseError as error:
        raise archive.NoBackup(f"a database of which SQLite says: {error}") from error


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A name to write to; the file is under `target` only when it is whole."""
    part = target.with_name(target.name + ".part")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        os.close(os.open(part, flags, 0o600))
        yield part
        sync(part)
        # Unlike a rename, a link never takes another's place.
        os.link(part, target)
        sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file's content, or a directory's names, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
