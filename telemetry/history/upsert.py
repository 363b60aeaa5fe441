"""Rows that only move forward: an upsert that never takes its order column back.

The ORM's has no condition, and costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection


class ForwardUpsert:
    """Writes rows of one table, whoever else writes them too.

    columns: each with its type on PostgreSQL. keys: what makes a row the same. order:
    the column that must not go back. A null of `lasting` columns leaves what is stored.
    """

    def __init__(
        self,
        table: str,
        columns: Mapping[str, str],
        keys: Sequence[str],
        order: str,
        lasting: Sequence[str] = (),
    ) -> None:
        self.columns = tuple(columns)
        into = f"INSERT INTO {table} AS stored ({', '.join(columns)})"
        moved = [
            f"{name} = COALESCE(excluded.{name}, stored.{name})"
            if name in lasting
            else f"{name} = excluded.{name}"
            for name in columns
            if name not in keys
        ]
        forward = (
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(moved)}"
            f" WHERE stored.{order} <= excluded.{order}"
        )
        values = ", ".join(["%s"] * len(columns))
        arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
        self._by_row = f"{into} VALUES ({values}){forward}"
        # One statement for any number of rows: a statement each holds up the commits
        # of ingest, which wait on the same thread, several times as long.
        columns_as_rows = f" SELECT * FROM unnest({arrays})"  # noqa: S608
        self._by_column = f"{into}{columns_as_rows}{forward}"

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of `columns`, no key twice. They are locked in this order."""
        if not rows:
            return
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                by_column = [list(column) for column in zip(*rows, strict=True)]
                cursor.execute(self._by_column, by_column)
            else:
                cursor.executemany(self._by_row, rows)
