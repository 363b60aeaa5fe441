"""Taking a backup: to a temporary name, and under its own only when it is on disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from django.db import connection

from .. import space
from . import archive, postgresql, sqlite_file
from .archive import Manifest

NAME = "hub-{:%Y%m%dT%H%M%SZ}.backup"
PATTERN = "hub-????????T??????Z.backup"


class NoRoom(Exception):
    """The disk has too little room for it."""


class Busy(Exception):
    """Another backup is being written to the same place."""


def free_name(directory: Path, now: datetime) -> Path:
    """The name of a backup that begins now."""
    return directory / NAME.format(now.astimezone(timezone.utc))


def take(final: Path, hub_version: str, reserve_bytes: int) -> Manifest:
    """Back up the database into `final`, replacing it. Raises what it can meet:
    NoRoom, Busy, DatabaseError, sqlite3.Error, NoProgram, Failed, OSError.

    reserve_bytes: what the disk must still have free afterwards.
    """
    check_room(final.parent, space.database_bytes() + reserve_bytes)
    made_at = datetime.now(timezone.utc)
    with _part(final) as part:
        if connection.vendor == "sqlite":
            source = Path(connection.settings_dict["NAME"])
            version = sqlite3.sqlite_version
            applied, counts = sqlite_file.copy(source, part)
        else:
            version, applied, counts = postgresql.dump(part)
        count = part.stat().st_size
        manifest = Manifest(
            format=archive.FORMAT,
            format_version=archive.FORMAT_VERSION,
            hub_version=hub_version,
            database=connection.vendor,
            database_version=version,
            made_at=made_at.isoformat(timespec="milliseconds"),
            migrations=applied,
            counts=counts,
            bytes=count,
            sha256=archive.digest(part, count),
        )
        with part.open("r+b") as file:
            archive.append(file, manifest)
        sqlite_file.sync(part)
        part.replace(final)
    sqlite_file.sync(final.parent)
    return manifest


def check_room(directory: Path, needed: int) -> None:
    """Raises NoRoom if the disk has less than `needed` bytes free."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise NoRoom(
            f"expected {-(-needed // 1_048_576):,} MiB free in {directory}, "
            f"got {free // 1_048_576:,} MiB"
        )


@contextlib.contextmanager
def _part(final: Path) -> Iterator[Path]:
    """A temporary file for one backup at a time; what a killed one left is replaced."""
    # One for all names that are made of the time: it never piles up.
    name = "hub.backup" if final.match(PATTERN) else final.name
    part = final.with_name(f"{name}.part")
    # A directory may be open to others: nobody's link is followed, nobody else reads.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(part, flags, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"another backup is being written to {part}") from error
        # Before the lock was had, the one who held it may have given this file its
        # final name.
        if not _is_at(part, file):
            raise Busy(f"another backup was being written to {part}")
        os.fchmod(file.fileno(), 0o600)
        try:
            file.truncate(0)
            yield part
        finally:
            # What has its final name is not to be had by this one any more: then the
            # next backup may have begun another here.
            if _is_at(part, file):
                part.unlink()


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether the open file is still the one with this name."""
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file.fileno()), there)


def prune(directory: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups with names made of the time."""
    old = sorted(directory.glob(PATTERN))[:-keep]
    for path in old:
        path.unlink()
    return old
