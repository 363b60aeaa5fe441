"""pg_dump of the database while the hub writes it, and a database from such a dump."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from django.db import connection, transaction

from . import archive, contents, programs
from .archive import Counts

# Blocks are compressed already, and the hub needs the processor.
COMPRESS = 1


class Failed(Exception):
    """A program of PostgreSQL ended with an error; what it said."""


def dump(target: Path) -> tuple[str, list[str], Counts]:
    """Dump the database as it is now; pg_dump's version, migrations, what is in it.

    The counts are of the very moment that is dumped. Raises DatabaseError, NoProgram,
    Failed.
    """
    found = programs.find(programs.major(programs.server_version()), "pg_dump")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # This session only waits while pg_dump works, and has to stay.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = str(cursor.fetchone()[0])
        cursor.execute(contents.APPLIED)
        applied = [f"{app}.{name}" for app, name in cursor.fetchall()]
        counts = {}
        for name, statement in contents.COUNTS.items():
            cursor.execute(statement)
            counts[name] = int(cursor.fetchone()[0])
        _dump(found, snapshot, target)
    return found.version, applied, Counts(**counts)


def _dump(found: programs.Programs, snapshot: str, target: Path) -> None:
    where, environment = programs.reach()
    command = [
        *(found.path("pg_dump"), "--format=custom", f"--compress={COMPRESS}"),
        *("--no-owner", "--no-privileges", f"--snapshot={snapshot}"),
        *(f"--exclude-table-data={contents.LEFT_OUT}", f"--dbname={where}"),
    ]
    # It is there, and nobody else may read it.
    number = os.open(target, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
    with open(number, "wb") as file, tempfile.TemporaryFile() as said:
        done = subprocess.run(  # noqa: S603 # found in its usual places
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=said,
            env=environment,
        )
        if done.returncode:
            raise Failed(f"pg_dump: {_last_words(said)}")


def is_used() -> bool:
    """Whether the database has any table. Raises DatabaseError."""
    return bool(connection.introspection.table_names())


def restore(path: Path, count: int, version: str) -> None:
    """Fill the empty database from the first `count` bytes of a backup.

    version: of the pg_dump that wrote it. All in one transaction, which only the last
    word commits: killed, or broken off, it leaves nothing. Raises NoProgram, Failed.
    """
    wanted = max(programs.major(version), programs.major(programs.server_version()))
    found = programs.find(wanted, "pg_restore", "psql")
    where, environment = programs.reach()
    connection.close()
    environment["PGOPTIONS"] = "-c client_min_messages=warning"
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
        psql = stack.enter_context(
            _started(
                [
                    *(found.path("psql"), "--no-psqlrc", "--quiet", "--file=-"),
                    *("--set=ON_ERROR_STOP=1", "--output=/dev/null"),
                    # A disk may take nothing for a while; who is gone is noticed.
                    f"--dbname={where} tcp_user_timeout=0",
                ],
                env=environment,
                stderr=said[0],
            )
        )
        stack.callback(_end, psql)
        try:
            _feed(psql, found, path, count, said[1])
        except BrokenPipeError:
            pass  # It has ended: its words say why.
        finally:
            _close(psql)
        if psql.wait():
            raise Failed(f"psql: {_last_words(said[0])}")


def _feed(
    psql: subprocess.Popen[bytes],
    found: programs.Programs,
    path: Path,
    count: int,
    said: IO[bytes],
) -> None:
    """BEGIN, what pg_restore makes of the backup, and COMMIT if that ended well."""
    to_psql = _stdin(psql)
    # pg_restore may take its time, whatever the server allows a session that waits.
    to_psql.write(b"SET idle_in_transaction_session_timeout = 0;\nBEGIN;\n")
    to_psql.flush()
    command = [found.path("pg_restore"), "--no-owner", "--no-privileges", "--file=-"]
    with _started(command, stdout=to_psql, stderr=said) as maker:
        to_maker = _stdin(maker)
        try:
            for piece in archive.pieces(path, count):
                to_maker.write(piece)
        except BrokenPipeError:
            pass  # The code of exit tells.
        finally:
            _close(maker)
        if maker.wait():
            _end(psql)
            raise Failed(f"pg_restore: {_last_words(said)}")
    # pg_restore leaves the search path empty.
    statements = [
        "SET search_path TO DEFAULT",
        *contents.SETTLE,
        f"SELECT setval(pg_get_serial_sequence('{contents.WRITERS}', 'id'), greatest("  # noqa: S608
        f"{contents.first_writer()}, (SELECT coalesce(max(id), 0) + 1"
        f" FROM {contents.WRITERS})), false)",
        "COMMIT",
    ]
    to_psql.write("".join(f"{each};\n" for each in statements).encode())
    to_psql.flush()


def _started(command: list[str], **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 # found in its usual places
        command, stdin=subprocess.PIPE, **streams
    )


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise ValueError("expected a process with a pipe to it")
    return process.stdin


def _close(process: subprocess.Popen[bytes]) -> None:
    # It may not want the rest.
    with contextlib.suppress(BrokenPipeError):
        _stdin(process).close()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read(65_536).decode("utf-8", "replace").strip().splitlines()
    errors = [each for each in lines if "error" in each.lower()] or lines[-1:]
    words = errors[0] if errors else "it said nothing"
    return re.sub(r"^\S*(pg_dump|pg_restore|psql):\S*\s*", "", words)[:300]
