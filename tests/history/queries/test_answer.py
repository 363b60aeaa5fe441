"""telemetry.history.queries.answer: duty of booleans, rate of counters, by table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.queries.answer import SeriesBuckets
from telemetry.history.queries.cut import Cut, edges_of

SECOND = 1_000_000


def cut(readings, from_s: float, to_s: float, width_s: float, before=None):
    """Readings (s, value) of a range in buckets; `before` as (s, value)."""
    from_us, to_us = int(from_s * SECOND), int(to_s * SECOND)
    made = Cut(edges_of(from_us, to_us, int(width_s * SECOND)))
    inside = [(at, value) for at, value in readings if from_s <= at < to_s]
    made.add_readings(
        np.array([at * SECOND for at, _ in inside], np.int64),
        np.array([value for _, value in inside], float),
    )
    held = before and (int(before[0] * SECOND), float(before[1]))
    return SeriesBuckets(None, *made.buckets(), held, from_us, to_us)


@pytest.mark.parametrize(
    "readings, before, expected",
    [
        # On at 5 until the reading at 10: half of the first bucket. After it nothing.
        ([(0, 0), (5, 1), (10, 0)], None, [0.5, 0.0]),
        # Held into the bucket from before the range.
        ([(5, 0), (10, 0)], (-100, 1), [0.5, 0.0]),
        # Unknown until the first reading.
        ([(5, 1), (10, 1)], None, [1.0, 1.0]),
        # Held from bucket to bucket: on from 8 to 14.
        ([(0, 0), (8, 1), (14, 0), (20, 0)], None, [0.2, 0.4, 0.0]),
        # A bucket without readings is a gap; what is held goes on after it.
        ([(0, 1), (25, 0), (30, 0)], None, [1.0, 0.5, 0.0]),
        # A single reading has no time: what it is.
        ([(3, 1)], None, [1.0]),
        ([(3, 1)], (-5, 0), [0.0]),
        ([(0, 1), (0, 0)], None, [0.5]),
        ([], (-5, 1), []),
    ],
)
def test_duty_is_the_share_of_known_time_that_is_true(readings, before, expected):
    found = cut(readings, 0, 40, 10, before)
    assert found.duty().tolist() == pytest.approx(expected)


def test_duty_ends_with_the_range():
    # The range ends within a bucket and begins within one.
    found = cut([(2, 1), (6, 0), (12, 0), (14, 1)], 2, 13, 10)
    assert found.duty().tolist() == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize(
    "readings, before, expected",
    [
        ([(0, 0), (5, 10), (10, 20)], None, [2.0, 2.0]),
        # From the last reading before the range.
        ([(5, 30)], (-5, 10), [2.0]),
        # A reset: it has grown from 0 to 4.
        ([(0, 100), (5, 110), (10, 4), (15, 14)], None, [2.0, 1.4]),
        ([(4, 5)], (-1, 7), [1.0]),
        # Over a gap: as fast as it was on average.
        ([(0, 0), (5, 10), (35, 100)], None, [2.0, 3.0]),
        # One reading tells nothing.
        ([(5, 30)], None, [math.nan]),
        ([], None, []),
    ],
)
def test_rate_is_the_growth_a_second(readings, before, expected):
    found = cut(readings, 0, 40, 10, before)
    assert found.rate().tolist() == pytest.approx(expected, nan_ok=True)


on_off = st.lists(
    st.tuples(st.integers(-20, 60), st.booleans()),
    max_size=20,
    unique_by=lambda it: it[0],
).map(sorted)


@given(on_off, st.integers(1, 20))
def test_duty_is_what_a_second_by_second_count_says(readings, width):
    earlier = [pair for pair in readings if pair[0] < 0]
    found = cut(readings, 0, 40, width, earlier[-1] if earlier else None)
    inside = [pair for pair in readings if 0 <= pair[0] < 40]
    for start_us, duty in zip(found.starts_us.tolist(), found.duty(), strict=True):
        start = start_us // SECOND
        seconds = range(start, min(start + width, inside[-1][0], 40))
        held = [[value for at, value in readings if at <= second] for second in seconds]
        known = [values[-1] for values in held if values]
        if known:
            assert duty == pytest.approx(sum(known) / len(known))
        else:
            assert 0 <= duty <= 1


@given(
    st.lists(
        st.tuples(st.integers(0, 39), st.integers(0, 99)),
        min_size=2,
        unique_by=lambda it: it[0],
    ).map(sorted),
    st.integers(1, 20),
)
def test_rates_of_buckets_add_up_to_the_whole_growth(readings, width):
    found = cut(readings, 0, 40, width)
    ends = [int(found.summaries.first_us[0]), *found.summaries.last_us.tolist()]
    seconds = np.diff(ends) / SECOND
    grown = np.nansum(found.rate() * seconds)
    values = [value for _, value in readings]
    whole = sum(
        after - value if after >= value else after
        for value, after in zip(values, values[1:], strict=False)
    )
    assert grown == pytest.approx(whole)
