"""telemetry.history.sqlite: the file that a first connection makes."""

from __future__ import annotations

import sqlite3

import pytest

from telemetry.history import sqlite
from telemetry.history.sqlite.base import DatabaseWrapper


@pytest.fixture
def made(tmp_path, django_db_blocker):
    """A connection, through Django and the project's options, to a file it has made."""
    settings = {
        "NAME": str(tmp_path / "hub.sqlite3"),
        "OPTIONS": {**sqlite.OPTIONS},
        "TIME_ZONE": None,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "AUTOCOMMIT": True,
        "ATOMIC_REQUESTS": False,
    }
    wrapper = DatabaseWrapper(settings)
    # A connection of its own: the tests' database is not touched.
    with django_db_blocker.unblock():
        with wrapper.cursor() as cursor:
            cursor.execute("CREATE TABLE reading (value REAL)")
        yield wrapper
        wrapper.close()


def pragma(wrapper: DatabaseWrapper, name: str) -> object:
    with wrapper.cursor() as cursor:
        return cursor.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(
    "name, value",
    [
        ("page_size", 4096),
        ("auto_vacuum", 2),  # INCREMENTAL
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL
        ("secure_delete", 0),
        ("foreign_keys", 1),
        ("busy_timeout", 10_000),
    ],
)
def test_connection_has(made, name, value):
    assert pragma(made, name) == value


def test_file_keeps_what_has_to_be_set_before_wal(made, tmp_path):
    made.close()
    with sqlite3.connect(tmp_path / "hub.sqlite3") as other:
        found = [
            other.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "auto_vacuum", "journal_mode")
        ]
    other.close()
    assert found == [4096, 2, "wal"]


def test_transactions_take_the_write_lock_first(made):
    assert made.get_connection_params() and made.transaction_mode == "IMMEDIATE"


def test_projects_own_database_uses_them():
    from django.conf import settings  # The tests may run on another database.

    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite"):
        pytest.skip("not on SQLite")
    assert database["OPTIONS"]["init_command"].split("; ") == list(sqlite.PRAGMAS)
