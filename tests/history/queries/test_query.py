"""telemetry.history.queries.query: any series, any range, exactly what was stored."""

from __future__ import annotations

import numpy as np
import pytest

from telemetry import counters
from telemetry.history import journal
from telemetry.history.models import Journal, Writer
from telemetry.history.queries.query import read_sync
from telemetry.history.tail import Tail

from ..rows import NOW_US, bits, columns_of, write

pytestmark = pytest.mark.django_db(transaction=True)

DAY_US = 86_400_000_000


def read(series: int, from_us: int = 0, to_us: int = 2 * NOW_US):
    times_us, values = read_sync([series], from_us, to_us)[series]
    return list(zip(times_us.tolist(), values.tolist(), strict=True))


def test_an_exact_repeat_is_one_reading():
    write(1, 1, (1, NOW_US, 1.5), (1, NOW_US, 1.5))
    write(1, 2, (1, NOW_US, 1.5))
    write(2, 1, (1, NOW_US, 1.5))
    assert read(1) == [(NOW_US, 1.5)]


def test_two_values_at_one_time_are_two_readings_in_order_of_arrival():
    write(1, 1, (1, NOW_US, 3.0), (1, NOW_US, 1.0))
    write(1, 2, (1, NOW_US, 2.0), (1, NOW_US, 3.0))
    assert read(1) == [(NOW_US, 3.0), (NOW_US, 1.0), (NOW_US, 2.0)]


def test_zero_and_negative_zero_are_two_readings():
    write(1, 1, (1, NOW_US, 0.0), (1, NOW_US, -0.0), (1, NOW_US, 0.0))
    assert bits(value for _, value in read(1)) == bits([0.0, -0.0])


def test_times_are_sorted_whatever_came_first():
    write(1, 1, (1, NOW_US, 1.0), (2, NOW_US, 9.0), (1, NOW_US - 5, 2.0))
    write(1, 2, (1, NOW_US - 9, 3.0))
    assert [time - NOW_US for time, _ in read(1)] == [-9, -5, 0]


def test_a_range_holds_its_start_and_not_its_end():
    write(1, 1, *[(1, NOW_US + at, float(at)) for at in range(4)])
    found = read(1, NOW_US + 1, NOW_US + 3)
    assert [value for _, value in found] == [1.0, 2.0]


def test_each_series_asked_for_has_an_answer():
    found = read_sync([5, 6, 5], 0, NOW_US)
    assert sorted(found) == [5, 6]
    times_us, values = found[5]
    assert (times_us.dtype, values.dtype) == (np.int64, np.float64)
    assert len(times_us) == len(values) == 0
    assert read_sync([], 0, NOW_US) == {}


@pytest.mark.parametrize("days", [-3_000, -40, 0, 10])
def test_a_reading_is_found_however_far_from_its_arrival_it_is(days: int):
    time_us = NOW_US + days * DAY_US
    write(1, 1, (1, time_us, 1.0), received_us=NOW_US)
    assert read(1, time_us, time_us + 1) == [(time_us, 1.0)]


@pytest.mark.parametrize("from_us, to_us", [(-(2**62), 2**62), (0, 2**63 - 1)])
def test_a_range_without_end_is_read(from_us: int, to_us: int):
    write(1, 1, (1, NOW_US, 1.0))
    assert read(1, from_us, to_us) == [(NOW_US, 1.0)]


def test_nothing_is_in_a_range_after_the_end_of_time():
    write(1, 1, (1, NOW_US, 1.0))
    assert read(1, 2**62, 2**63 - 1) == []


def test_more_rows_than_a_page_are_read(monkeypatch):
    monkeypatch.setattr(journal, "PAGE_ROWS", 10)
    for number in range(1, 52):
        write(1, number, (1, NOW_US + number, 1.0))
    assert len(read(1)) == 51


def test_a_corrupt_row_is_counted_and_the_rest_is_read(caplog):
    for number in (1, 2, 3):
        write(1, number, (1, NOW_US + number, 1.0))
    Journal.objects.filter(number=2).update(columns=b"\x63")
    before = counters.CORRUPT_ROWS._value.get()
    assert [time - NOW_US for time, _ in read(1)] == [1, 3]
    assert counters.CORRUPT_ROWS._value.get() == before + 1
    assert "1/2" in caplog.text


def test_what_is_left_of_sealed_rows_is_not_read_again(caplog):
    writer = journal.open_writer(NOW_US).id
    for number in (1, 2, 3):
        write(writer, number, (1, NOW_US + number, 1.0))
    Journal.objects.filter(number=2).update(columns=b"\x63")
    Writer.objects.filter(id=writer).update(sealed_to=2)
    # Of another process, which has sealed more than this one's tail knows of.
    tail = Tail(1_000)
    tail.add(writer, 1, columns_of([(1, NOW_US + 1, 1.0)]))
    before = counters.CORRUPT_ROWS._value.get()
    for each in (None, tail):
        times_us, _ = read_sync([1], NOW_US + 2, 2 * NOW_US, each)[1]
        assert (times_us - NOW_US).tolist() == [3]
    assert counters.CORRUPT_ROWS._value.get() == before
    assert not caplog.records
