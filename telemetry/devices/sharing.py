"""Whether other processes of the hub may write to the same database."""

from __future__ import annotations

from django.db import connection


def is_shared() -> bool:
    """True on PostgreSQL; a SQLite file belongs to one process. No I/O."""
    return connection.vendor != "sqlite"
