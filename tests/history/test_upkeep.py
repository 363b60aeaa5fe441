"""telemetry.history.upkeep: what is due is done, by one process at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import connection

from telemetry.history import lease, upkeep
from telemetry.history.heads import HeadRow
from telemetry.history.journal import open_writer
from telemetry.history.models import Block, Journal, Lease, SeriesHead, Writer
from telemetry.history.raw_from import RawFrom
from telemetry.history.room import Room
from telemetry.history.tail import Tail
from telemetry.history.upkeep import Upkeep
from telemetry.protocol import clock

from .rows import columns_of, write

pytestmark = pytest.mark.django_db(transaction=True)


class Process:
    """One process's upkeep, with the tail that its own commits fill."""

    def __init__(self, seal_readings: int = 10, seal_seconds: float = 3_600) -> None:
        self.raw_froms: list[RawFrom] = []
        self.heads: list[HeadRow] = []
        self.tail = Tail(1_000)
        self.room = Room(1_000_000, 0)
        self.writer = open_writer(clock.now_us()).id
        self.number = 0
        self.upkeep = Upkeep(
            self.tail,
            self.room,
            self.raw_froms.append,
            self.heads.extend,
            seal_readings=seal_readings,
            seal_seconds=seal_seconds,
            sessions_per_device=8,
        )

    def commit(self, count: int, received_us: int | None = None) -> None:
        now = clock.now_us()
        self.number += 1
        readings = [(1, now + at, float(at)) for at in range(count)]
        write(self.writer, self.number, *readings, received_us=received_us or now)
        self.tail.add(self.writer, self.number, columns_of(readings))
        Writer.objects.filter(id=self.writer).update(folded_to=self.number)


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.upkeep.stop(10)


def test_few_young_readings_are_left_in_the_journal(process: Process) -> None:
    process.commit(9)
    process.upkeep.look()
    assert Journal.objects.count() == 1


def test_many_readings_are_sealed_and_the_tail_lets_them_go(process: Process) -> None:
    process.commit(6)
    process.commit(5)
    process.upkeep.look()
    assert not Journal.objects.exists()
    assert len(process.tail) == 0
    assert sum(Block.objects.values_list("count", flat=True)) == 11


def test_old_readings_are_sealed_however_few(process: Process) -> None:
    process.commit(1, received_us=clock.now_us() - 3_601_000_000)
    process.upkeep.look()
    assert not Journal.objects.exists()


def test_a_backlog_is_sealed_pass_after_pass(process: Process) -> None:
    for _ in range(5):
        process.commit(10)
    process.upkeep.look()
    assert not Journal.objects.exists()


def test_what_another_process_sealed_leaves_the_tail(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CATCH_UP_SECONDS", 0.0)
    other = Process()
    process.commit(11)
    other.upkeep.look()
    assert not Journal.objects.exists()
    assert len(process.tail) == 11
    process.upkeep.look()
    assert len(process.tail) == 0


def test_nothing_is_done_while_another_holds_the_lease(process: Process) -> None:
    held = lease.claim()
    assert held is not None
    process.commit(11)
    process.upkeep.look()
    assert Journal.objects.count() == 1
    held.release()
    process.upkeep.look()
    assert not Journal.objects.exists()


def test_the_lease_is_free_again_afterwards(process: Process) -> None:
    process.commit(11)
    process.upkeep.look()
    assert lease.claim() is not None


def test_a_dead_writers_rows_are_folded_and_sealed(process: Process) -> None:
    dead = Process()
    dead.commit(11)
    Writer.objects.filter(id=dead.writer).update(
        folded_to=0, heartbeat_at="2026-01-01T00:00:00Z"
    )
    process.upkeep.look()
    assert not Journal.objects.exists()
    assert SeriesHead.objects.get().value == 10.0
    assert Writer.objects.get(id=dead.writer).ended_at is not None


def test_what_retention_moved_is_handed_over(process: Process) -> None:
    now = clock.now_us()
    SeriesHead.objects.create(
        series_id=5,
        time_us=now,
        effective_us=now,
        received_us=now,
        value=1.0,
        raw_from_us=now - 1,
    )
    process.upkeep.look()
    assert process.raw_froms[-1].floor_us == now - 1


def test_what_another_process_thinned_out_is_known_at_the_next_look(
    process: Process,
) -> None:
    process.upkeep.look()
    known = len(process.raw_froms)
    process.upkeep.look()
    assert len(process.raw_froms) == known
    with lease.claimed() as held:
        assert held is not None
        now = clock.now_us()
        SeriesHead.objects.create(
            series_id=5,
            time_us=now,
            effective_us=now,
            received_us=now,
            value=1.0,
            raw_from_us=now - 7,
        )
    process.upkeep.look()
    assert process.raw_froms[-1].floor_us == now - 7


def test_last_values_of_an_import_are_handed_over_once_it_has_ended(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CATCH_UP_SECONDS", 0.0)
    began_before = Process()
    process.upkeep.look()
    imported = Process()
    imported.commit(3)
    process.upkeep.look()
    assert process.heads == []
    now = clock.now_us()
    SeriesHead.objects.create(
        series_id=1, time_us=now, effective_us=now, received_us=now, value=2.0
    )
    Writer.objects.filter(id=imported.writer).update(ended_at="2026-11-22T00:00:00Z")
    process.upkeep.look()
    process.upkeep.look()
    assert [head.value for head in process.heads] == [2.0]
    # Also of one that was writing when this process began to look.
    Writer.objects.filter(id=began_before.writer).update(
        ended_at="2026-11-22T00:00:00Z"
    )
    process.upkeep.look()
    assert len(process.heads) == 2


def test_the_thread_works_ends_and_survives_a_database_without_tables(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.01)
    table = Lease._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(Lease, table, "hidden")
    process.commit(11)
    process.upkeep.start()
    time.sleep(0.2)
    assert Journal.objects.count() == 1
    with connection.schema_editor() as editor:
        editor.alter_db_table(Lease, "hidden", table)
    until = time.monotonic() + 30
    while Journal.objects.exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.upkeep.stop(10)
    assert not Journal.objects.exists()
