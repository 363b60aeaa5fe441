"""telemetry.history.owners, on a real PostgreSQL: a claim and a commit always meet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from django.db import (
    DatabaseError,
    OperationalError,
    connection,
    connections,
    transaction,
)

from telemetry.history import journal, owners, watermarks
from telemetry.history.journal import Mark, Row
from telemetry.history.models import DeviceOwner, Journal, Writer
from telemetry.history.owners import Superseded
from tests.postgresql import as_default, new_database
from tests.processes import wait_until

from .rows import NOW_US, gathered

BOILER, PUMP = 1, 2


@pytest.fixture(scope="module")
def database_url(postgres_url, tmp_path_factory) -> str:
    return new_database(postgres_url, tmp_path_factory.mktemp("owners") / "var")


@pytest.fixture(autouse=True)
def postgresql(database_url, monkeypatch, django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock(), as_default(database_url, monkeypatch):
        for model in (Writer, Journal, DeviceOwner):
            model.objects.all().delete()
        yield


@pytest.fixture
def one() -> int:
    return journal.open_writer(NOW_US).id


@pytest.fixture
def other() -> int:
    return journal.open_writer(NOW_US).id


def row_of(writer: int, *devices: int, number: int = 1) -> Row:
    marks = {(device, "s"): Mark(number) for device in devices}
    readings = [(device, NOW_US, 1.0) for device in devices]
    return Row(writer, number, NOW_US, gathered(readings, marks=marks))


class Running:
    """A commit that has written its row and not committed yet, on its own thread."""

    def __init__(self, row: Row) -> None:
        self._may_commit = threading.Event()
        self._is_written = threading.Event()
        self._fault: Exception | None = None
        self.result: Future[None] = Future()
        threading.Thread(target=self._run, args=[row], daemon=True).start()
        assert self._is_written.wait(30), "the commit has written"

    def commit(self) -> None:
        self._may_commit.set()
        self.result.result(30)

    def fail(self) -> None:
        self._fault = OperationalError("the connection broke")
        self._may_commit.set()
        assert self.result.exception(30) is self._fault

    def _run(self, row: Row) -> None:
        try:
            with transaction.atomic():
                devices = {device for device, _ in row.gathered.marks}
                assert not owners.lost(devices, row.writer)
                marks, columns = row._content()
                Journal.objects.create(
                    writer_id=row.writer,
                    number=row.number,
                    received_at=journal.from_us(row.received_us),
                    count=len(row.gathered),
                    marks=marks,
                    columns=columns,
                )
                self._is_written.set()
                self._may_commit.wait(30)
                if self._fault is not None:
                    raise self._fault
        except Exception as error:
            self.result.set_exception(error)
        else:
            self.result.set_result(None)
        finally:
            connections.close_all()


@contextmanager
def beside(work) -> Iterator[Future[None]]:
    """`work()` on a thread of its own, which ends with the block."""
    result: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except Exception as error:
            result.set_exception(error)
        else:
            result.set_result(None)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield result
    thread.join(30)
    assert result.done()


def is_waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
        return bool(cursor.fetchone()[0])


class TestClaim:
    def test_tells_whose_the_devices_were(self, one, other):
        assert owners.owner_of(BOILER) == 0
        assert owners.claim([PUMP, BOILER], one) == {}
        assert owners.claim([BOILER], one) == {}
        assert owners.claim([BOILER, 3], other) == {BOILER: one}
        assert [owners.owner_of(each) for each in (BOILER, PUMP, 3)] == [
            *(other, one, other),
        ]

    def test_of_thousands_goes_in_slices(self, one, other):
        devices = range(1, 1_201)
        assert owners.claim(devices, one) == {}
        assert owners.claim(devices, other) == dict.fromkeys(devices, one)

    def test_many_at_once_deadlock_with_nobody(self, one, other):
        def claim(writer: int) -> None:
            for _ in range(20):
                owners.claim(range(1, 100), writer)

        with (
            beside(lambda: claim(one)) as first,
            beside(lambda: claim(other)) as second,
        ):
            pass
        assert first.result() is second.result() is None


class TestCommit:
    def test_waits_in_front_of_a_takeover(self, one, other, monkeypatch):
        monkeypatch.setattr(owners, "WAIT_MS", 20)
        owners.claim([BOILER], one)
        running = Running(row_of(one, BOILER))
        assert owners.claim([BOILER], other) == {BOILER: one}
        assert not owners.is_through(one)
        running.commit()
        assert owners.is_through(one)
        assert watermarks.last_mark(BOILER, "s", other) == Mark(1)

    def test_after_a_takeover_stores_nothing(self, one, other):
        owners.claim([BOILER, PUMP], one)
        owners.claim([BOILER], other)
        with pytest.raises(Superseded) as error:
            row_of(one, BOILER, PUMP).write()
        assert error.value.devices == {BOILER}
        assert not Journal.objects.exists()
        # Without them, under the same number.
        row_of(one, PUMP).write()
        assert watermarks.last_mark(BOILER, "s", other) is None
        assert watermarks.last_mark(PUMP, "s", other) == Mark(1)

    def test_without_numbers_needs_no_owner(self, one, other):
        owners.claim([BOILER], other)
        row_of(one).write()
        assert Journal.objects.count() == 1

    def test_repeated_after_a_takeover_is_a_success_if_it_was_stored(self, one, other):
        owners.claim([BOILER], one)
        row = row_of(one, BOILER)
        row.write()
        owners.claim([BOILER], other)
        row.write()
        assert Journal.objects.count() == 1

    @pytest.mark.parametrize("is_stored", [True, False])
    def test_repeated_waits_for_its_first_try_whose_client_is_gone(
        self, one, other, is_stored: bool
    ):
        owners.claim([BOILER], one)
        row = row_of(one, BOILER)
        running = Running(row)
        owners.claim([BOILER], other)
        with beside(row.write) as again:
            wait_until(is_waiting_for_a_lock, "the second try waits")
            if is_stored:
                running.commit()
            else:
                running.fail()
        if is_stored:
            assert again.result() is None
        else:
            assert isinstance(again.exception(), Superseded)
        assert Journal.objects.count() == is_stored

    def test_of_a_stopped_process_does_not_hold_up_a_takeover_for_ever(
        self, one, other, monkeypatch
    ):
        monkeypatch.setattr(owners, "STOPPED_MS", 200)
        owners.claim([BOILER], one)
        running = Running(row_of(one, BOILER))
        owners.claim([BOILER], other)
        wait_until(lambda: owners.is_through(one), "PostgreSQL ends the commit")
        with pytest.raises(DatabaseError):
            running.commit()
        assert not Journal.objects.exists()


def test_a_writer_taken_for_dead_is_read_for_who_follows_it(one, other):
    row_of(one, BOILER).write()
    watermarks.end_writer(one, NOW_US)
    key = (BOILER, "s")
    assert watermarks.last_marks([key], other) == {}
    assert watermarks.last_marks([key], other, also=[one]) == {key: Mark(1)}
    watermarks.show_life(one, NOW_US + 5)
    assert watermarks.last_marks([key], other) == {key: Mark(1)}
    assert owners.heartbeats().keys() == {one, other}
    assert owners.possible_writers(other) == {one}


def test_a_writer_taken_for_dead_may_still_have_stored_something(one, other):
    watermarks.end_writer(one, NOW_US)
    assert owners.possible_writers(other) == set()
    row_of(one, BOILER).write()
    assert owners.possible_writers(other) == {one}
