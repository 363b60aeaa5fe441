"""Out and in again: the same readings to the bit; twice changes nothing."""

from __future__ import annotations

import pytest

from telemetry.devices.models import Series
from telemetry.history.journal import open_writer
from telemetry.history.models import Journal, SeriesHead, TextReading, Writer
from telemetry.history.tail import Tail
from telemetry.history.watermarks import read_heads

from ..files import FORMATS, T, emptied, encoded, imported, readings, sealed
from ..rows import write


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("state", ["unsealed", "in the tail", "sealed", "both"])
def test_an_empty_hub_gets_the_same_readings_to_the_bit(awkward, format_, state):
    if state in ("sealed", "both"):
        sealed()
    if state == "both":
        writer = open_writer(T)
        series = Series.objects.get(name="temp").pk
        write(writer.pk, 1, (series, T + 5, 9.0), (series, T, 7.0))
        Writer.objects.filter(pk=writer.pk).update(folded_to=1)
    tail = None
    if state == "in the tail":
        tail = Tail(1_000_000)
        tail.load(0)
    before = readings()
    content = encoded(format_, tail)
    emptied()
    found = imported(content, format_)
    assert found.reasons() == []
    assert found.accepted == sum(map(len, before.values()))
    assert sorted(found.targets.made_devices) == ["a-first", "pump"]
    assert readings() == before
    sealed()
    assert readings() == before
    assert encoded(format_) == content


@pytest.mark.parametrize("format_", FORMATS)
def test_importing_twice_changes_nothing(awkward, format_):
    before, texts = readings(), TextReading.objects.count()
    content = encoded(format_)
    for _ in range(2):
        assert imported(content, format_).reasons() == []
        assert readings() == before
    sealed()
    assert readings() == before
    imported(content, format_)
    assert readings() == before
    assert TextReading.objects.count() == texts


def test_last_values_move_forward(transactional_db):
    imported("device,metric,time,value\npump,temp,2026-11-22T10:00:00Z,20\n")
    series = Series.objects.get().pk
    assert SeriesHead.objects.get().value == 20
    imported("device,metric,time,value\npump,temp,2026-11-22T09:00:00Z,19\n")
    (head,) = read_heads([series])
    assert (head.value, head.time_us) == (20, T)
    imported("device,metric,time,value\npump,temp,2026-11-22T11:00:00Z,21\n")
    assert SeriesHead.objects.get().value == 21
    assert set(Writer.objects.values_list("folded_to", flat=True)) == {1}
    assert not Writer.objects.filter(ended_at=None).exists()


def test_how_often_its_readings_were_made_is_known_at_once(transactional_db):
    lines = [f"pump,temp,2026-11-22T10:{minute:02}:00Z,20\n" for minute in range(30)]
    imported("device,metric,time,value\n" + "".join(lines))
    assert SeriesHead.objects.get().period_us == 60_000_000


def test_what_was_thinned_out_is_refused(transactional_db):
    imported("device,metric,time,value\npump,temp,2026-11-22T10:00:00Z,20\n")
    SeriesHead.objects.update(raw_from_us=T)
    found = imported(
        "device,metric,time,value\n"
        "pump,temp,2026-11-22T10:00:00Z,21\n"
        "pump,temp,2026-11-22T09:59:59.999999Z,19\n"
    )
    assert (found.accepted, found.reasons()) == (1, [(3, "bad_time")])
    assert "2026-11-22T10:00:00.000000Z" in found.refusals.listed[0].message


def test_a_row_holds_no_more_than_a_commit(transactional_db):
    line = "n,2026-11-22T10:00:0{0}.{1:06}Z,{1}\n"
    content = "metric,time,value\n" + "".join(
        line.format(at % 10, at) for at in range(45_000)
    )
    found = imported(content, slug="pump")
    assert found.accepted == 45_000
    counts = list(Journal.objects.order_by("number").values_list("count", flat=True))
    assert counts == [20_000, 20_000, 5_000]
