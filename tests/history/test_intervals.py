"""telemetry.history.intervals, by way of Heads, that alone uses it."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.heads import HeadRow, Heads
from telemetry.history.intervals import (
    INTERVALS,
    LATE_US,
    LEAST,
    Intervals,
    device_periods_us,
    usual_intervals_us,
)
from telemetry.history.tick import NO_READINGS

from .rows import NOW_US, columns_of

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US


class Clocked:
    """Heads that get readings at arrival, in s after NOW."""

    def __init__(self) -> None:
        self.heads = Heads()
        self.number = 0

    def come(self, at: float, *readings: tuple[int, float], texts=()) -> None:
        """(series, s after NOW)…, all in one commit."""
        self.number += 1
        rows = [(one, NOW_US + round(s * SECOND_US), 1.0) for one, s in readings]
        self.heads.advance(
            columns_of(rows) if rows else NO_READINGS,
            [(one, NOW_US + round(s * SECOND_US), "on") for one, s in texts],
            writer=1,
            number=self.number,
            received_us=NOW_US + round(at * SECOND_US),
        )

    def period(self, series: int) -> float | None:
        self.heads.take_changed()
        found = int(self.heads.periods_us(np.array([series], np.int32))[0])
        return found / SECOND_US or None


class TestPeriod:
    @given(st.lists(st.integers(1, 10_000), min_size=1, max_size=45))
    def test_is_the_median_of_the_last_twenty_intervals(self, intervals):
        hub, now = Clocked(), 0
        hub.come(0, (1, 0))
        for interval in intervals:
            now += interval
            hub.come(now, (1, now))
        expected = median(intervals[-INTERVALS:]) if len(intervals) >= LEAST else 0
        assert (hub.period(1) or 0) == pytest.approx(expected, rel=1e-6)

    @given(
        st.lists(
            st.tuples(st.sampled_from([1, 2, 1_500, 4_000]), st.integers(1, 500)),
            max_size=60,
        )
    )
    def test_of_each_series_is_its_own(self, comings):
        together, alone = Clocked(), {n: Clocked() for n in (1, 2, 1_500, 4_000)}
        now = 0
        for series, seconds in comings:
            now += seconds
            together.come(now, (series, now))
            alone[series].come(now, (series, now))
        for series, hub in alone.items():
            assert together.period(series) == hub.period(series)

    def test_of_a_fast_series_is_taken_once_a_second(self):
        hub = Clocked()
        for tenth in range(100):
            hub.come(tenth / 10, (1, tenth / 10))
        assert hub.period(1) == pytest.approx(0.1)

    def test_of_readings_that_come_ten_at_a_time_is_how_far_apart_they_come(self):
        hub = Clocked()
        for batch in range(6):
            hub.come(10 * batch, *[(1, 10 * batch - n) for n in range(10)])
        assert hub.period(1) == 10

    def test_of_readings_that_were_kept_is_how_far_apart_they_were_read(self):
        hub = Clocked()
        hub.come(0, (1, 0))
        for part in range(30):
            # A day of one a minute comes in, in seconds.
            first = 60 * 48 * part
            hub.come(86_400 + part, *[(1, first + 60 * n) for n in range(1, 49)])
        assert hub.period(1) == 60

    def test_does_not_count_old_readings_nor_equal_times(self):
        hub = Clocked()
        for second in range(5):
            hub.come(second, (1, second))
        for second in range(5, 60):
            hub.come(second, (1, 4))
            hub.come(second, (1, 2))
        assert hub.period(1) == 1

    def test_of_a_clock_that_jumps_is_what_it_was(self):
        hub = Clocked()
        for second in range(30):
            hub.come(second, (1, second))
        for second in range(30, 34):
            hub.come(second, (1, second + 3_600))
        for second in range(34, 38):
            hub.come(second, (1, second))
        assert hub.period(1) == 1

    def test_of_texts_is_found_as_well(self):
        hub = Clocked()
        for minute in range(5):
            hub.come(60 * minute, texts=[(7, 60 * minute)])
        assert hub.period(7) == 60
        for batch in range(1, 30):
            at = 240 + 300 * batch
            hub.come(at, texts=[(7, at - 30), (7, at)])
        assert hub.period(7) == 300

    def test_is_not_known_of_series_that_never_came(self):
        assert Clocked().period(9_999) is None


class TestRestore:
    def row(self, effective_us: int, period_us: int | None) -> HeadRow:
        return HeadRow(
            5, effective_us, effective_us, effective_us, 1.0, "", None, period_us
        )

    def test_a_sleeper_s_period_outlives_a_restart(self):
        hub = Clocked()
        for hour in range(4):
            hub.come(hour * 3_600, (5, hour * 3_600))
        (row,) = hub.heads.take_changed().rows()
        assert row.period_us == HOUR_US
        later = Clocked()
        later.heads.restore([row])
        assert later.period(5) == 3_600
        # A single outlier does not move it.
        later.come(99_999, (5, 99_999))
        assert later.period(5) == 3_600

    def test_half_as_many_new_intervals_are_believed(self):
        hub = Clocked()
        hub.heads.restore([self.row(NOW_US, HOUR_US)])
        for second in range(1, 13):
            hub.come(second, (5, second))
        assert hub.period(5) == 1

    def test_what_was_heard_here_goes_before_what_is_older(self):
        hub = Clocked()
        for second in range(5):
            hub.come(second, (5, second))
        hub.heads.take_changed()
        hub.heads.restore([self.row(NOW_US - HOUR_US, HOUR_US), self.row(0, None)])
        assert hub.period(5) == 1
        hub.heads.restore([self.row(NOW_US + HOUR_US, HOUR_US)])
        assert hub.period(5) == 3_600

    def test_another_process_may_say_it(self):
        hub = Clocked()
        series = np.array([3, 2_000], np.int32)
        hub.heads.suppose_periods(series, np.array([0, 7 * SECOND_US]))
        assert (hub.period(3), hub.period(2_000)) == (None, 7)


def test_memory_grows_with_the_ids_alone():
    intervals = Intervals()
    intervals.grow(5_000)
    intervals.grow(100)
    assert intervals.periods_us(np.array([4_999])).tolist() == [0]


def test_a_file_s_readings_tell_by_their_own_times():
    minute = 60 * SECOND_US
    readings = [(1, NOW_US + n * SECOND_US, 1.0) for n in range(100)]
    readings += [(1, NOW_US + 99 * SECOND_US + n * minute, 1.0) for n in range(1, 25)]
    readings += [(2, NOW_US + n, 1.0) for n in range(LEAST)]
    readings += [(3, NOW_US, 1.0), (3, NOW_US, 2.0), (4, NOW_US, 1.0)]
    columns = columns_of(readings)
    found = usual_intervals_us(columns, np.array([1, 2, 3, 4], np.int32))
    assert found.tolist() == [minute, 0, 0, 0]


S = SECOND_US
DEVICES = [
    # (period, last, device)…; periods
    ("the fastest counts", [(S, 100 * S, 0), (60 * S, 90 * S, 0)], [S]),
    ("none is known", [(0, 100 * S, 0)], [0]),
    ("one is known", [(0, 100 * S, 0), (9 * S, 99 * S, 0)], [9 * S]),
    ("all are silent", [(20 * S, 100 * S, 0), (900 * S, 40 * S, 0)], [20 * S]),
    ("the fast one has stopped", [(S, 0, 0), (60 * S, LATE_US + 1, 0)], [60 * S]),
    ("it is not yet missed", [(S, 0, 0), (60 * S, LATE_US, 0)], [S]),
    ("two devices", [(S, 0, 1), (9 * S, 900 * S, 0)], [9 * S, S]),
    ("no series", [], []),
]


@pytest.mark.parametrize(("what", "rows", "expected"), DEVICES)
def test_a_device_s_period(what, rows, expected):
    periods, lasts, places = (
        np.array(column, np.int64)
        for column in (zip(*rows, strict=True) if rows else ([], [], []))
    )
    found = device_periods_us(periods, lasts, places.astype(np.int32), len(expected))
    assert found.tolist() == expected
