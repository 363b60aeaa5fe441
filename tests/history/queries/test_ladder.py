"""telemetry.history.queries.ladder: widths that people read, ranges that make sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.queries.ladder import (
    LADDER_US,
    BadRange,
    check_points,
    check_range,
    check_width,
    width_for,
)
from telemetry.protocol.clock import DAY_US

SECOND = 1_000_000


@pytest.mark.parametrize(
    "span_us, points, width_us",
    [
        (1, 1, 100_000),
        (100_000, 1, 100_000),
        (100_001, 1, 200_000),
        (30 * DAY_US, 1_000, 3_600 * SECOND),
        (DAY_US, 1_000, 120 * SECOND),
        (365 * DAY_US, 365, DAY_US),
        (365 * DAY_US, 364, 2 * DAY_US),
    ],
)
def test_the_width_is_the_narrowest_of_the_ladder(span_us, points, width_us):
    assert width_for(span_us, points) == width_us


@given(st.integers(1, 8_000 * 366 * DAY_US), st.integers(1, 10_000))
def test_a_span_makes_at_most_so_many_buckets(span_us: int, points: int):
    width_us = width_for(span_us, points)
    assert width_us * points >= span_us
    assert width_us in LADDER_US or width_us % DAY_US == 0


def test_widths_from_5_minutes_on_hold_whole_rows_of_a_tier():
    wide = [width_us for width_us in LADDER_US if width_us >= 300 * SECOND]
    assert all(width_us % (300 * SECOND) == 0 for width_us in wide)
    assert list(LADDER_US) == sorted(LADDER_US)


END = 253_402_300_800_000_000


@pytest.mark.parametrize("span", [(0, 1), (0, END), (END - 1, END)])
def test_a_range_in_the_years_1970_to_9999_makes_sense(span):
    check_range(*span)


@pytest.mark.parametrize(
    "span, message",
    [
        ((5, 5), "before to"),
        ((6, 5), "before to"),
        ((-1, 5), "from: expected"),
        ((5, END + 1), "to: expected"),
        ((-(2**80), 2**80), "1970"),
    ],
)
def test_another_range_does_not(span, message: str):
    with pytest.raises(BadRange, match=message):
        check_range(*span)


@pytest.mark.parametrize("points, series", [(1, 1), (10_000, 50), (1, 500_000), (1, 0)])
def test_points_are_bounded_alone_and_in_all(points: int, series: int):
    check_points(points, series)
    with pytest.raises(BadRange, match="expected"):
        check_points(points + 10_000, series)


@pytest.mark.parametrize("points, series", [(0, 1), (10_001, 1), (10_000, 51)])
def test_more_points_are_refused(points: int, series: int):
    with pytest.raises(BadRange, match="expected"):
        check_points(points, series)


@pytest.mark.parametrize("width_us, span_us", [(1, 10_001), (0, 1), (-5, 1)])
def test_a_width_that_makes_too_many_buckets_is_refused(width_us, span_us):
    check_width(1, 10_000)
    with pytest.raises(BadRange, match="width"):
        check_width(width_us, span_us)
