"""telemetry.history.sqlite.base: a process's write transactions are in one line."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from django.db import OperationalError

from telemetry.history import sqlite
from telemetry.history.sqlite.base import DatabaseWrapper, turn_of
from tests.processes import wait_until

Connect = Callable[[], DatabaseWrapper]


@pytest.fixture
def connect(tmp_path, django_db_blocker) -> Iterator[Connect]:
    """Connections of this process to one file with the table `reading`."""
    made: list[DatabaseWrapper] = []

    def connect() -> DatabaseWrapper:
        settings = {
            "NAME": str(tmp_path / "hub.sqlite3"),
            "OPTIONS": {**sqlite.OPTIONS, "timeout": 0.2},
            "TIME_ZONE": None,
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": False,
            "AUTOCOMMIT": True,
            "ATOMIC_REQUESTS": False,
        }
        made.append(DatabaseWrapper(settings))
        # pytest-django keeps connections for the thread that made them.
        made[-1].inc_thread_sharing()
        # Its first statements wait for nobody's transaction.
        made[-1].ensure_connection()
        return made[-1]

    with django_db_blocker.unblock():
        with connect().cursor() as cursor:
            cursor.execute("CREATE TABLE reading (value REAL)")
        yield connect
        for each in made:
            each.close()


def begin(wrapper: DatabaseWrapper) -> None:
    wrapper.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def is_free(wrapper: DatabaseWrapper) -> bool:
    turn = turn_of(wrapper.settings_dict["NAME"])
    if turn.take(0):
        turn.give()
        return True
    return False


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_a_transaction_has_the_turn_until_its(connect, end):
    wrapper = connect()
    begin(wrapper)
    assert not is_free(wrapper)
    getattr(wrapper, end)()
    assert is_free(wrapper)
    # Ending it once more is nobody else's turn.
    other = connect()
    if end != "close":
        wrapper.set_autocommit(True)
    begin(other)
    wrapper.close()
    assert not is_free(other)
    other.rollback()


def test_a_commit_that_fails_keeps_the_turn_until_the_rollback(connect):
    wrapper = connect()
    with wrapper.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        cursor.execute(
            "CREATE TABLE child (of INTEGER REFERENCES parent (id)"
            " DEFERRABLE INITIALLY DEFERRED)"
        )
    begin(wrapper)
    with wrapper.cursor() as cursor:
        cursor.execute("INSERT INTO child VALUES (1)")
    with pytest.raises(Exception, match="FOREIGN KEY"):
        wrapper.commit()
    assert not is_free(wrapper)
    wrapper.rollback()
    assert is_free(wrapper)


def test_a_transaction_begins_when_the_one_before_it_ends(connect):
    first, second = connect(), connect()
    begin(first)
    has_begun = threading.Event()

    def write() -> None:
        begin(second)
        has_begun.set()
        second.commit()

    thread = threading.Thread(target=write)
    thread.start()
    turn = turn_of(first.settings_dict["NAME"])
    wait_until(lambda: bool(turn._waiting), "the second is in line")
    assert not has_begun.is_set()
    first.commit()
    thread.join()
    assert has_begun.is_set()


def test_who_waits_too_long_is_told_as_ever(connect):
    first, second = connect(), connect()
    begin(first)
    with pytest.raises(OperationalError, match="database is locked"):
        begin(second)
    first.commit()
    begin(second)
    second.commit()


def test_another_process_in_the_way_leaves_the_turn_free(connect, tmp_path):
    wrapper = connect()
    with closing(sqlite3.connect(tmp_path / "hub.sqlite3")) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            begin(wrapper)
        assert is_free(wrapper)


def test_files_do_not_wait_for_each_other(tmp_path):
    assert turn_of(str(tmp_path / "a")) is turn_of(str(tmp_path / "a"))
    assert turn_of(str(tmp_path / "a")) is not turn_of(str(tmp_path / "b"))
