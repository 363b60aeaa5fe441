"""PostgreSQL's own programs: which ones fit the server, and how they reach it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from psycopg import conninfo
from psycopg.pq import Conninfo

# Where Debian puts them, a directory a version; only some are on the path.
DEBIAN = Path("/usr/lib/postgresql")
_SECONDS = 20


class NoProgram(Exception):
    """No program that fits; says what was expected and found."""


class OpenSecret(Exception):
    """DATABASE_URL has a secret that would be on the programs' command lines."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one version."""

    directory: Path
    version: str

    @property
    def major(self) -> int:
        return major(self.version)

    def path(self, name: str) -> str:
        return str(self.directory / name)


def major(version: str) -> int:
    """15 of "15.20"."""
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


def server_version() -> str:
    """Of the server of DATABASE_URL, such as "15.20". Raises DatabaseError."""
    connection.ensure_connection()
    number: int = connection.pg_version  # type: ignore[attr-defined]
    return f"{number // 10_000}.{number % 10_000}"


def find(least: int, *names: str) -> Programs:
    """All `names` of major version `least`, or the next one. Raises NoProgram."""
    found = sorted(_found(names), key=lambda each: each.major)
    for programs in found:
        if programs.major >= least:
            return programs
    listed = ", ".join(each.version for each in found) or "none"
    raise NoProgram(
        f"expected {' and '.join(names)} of PostgreSQL {least} or newer on the path or "
        f"in {DEBIAN}/*/bin (Debian: postgresql-client), got {listed}"
    )


def _found(names: tuple[str, ...]) -> list[Programs]:
    directories = [Path(each) for each in DEBIAN.glob("*/bin")]
    on_path = shutil.which(names[0])
    if on_path is not None:
        directories.append(Path(on_path).parent)
    found = []
    for directory in directories:
        if all(os.access(directory / name, os.X_OK) for name in names):
            version = _version(directory / names[0])
            if version:
                found.append(Programs(directory, version))
    return found


def _version(program: Path) -> str:
    try:
        done = subprocess.run(  # noqa: S603 # found above
            [str(program), "--version"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+(\.\d+)?", done.stdout)
    return found[0] if found and not done.returncode else ""


def reach() -> tuple[str, dict[str, str]]:
    """The connection string of DATABASE_URL, and the environment with its password.

    Arguments of a program are for everybody's eyes on the machine. Raises OpenSecret.
    """
    known = {each.keyword.decode() for each in Conninfo.get_defaults()}
    given: dict[str, Any] = connection.get_connection_params()
    words = {key: value for key, value in given.items() if key in known and value}
    password = words.pop("password", None)
    environment = dict(os.environ)
    found = sorted(_secrets() & words.keys())
    if found:
        raise OpenSecret(
            f"DATABASE_URL: expected no secret but the password, got {found[0]}, which "
            "PostgreSQL's programs take on their command line alone, for everybody's "
            "eyes: use a client key without a password, in a file of the hub's user"
        )
    if password:
        environment["PGPASSWORD"] = str(password)
    return conninfo.make_conninfo("", **words), environment


def _secrets() -> set[str]:
    """The words of a connection string that libpq would not show to anybody."""
    hidden = {each.keyword for each in Conninfo.get_defaults() if each.dispchar == b"*"}
    return {each.decode() for each in hidden} | {"scram_client_key", "scram_server_key"}
