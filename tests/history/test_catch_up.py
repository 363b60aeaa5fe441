"""telemetry.history.catch_up: what each process takes over from others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from telemetry.history import catch_up, lease
from telemetry.history.models import Journal, SeriesHead, Writer
from telemetry.protocol import clock

from .process import Process

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.rounds.stop(10)


def test_what_another_process_sealed_leaves_the_tail(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "CATCH_UP_SECONDS", 0.0)
    other = Process()
    process.commit(11)
    other.look()
    assert not Journal.objects.exists()
    assert len(process.tail) == 11
    process.look()
    assert len(process.tail) == 0


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
    process.look()
    assert process.raw_froms[-1].floor_us == now - 1


def test_what_another_process_thinned_out_is_known_at_the_next_look(
    process: Process,
) -> None:
    process.look()
    known = len(process.raw_froms)
    process.look()
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
    process.look()
    assert process.raw_froms[-1].floor_us == now - 7


def test_last_values_of_an_import_are_handed_over_once_it_has_ended(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "CATCH_UP_SECONDS", 0.0)
    began_before = Process()
    process.look()
    imported = Process()
    imported.commit(3)
    process.look()
    assert process.heads == []
    now = clock.now_us()
    SeriesHead.objects.create(
        series_id=1, time_us=now, effective_us=now, received_us=now, value=2.0
    )
    Writer.objects.filter(id=imported.writer).update(ended_at="2026-11-22T00:00:00Z")
    process.look()
    process.look()
    assert [head.value for head in process.heads] == [2.0]
    # Also of one that was writing when this process began to look.
    Writer.objects.filter(id=began_before.writer).update(
        ended_at="2026-11-22T00:00:00Z"
    )
    process.look()
    assert len(process.heads) == 2
