"""telemetry.history.keeper: what is due is done, by one process at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import connection

from telemetry.history import lease, rounds
from telemetry.history.models import Block, Journal, Lease, SeriesHead, Writer
from telemetry.protocol import clock

from .process import Process

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.rounds.stop(10)


def test_few_young_readings_are_left_in_the_journal(process: Process) -> None:
    process.commit(9)
    process.look()
    assert Journal.objects.count() == 1


def test_many_readings_are_sealed_and_the_tail_lets_them_go(process: Process) -> None:
    process.commit(6)
    process.commit(5)
    process.look()
    assert not Journal.objects.exists()
    assert len(process.tail) == 0
    assert sum(Block.objects.values_list("count", flat=True)) == 11


def test_old_readings_are_sealed_however_few(process: Process) -> None:
    process.commit(1, received_us=clock.now_us() - 3_601_000_000)
    process.look()
    assert not Journal.objects.exists()


def test_a_backlog_is_sealed_pass_after_pass(process: Process) -> None:
    for _ in range(5):
        process.commit(10)
    process.look()
    assert not Journal.objects.exists()


def test_nothing_is_done_while_another_holds_the_lease(process: Process) -> None:
    held = lease.claim()
    assert held is not None
    process.commit(11)
    process.look()
    assert Journal.objects.count() == 1
    held.release()
    process.look()
    assert not Journal.objects.exists()


def test_the_lease_is_free_again_afterwards(process: Process) -> None:
    process.commit(11)
    process.look()
    assert lease.claim() is not None


def test_a_dead_writers_rows_are_folded_and_sealed(process: Process) -> None:
    dead = Process()
    dead.commit(11)
    Writer.objects.filter(id=dead.writer).update(
        folded_to=0, heartbeat_at="2026-01-01T00:00:00Z"
    )
    process.look()
    assert not Journal.objects.exists()
    assert SeriesHead.objects.get().value == 10.0
    assert Writer.objects.get(id=dead.writer).ended_at is not None


def test_the_thread_works_ends_and_survives_a_database_without_tables(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.01)
    table = Lease._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(Lease, table, "hidden")
    process.commit(11)
    process.rounds.start()
    time.sleep(0.2)
    assert Journal.objects.count() == 1
    with connection.schema_editor() as editor:
        editor.alter_db_table(Lease, "hidden", table)
    until = time.monotonic() + 30
    while Journal.objects.exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.rounds.stop(10)
    assert not Journal.objects.exists()


def test_a_process_without_a_tail_keeps_the_history_for_those_that_have_one(
    process: Process,
) -> None:
    """As `runjobs` does for the workers."""
    jobs = Process()
    process.commit(11)
    jobs.room.measure()
    jobs.keeper.look()
    assert not Journal.objects.exists()
    assert len(process.tail) == 11
    process.catch_up.look()
    assert len(process.tail) == 0


def test_two_keepers_at_once_seal_each_reading_once(process: Process) -> None:
    keepers = [Process() for _ in range(3)]
    for each in keepers:
        each.rounds.start()
    for _ in range(20):
        process.commit(11)
    until = time.monotonic() + 30
    while Journal.objects.exists() and time.monotonic() < until:
        time.sleep(0.02)
    for each in keepers:
        assert each.rounds.stop(30)
    assert not Journal.objects.exists()
    # Each commit's times are its own.
    assert sum(Block.objects.values_list("count", flat=True)) == 220
