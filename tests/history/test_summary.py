"""telemetry.history.summary: what merges exactly, in any grouping."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history import summary
from telemetry.history.summary import Summaries, joined, merged, of_all, of_readings

SECOND = 1_000_000
Readings = tuple[np.ndarray, np.ndarray]
finite = st.floats(allow_nan=False, allow_infinity=False)
small = st.floats(-1e6, 1e6)


def readings(values: st.SearchStrategy[float]) -> st.SearchStrategy[Readings]:
    """Times and values of up to 30 readings, by time; equal times too."""
    return st.lists(st.tuples(st.integers(0, 40), values), min_size=1, max_size=30).map(
        lambda pairs: (
            np.array(sorted(at for at, _ in pairs), np.int64) * SECOND,
            np.array([value for _, value in pairs]),
        )
    )


def starts_of(cuts: set[int], count: int) -> np.ndarray:
    return np.array(sorted({0} | {cut for cut in cuts if cut < count}), np.int64)


cuts = st.sets(st.integers(0, 29))


def naive(times_us, values) -> list[float]:
    """A summary's fields by plain loops."""
    steps = list(zip(values, values[1:], strict=False))
    held = zip(values, times_us, times_us[1:], strict=False)
    return [
        times_us[0],
        times_us[-1],
        len(values),
        min(values),
        max(values),
        math.fsum(values),
        values[0],
        values[-1],
        math.fsum(b - a if b >= a else b for a, b in steps),
        math.fsum(a * (after - at) / SECOND for a, at, after in held),
    ]


def same(one: Summaries, other: Summaries) -> None:
    assert len(one) == len(other)
    for name, dtype in zip(Summaries.__slots__, summary.DTYPES, strict=True):
        mine, yours = getattr(one, name), getattr(other, name)
        assert mine.dtype == yours.dtype == dtype
        if name in ("sum", "increase", "integral"):
            assert mine.tolist() == pytest.approx(yours.tolist(), rel=1e-9, abs=1e-3)
        else:
            assert mine.tobytes() == yours.tobytes(), name


@given(readings(small), cuts)
def test_each_part_is_summed_up_as_a_plain_loop_does(columns, cuts):
    times_us, values = columns
    starts = starts_of(cuts, len(values))
    rows = of_readings(times_us, values, starts)
    stops = [*starts[1:].tolist(), len(values)]
    for at, (start, stop) in enumerate(zip(starts.tolist(), stops, strict=True)):
        expected = naive(times_us[start:stop].tolist(), values[start:stop].tolist())
        found = [column[at] for column in rows.columns()]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(readings(small), cuts, cuts)
def test_merged_in_any_grouping_it_is_the_whole(columns, cuts, groups):
    times_us, values = columns
    rows = of_readings(times_us, values, starts_of(cuts, len(values)))
    whole = of_all(times_us, values)
    same(merged(rows, np.zeros(1, np.int64)), whole)
    once = merged(rows, starts_of(groups, len(rows)))
    same(merged(once, np.zeros(1, np.int64)), whole)


@given(readings(small), cuts)
def test_parts_joined_again_are_the_same(columns, cuts):
    rows = of_readings(columns[0], columns[1], starts_of(cuts, len(columns[1])))
    same(joined([rows.part(at, at + 1) for at in range(len(rows))]), rows)


@given(readings(finite), cuts)
def test_minimum_maximum_first_and_last_are_exact_to_the_bit(columns, cuts):
    _times_us, values = columns
    rows = of_readings(columns[0], columns[1], starts_of(cuts, len(values)))
    stored = set(values.view(np.int64).tolist())
    for column in (rows.minimum, rows.maximum, rows.first, rows.last):
        assert set(column.view(np.int64).tolist()) <= stored
    assert (rows.minimum <= rows.maximum).all()


@given(readings(finite), cuts, cuts)
def test_no_finite_reading_makes_a_summary_that_cannot_be_stored(columns, cuts, groups):
    rows = of_readings(columns[0], columns[1], starts_of(cuts, len(columns[1])))
    for each in (rows, merged(rows, starts_of(groups, len(rows)))):
        assert all(np.isfinite(column).all() for column in each.columns())


@pytest.mark.parametrize("largest", [sys.float_info.max, -sys.float_info.max])
def test_what_overflows_is_the_largest_float(largest: float):
    times_us = np.arange(4) * SECOND
    rows = of_all(times_us, np.array([largest] * 4))
    assert rows.sum.tolist() == rows.integral.tolist() == [largest]
    rows = of_readings(times_us, np.array([largest] * 4), np.array([0, 2]))
    whole = merged(rows, np.zeros(1, np.int64))
    assert whole.sum.tolist() == whole.integral.tolist() == [largest]


@pytest.mark.parametrize(
    "values, increase",
    [
        ([5.0], 0),
        ([0, 5, 9], 9),
        # A reset after 9: it has grown to 2 since.
        ([0, 5, 9, 2, 3], 12),
        ([9, 0, 9, 0], 9),
        ([3, 3], 0),
    ],
)
def test_a_step_down_of_a_counter_is_a_reset(values, increase):
    times_us = np.arange(len(values)) * SECOND
    found = of_all(times_us, np.array(values, float))
    assert found.increase.tolist() == [increase]
    singles = of_readings(times_us, np.array(values, float), np.arange(len(values)))
    assert merged(singles, np.zeros(1, np.int64)).increase.tolist() == [increase]


def test_each_value_is_held_until_the_next():
    found = of_all(np.array([0, 10, 15]) * SECOND, np.array([2.0, 4.0, 100.0]))
    assert found.integral.tolist() == [2 * 10 + 4 * 5]


@given(readings(small), cuts)
def test_without_area_the_rest_is_the_same(columns, cuts):
    starts = starts_of(cuts, len(columns[1]))
    work = np.full(len(columns[1]), np.nan)
    full = of_readings(columns[0], columns[1], starts, work=work)
    part = of_readings(columns[0], columns[1], starts, with_area=False)
    for one, other in zip(full.columns()[:-2], part.columns()[:-2], strict=True):
        assert one.tobytes() == other.tobytes()
    assert np.isnan(part.increase).all() and np.isnan(part.integral).all()
    assert np.isfinite(full.increase).all() and np.isfinite(full.integral).all()


def test_nothing_sums_up_to_nothing():
    none = np.zeros(0, np.int64)
    assert len(of_readings(none, np.zeros(0), none)) == 0
    assert len(merged(summary.NONE, none)) == 0
    assert len(joined([])) == 0
