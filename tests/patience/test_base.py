"""telemetry.patience.base: a PostgreSQL that does not answer is given up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from hub_project import database_options, env
from telemetry import patience
from telemetry.history.journal import Gathered, Mark, Row, open_writer
from telemetry.history.models import Journal
from telemetry.protocol import clock
from tests.postgresql import as_default, new_database, wrapper
from tests.processes import wait_until

SECONDS = 0.3
GIVEN_UP = "PostgreSQL has not answered within 0.3 s"
Connect = Callable[[], Any]


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a command; `patience.begin` in a test ends with it."""
    monkeypatch.setattr(patience, "_seconds", None)


@pytest.fixture
def connect(
    postgres_url: str, tmp_path: Path, django_db_blocker: Any
) -> Iterator[Connect]:
    """Makes open connections, as the project's settings want them."""
    database = env.read_database({"DATABASE_URL": postgres_url}, tmp_path)
    settings = {
        **connections.settings["default"],
        **database,
        "ENGINE": "telemetry.patience",
        "OPTIONS": database_options.postgresql(database.get("OPTIONS", {})),
    }
    # None of these is the tests' own database.
    with django_db_blocker.unblock(), contextlib.ExitStack() as stack:

        def made() -> Any:
            new = wrapper(settings)
            stack.callback(new.close)
            new.ensure_connection()
            return new

        yield made


def answer_of(database: Any, sql: str, *parameters: Any) -> Any:
    with database.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchone()


def pid_of(database: Any) -> int:
    """The process of the server behind a connection."""
    pid: int = database.connection.info.backend_pid
    return pid


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_server_that_stands_still_is_given_up_and_connected_to_anew(
    connect: Connect,
) -> None:
    patience.begin(SECONDS)
    database = connect()
    with stopped(pid_of(database)):
        with pytest.raises(OperationalError, match=GIVEN_UP):
            answer_of(database, "SELECT 1")
        # As at the end of a request, and at the beginning of the next.
        database.close_if_unusable_or_obsolete()
        assert database.connection is None
        assert answer_of(database, "SELECT 2") == (2,)


def test_what_was_given_up_ends_on_the_server_too(connect: Connect) -> None:
    database, other = connect(), connect()
    pid = pid_of(database)
    patience.begin(SECONDS)
    with pytest.raises(OperationalError, match=GIVEN_UP):
        answer_of(database, "SELECT pg_sleep(3600)")
    running = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    wait_until(
        lambda: answer_of(other, running, pid) == (0,), "the server has ended it", 60
    )


def test_a_command_waits_for_as_long_as_it_takes(connect: Connect) -> None:
    assert answer_of(connect(), "SELECT 1 FROM pg_sleep(1)") == (1,)


def test_jobs_have_more_time_and_only_they(connect: Connect) -> None:
    patience.begin(SECONDS)
    database = connect()
    found = []
    job = patience.long(
        lambda: found.append(answer_of(database, "SELECT 1 FROM pg_sleep(1)"))
    )
    job()
    assert found == [(1,)]
    with pytest.raises(OperationalError, match=GIVEN_UP):
        answer_of(database, "SELECT 1 FROM pg_sleep(1)")


def test_a_job_that_fails_leaves_its_thread_the_usual_time() -> None:
    patience.begin(SECONDS)

    def fail() -> None:
        assert patience.limit_seconds() == SECONDS * patience.LONG
        raise OperationalError

    with pytest.raises(OperationalError):
        patience.long(fail)()
    assert patience.limit_seconds() == SECONDS


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_was_given_up_and_reached_the_disk_is_no_second_one(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database(postgres_url, tmp_path / "var")
    with as_default(url, monkeypatch):
        now = clock.now_us()
        gathered = Gathered(marks={(1, "s"): Mark(1)})
        row = Row(open_writer(now).id, 1, now, gathered)
        patience.begin(SECONDS)
        driver = connection.connection
        commit = driver.commit
        with contextlib.ExitStack() as stack:

            def stop_and_commit() -> None:
                stack.enter_context(stopped(driver.info.backend_pid))
                commit()

            monkeypatch.setattr(driver, "commit", stop_and_commit)
            with pytest.raises(OperationalError, match=GIVEN_UP):
                row.write()
            # It may wait for the one that has not ended: it does not go past it.
            with pytest.raises(OperationalError, match=GIVEN_UP):
                row.write()
        patience.begin(30)
        wait_until(lambda: Journal.objects.count() == 1, "the first one is through")
        row.write()
        assert Journal.objects.count() == 1
