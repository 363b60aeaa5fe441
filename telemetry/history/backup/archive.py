"""The file of a backup: the database's own format, and behind it a small zip archive.

The front is a SQLite file, or what pg_dump writes. The zip holds `manifest.json`,
which says how many bytes the front has, and their SHA-256. So nothing is copied twice,
a truncated file has no manifest, and both parts can be got at with common tools.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

FORMAT = "telemetry-hub-backup"
FORMAT_VERSION = 1
SQLITE = "sqlite"
POSTGRESQL = "postgresql"
_NAME = "manifest.json"
# Its lists grow by a few migrations a version; a file of strangers may be anything.
MANIFEST_BYTES = 1_048_576
_PIECE_BYTES = 1_048_576


class NoBackup(Exception):
    """The file is not what a backup looks like; says what was expected and found."""


class Counts(msgspec.Struct, frozen=True):
    """What is in a backup."""

    devices: int
    series: int
    readings: int
    texts: int


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself.

    database: SQLITE or POSTGRESQL; database_version: of the program that wrote the
    front. made_at: ISO 8601; all that was acknowledged before is in it. migrations:
    `app.name` of all that had been applied.
    """

    format: str
    format_version: int
    hub_version: str
    database: str
    database_version: str
    made_at: str
    migrations: list[str]
    counts: Counts
    bytes: int
    sha256: str


def append(file: BinaryIO, manifest: Manifest) -> None:
    """Put the manifest behind the front, which is all that the file has."""
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "w") as archive:
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        archive.writestr(_NAME, content)


def read(path: Path) -> Manifest:
    """The manifest of a backup. Raises NoBackup, OSError."""
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entry = archive.getinfo(_NAME)
                if entry.file_size > MANIFEST_BYTES:
                    raise NoBackup(f"a manifest of {entry.file_size:,} bytes")
                content = archive.read(entry)
            manifest = msgspec.json.decode(content, type=Manifest)
        except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
            raise NoBackup("no manifest at its end") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise NoBackup(f"a manifest that cannot be read ({error})") from error
    if manifest.format != FORMAT or manifest.format_version != FORMAT_VERSION:
        raise NoBackup(
            f"the format {manifest.format!r}, version {manifest.format_version}"
        )
    if manifest.database not in (SQLITE, POSTGRESQL):
        raise NoBackup(f"a database of the kind {manifest.database!r}")
    if manifest.bytes != entry.header_offset:
        raise NoBackup(
            f"{entry.header_offset:,} bytes of the database, not {manifest.bytes:,}"
        )
    return manifest


def digest(path: Path, count: int) -> str:
    """The SHA-256 of the first `count` bytes."""
    found = hashlib.sha256()
    for piece in pieces(path, count):
        found.update(piece)
    return found.hexdigest()


def pieces(path: Path, count: int) -> Iterator[bytes]:
    """The first `count` bytes, in pieces."""
    with path.open("rb") as file:
        while count > 0 and (piece := file.read(min(count, _PIECE_BYTES))):
            count -= len(piece)
            yield piece


def verify(path: Path, manifest: Manifest) -> None:
    """Read all of the front. Raises NoBackup if it is not what was written."""
    found = digest(path, manifest.bytes)
    if found != manifest.sha256:
        raise NoBackup(f"the checksum {found[:12]}…, not {manifest.sha256[:12]}…")
