"""How much room the database takes, and giving freed room back to the disk.

The one module of the hub with SQL that asks a database about itself.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.db import connection, models
from django.db.models import Sum
from django.db.models.functions import Length
from django.db.transaction import TransactionManagementError

from .models import Block, Journal

# A row of Block without its data, and its entries in the indexes.
ROW_BYTES = 160
# PostgreSQL keeps what does not fit a row in pieces, four a page.
_PIECE_BYTES = 2_048
# What is dead is worth a VACUUM from here on.
_DEAD_SHARE = 0.1


def is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def database_bytes() -> int:
    """What the database takes, without the pages that are free to be used again.

    On PostgreSQL an estimate: what deleted rows have left free is not counted.
    """
    if is_sqlite():
        used = _number("PRAGMA page_count") - _number("PRAGMA freelist_count")
        return used * _number("PRAGMA page_size")
    if connection.vendor != "postgresql":
        return journal_bytes() + blocks_bytes()
    version: int = connection.pg_version  # type: ignore[attr-defined]
    if version >= 150_000:
        # Counts of rows are told with a delay: these are about what was just done.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
    return _number("SELECT pg_database_size(current_database())") - _number(
        _FREE_IN_PIECES, [[_table(Block), _table(Journal)]]
    )


# How much of the tables' pages no living piece needs.
_FREE_IN_PIECES = f"""
    SELECT coalesce(sum(greatest(
        0, pg_relation_size(toast.relid) - toast.n_live_tup * {_PIECE_BYTES}
    )), 0)::bigint
    FROM pg_class JOIN pg_stat_all_tables AS toast ON toast.relid = reltoastrelid
    WHERE pg_class.relname = ANY(%s) AND relnamespace = current_schema()::regnamespace
"""  # noqa: S608


def journal_bytes() -> int:
    """What waits to be sealed. Looks at every row of the journal."""
    if connection.vendor == "postgresql":
        return _table_bytes(Journal)
    return _sum(Journal, Length("columns") + Length("marks"))


def blocks_bytes() -> int:
    """What blocks take. Looks at every row of a SQLite file's blocks."""
    if connection.vendor == "postgresql":
        return _table_bytes(Block)
    return _sum(Block, Length("data") + ROW_BYTES)


def free_bytes() -> int | None:
    """What is free on the disk of a SQLite file; None if the database is elsewhere."""
    path = database_path()
    return None if path is None else shutil.disk_usage(path.parent).free


def database_path() -> Path | None:
    """The SQLite file; None for another database, or one in memory."""
    if not is_sqlite():
        return None
    with connection.cursor() as cursor:
        # (number, name, file) of each attached database.
        cursor.execute("PRAGMA database_list")
        names = [row[2] for row in cursor.fetchall() if row[1] == "main"]
    return Path(names[0]) if names and names[0] else None


def free_pages() -> int:
    """Pages of the SQLite file that hold nothing; 0 elsewhere."""
    return _number("PRAGMA freelist_count") if is_sqlite() else 0


def give_back(pages: int) -> int:
    """Give freed room back to the disk; returns how many bytes that was.

    On SQLite at most `pages` free pages: 1,000 of 4 KiB are some 10 ms, for which
    nothing else is written. On PostgreSQL a VACUUM of what many deleted rows were
    in, if there is any. Raises TransactionManagementError inside a transaction.
    """
    if connection.in_atomic_block:
        raise TransactionManagementError(
            "expected to give room back outside of a transaction"
        )
    if is_sqlite():
        return _vacuum_sqlite(pages)
    if connection.vendor == "postgresql":
        return _vacuum_postgresql()
    return 0


def _vacuum_sqlite(pages: int) -> int:
    before = _number("PRAGMA page_count")
    connection.ensure_connection()
    with connection.wrap_database_errors:
        # `execute` would free one page: it makes one step of the statement.
        connection.connection.executescript(f"PRAGMA incremental_vacuum({int(pages)})")
    return (before - _number("PRAGMA page_count")) * _number("PRAGMA page_size")


def _vacuum_postgresql() -> int:
    _flush_statistics()
    tables = [table for table in (_table(Block), _table(Journal)) if _is_dead(table)]
    before = _number("SELECT pg_database_size(current_database())")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"VACUUM {connection.ops.quote_name(table)}")
    return before - _number("SELECT pg_database_size(current_database())")


def _flush_statistics() -> None:
    """Counts of rows are told with a delay: now they are about what was just done."""
    version = getattr(connection, "pg_version", 0)
    if version >= 150_000:
        _number("SELECT count(*) FROM pg_stat_force_next_flush()")


def _is_dead(table: str) -> bool:
    """Whether many rows of a table, or pieces of them, are dead."""
    return bool(
        _number(
            """
            SELECT count(*) FROM pg_class AS own JOIN pg_stat_all_tables AS rows
            ON rows.relid IN (own.oid, own.reltoastrelid)
            WHERE own.relname = %s
            AND own.relnamespace = current_schema()::regnamespace
            AND rows.n_dead_tup > %s * (rows.n_live_tup + 1)
            """,
            [table, _DEAD_SHARE],
        )
    )


def _table_bytes(model: type[models.Model]) -> int:
    return _number("SELECT pg_total_relation_size(%s::regclass)", [_table(model)])


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table


def _sum(model: type[models.Model], size: Any) -> int:
    found = model._default_manager.aggregate(bytes=Sum(size))["bytes"]
    return int(found or 0)


def _number(query: str, parameters: list[Any] | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return int(cursor.fetchone()[0])
