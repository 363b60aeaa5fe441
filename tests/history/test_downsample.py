"""telemetry.history.downsample: few points, every spike, nothing made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.downsample import thin

from .rows import NOW_US

VALUES = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def readings(draw) -> tuple[np.ndarray, np.ndarray]:
    """Times ascending with repeats and long gaps, and values."""
    steps = draw(
        st.lists(
            st.sampled_from([0, 1, 1_000, 1_000_000, 10**15]), min_size=0, max_size=80
        )
    )
    values = draw(st.lists(VALUES, min_size=len(steps), max_size=len(steps)))
    return (
        np.cumsum(np.array(steps, np.int64), dtype=np.int64) + NOW_US,
        np.array(values, np.float64),
    )


@given(readings(), st.integers(2, 60))
def test_few_real_readings_with_the_extremes_among_them(given_readings, points):
    times_us, values = given_readings
    thin_times, thin_values = thin(times_us, values, points)
    assert len(thin_times) == len(thin_values) <= points or len(times_us) <= points
    kept = list(zip(thin_times.tolist(), thin_values.tolist(), strict=True))
    left = list(zip(times_us.tolist(), values.tolist(), strict=True))
    # In their order, each at most as often as it was.
    at = 0
    for reading in kept:
        at = left.index(reading, at) + 1
    if len(times_us):
        assert thin_values.min() == values.min()
        assert thin_values.max() == values.max()
    if points >= 4 and left:
        assert kept[0] == left[0]
        assert kept[-1] == left[-1]


@pytest.mark.parametrize("points", [2, 10, 100])
def test_one_spike_among_a_million_stays(points: int):
    times_us = np.arange(1_000_000, dtype=np.int64)
    values = np.zeros(1_000_000)
    values[765_432] = 1.0
    thin_times, thin_values = thin(times_us, values, points)
    assert len(thin_times) <= points
    assert thin_times[thin_values.argmax()] == 765_432


def test_little_is_left_as_it_is():
    times_us, values = np.array([1, 2, 3]), np.array([1.0, 1.0, 1.0])
    assert thin(times_us, values, 3)[0] is times_us


@pytest.mark.parametrize("points", [1, 0, -5])
def test_fewer_than_two_points_are_refused(points: int):
    with pytest.raises(ValueError, match=str(points)):
        thin(np.array([1]), np.array([1.0]), points)
