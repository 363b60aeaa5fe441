"""telemetry.history.queries.held: since when a boolean or a text is what it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.history.models import TextReading
from telemetry.history.queries import held as module
from telemetry.history.queries.held import (
    DAY_US,
    POINTS,
    SPANS_US,
    Held,
    booleans_held,
    texts_held,
)
from telemetry.history.tail import Tail

from ..rows import NOW_US
from ..stored import clear, commit, seal, thin_out

pytestmark = pytest.mark.django_db

SECOND = 1_000_000
HOUR = 3600 * SECOND


def held(tail: Tail | None = None, most_readings: int = 10_000_000) -> Held | None:
    found = booleans_held([1], NOW_US, tail=tail, most_readings=most_readings)
    return found.get(1)


def runs(*parts: tuple[int, float], every_us: int = 60 * SECOND):
    """Readings up to now: (so long ago it began, the value) each, the oldest first."""
    begins = [NOW_US - ago for ago, _value in parts]
    ends = [*begins[1:], NOW_US]
    return [
        (time_us, value)
        for (_ago, value), begin, end in zip(parts, begins, ends, strict=True)
        for time_us in range(begin, end, every_us)
    ]


def test_nothing_is_known_of_who_has_not_spoken():
    assert held() is None
    commit(1, [(NOW_US - SPANS_US[-1] - HOUR, 1.0)])
    assert held() is None


def test_few_readings_tell_it_exactly():
    commit(1, [(NOW_US - 30, 0.0), (NOW_US - 20, 1.0), (NOW_US - 10, 1.0)])
    assert held() == Held(NOW_US - 20, is_least=False)


def test_what_was_always_so_is_so_at_least_since_the_first_reading():
    commit(1, [(NOW_US - 30, 1.0), (NOW_US - 20, 1.0)])
    assert held() == Held(NOW_US - 30, is_least=True)


def test_many_readings_are_searched_in_ever_smaller_buckets():
    readings = runs((20 * HOUR, 0.0), (2 * HOUR + 17 * SECOND, 1.0))
    assert len(readings) > POINTS
    seal(1, readings)
    assert held() == Held(NOW_US - 2 * HOUR - 17 * SECOND, is_least=False)


def test_a_value_of_last_week_is_found_in_the_longer_span():
    readings = runs((9 * DAY_US, 0.0), (7 * DAY_US, 1.0), every_us=HOUR)
    seal(1, readings)
    assert held() == Held(NOW_US - 7 * DAY_US, is_least=False)


def test_a_change_between_two_buckets_begins_with_the_next_reading():
    # One reading a bucket: no bucket has both values.
    width = DAY_US // POINTS
    readings = runs((20 * HOUR, 0.0), (3 * HOUR, 1.0), every_us=width // 2)
    seal(1, readings)
    expected = min(time_us for time_us, value in readings if value)
    assert held() == Held(expected, is_least=False)


def test_of_summaries_only_five_minutes_are_known():
    changed_us = NOW_US - 5 * DAY_US - 130 * SECOND
    readings = runs((9 * DAY_US, 0.0), (NOW_US - changed_us, 1.0), every_us=10 * SECOND)
    thin_out(1, readings)
    found = held()
    assert found is not None
    assert not found.is_least
    assert abs(found.since_us - changed_us) <= 300 * SECOND


def test_the_tail_counts_as_well():
    tail = Tail(1_000)
    commit(1, [(NOW_US - 50, 1.0)], tail)
    commit(1, [(NOW_US - 40, 0.0)], tail)
    assert held(tail) == Held(NOW_US - 40, is_least=False)


@pytest.mark.parametrize(("most", "is_known"), [(1_000_000, True), (10, False)])
def test_what_would_take_too_much_is_not_known(most: int, is_known: bool):
    seal(1, runs((20 * HOUR, 0.0), (2 * HOUR, 1.0)))
    assert (held(most_readings=most) is not None) is is_known


@given(st.lists(st.tuples(st.integers(1, DAY_US), st.booleans()), max_size=12))
@settings(max_examples=40)
def test_it_is_the_first_of_the_last_equal_values(readings):
    clear()
    by_time = {NOW_US - ago: float(value) for ago, value in readings}
    pairs = sorted(by_time.items())
    if pairs:
        commit(1, pairs)
    found = held()
    if not pairs:
        assert found is None
        return
    same = [time_us for time_us, value in pairs if value == pairs[-1][1]]
    others = [time_us for time_us, value in pairs if value != pairs[-1][1]]
    last_other = max(others, default=0)
    expected = min(time_us for time_us in same if time_us > last_other)
    assert found == Held(expected, is_least=not others)


def test_texts_hold_since_the_first_after_another_one():
    for ago, value in ((50, "off"), (40, "on"), (30, "on")):
        at = NOW_US - ago * SECOND
        TextReading.objects.create(series_id=2, time_us=at, received_us=at, value=value)
    found = texts_held({2: "on", 3: "never"}, NOW_US)
    assert found == {2: Held(NOW_US - 40 * SECOND, is_least=False)}
    TextReading.objects.filter(value="off").delete()
    found = texts_held({2: "on"}, NOW_US)
    assert found == {2: Held(NOW_US - 40 * SECOND, is_least=True)}


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (4, Held(NOW_US - 40 * SECOND, is_least=False)),
        (3, Held(NOW_US - 40 * SECOND, is_least=True)),
        (2, Held(NOW_US - 30 * SECOND, is_least=True)),
    ],
)
def test_only_so_many_of_the_last_texts_are_looked_at(most, expected, monkeypatch):
    monkeypatch.setattr(module, "MOST_TEXTS", most)
    for ago, value in ((50, "off"), (40, "on"), (30, "on"), (20, "on")):
        at = NOW_US - ago * SECOND
        TextReading.objects.create(series_id=2, time_us=at, received_us=at, value=value)
    assert texts_held({2: "on"}, NOW_US) == {2: expected}
