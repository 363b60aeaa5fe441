"""telemetry.history.tier_rows: readings by 5 minutes, and rows put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history import tier_rows
from telemetry.history.summary import Summaries
from telemetry.history.tier_rows import BUCKET_US

from .thinning import SECOND_US, assert_same, expected

EXACT = ("count", "sum", "minimum", "maximum", "first_us", "last_us")
AS_NEAR_AS_POSSIBLE = ("increase", "integral")


def rows(*readings: tuple[float, float]) -> Summaries:
    """(seconds, value) of each reading, by time."""
    times = [int(seconds * SECOND_US) for seconds, _ in readings]
    return expected(times, [value for _, value in readings])


def one(found: Summaries, name: str) -> float:
    assert len(found) == 1
    return float(getattr(found, name)[0])


class TestOfReadings:
    def test_a_row_never_spans_two_buckets(self):
        found = rows((0, 1), (299.999999, 2), (300, 3), (901, 4))
        assert found.count.tolist() == [2, 1, 1]
        assert (found.first_us // BUCKET_US).tolist() == [0, 1, 3]
        assert (found.last_us // BUCKET_US).tolist() == [0, 1, 3]

    def test_no_readings_make_no_rows(self):
        assert len(rows()) == 0

    def test_times_before_1970_have_buckets_too(self):
        found = expected([-1, 0], [1.0, 2.0])
        assert found.count.tolist() == [1, 1]


class TestCombined:
    @given(
        values=st.lists(st.integers(-50, 50), min_size=1, max_size=60),
        step=st.integers(1, 200),
        cuts=st.lists(st.integers(0, 60), max_size=6),
    )
    def test_neighbours_become_what_they_were_cut_from(self, values, step, cuts):
        times = np.arange(len(values), dtype=np.int64) * step * SECOND_US
        edges = sorted({0, len(values), *(min(cut, len(values)) for cut in cuts)})
        parts = [
            expected(times[start:stop], values[start:stop])
            for start, stop in zip(edges[:-1], edges[1:], strict=True)
        ]
        found = tier_rows.combined(parts[::-1])
        assert_same(found, expected(times, values))

    @given(
        readings=st.lists(
            st.tuples(st.integers(0, 900), st.integers(-50, 50), st.integers(0, 3)),
            min_size=1,
            max_size=60,
            unique_by=lambda reading: reading[0],
        )
    )
    def test_whatever_overlaps_keeps_all_but_two_exact(self, readings):
        readings.sort()
        parts = []
        for part in range(4):
            own = [(second, value) for second, value, of in readings if of == part]
            if own:
                parts.append(rows(*own))
        found = tier_rows.combined(parts)
        wanted = rows(*((second, value) for second, value, _ in readings))
        assert_same(found, wanted, but=AS_NEAR_AS_POSSIBLE)
        assert np.isfinite(found.integral).all()

    @pytest.mark.parametrize(
        "late",
        [[(50, 5)], [(0.5, 1), (99, 9)], [(50, 5), (150, 15)], [(-50, 0), (50, 5)]],
        ids=["one within", "all within", "past the end", "before the start"],
    )
    def test_a_counter_without_resets_keeps_its_increase(self, late):
        known = [(100 + second, 10 + second // 10) for second in range(0, 101, 10)]
        moved = [(100 + second, 10 + value) for second, value in late]
        found = tier_rows.combined([rows(*known), rows(*moved)])
        values = [value for _, value in known + moved]
        assert one(found, "increase") == max(values) - min(values)

    def test_late_readings_within_a_row_leave_its_integral(self):
        known = rows((0, 2), (100, 4))
        found = tier_rows.combined([known, rows((40, 9), (60, 9))])
        assert one(found, "integral") == 200.0
        assert one(found, "maximum") == 9

    def test_what_lasts_longer_counts_beyond_the_row(self):
        known = rows((0, 2), (100, 2))
        found = tier_rows.combined([known, rows((50, 6), (150, 6))])
        assert one(found, "integral") == 100 * 2 + 50 * 6
        assert (one(found, "first"), one(found, "last")) == (2, 6)

    def test_readings_of_one_moment_are_all_counted(self):
        found = tier_rows.combined([rows((5, 1)), rows((5, 2)), rows((5, 1))])
        assert (one(found, "count"), one(found, "sum")) == (3, 4)
