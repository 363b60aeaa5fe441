"""The readings that benchmarks store: what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import shapes

START_US = 1_767_225_600_000_000


@pytest.mark.parametrize("shape", shapes.SHAPES, ids=lambda shape: shape.name)
class TestShape:
    def test_has_as_many_readings_as_asked_by_time(self, shape):
        times_us, values = shape.readings(1, START_US, 5_000)
        assert len(times_us) == len(values) == 5_000
        assert times_us.dtype == np.int64
        assert values.dtype == np.float64
        assert (np.diff(times_us) > 0).all()
        assert np.isfinite(values).all()

    def test_is_the_same_for_the_same_seed_and_another_for_another(self, shape):
        first = shape.readings(1, START_US, 5_000)
        again = shape.readings(1, START_US, 5_000)
        other = shape.readings(2, START_US, 5_000)
        assert all((a == b).all() for a, b in zip(first, again, strict=True))
        assert (first[1] != other[1]).any()


def test_the_regular_shape_is_on_the_second_with_2_decimals():
    times_us, values = shapes.REGULAR.readings(1, START_US, 5_000)
    assert (np.diff(times_us) == 1_000_000).all()
    assert (values == np.round(values, 2)).all()


def test_jitter_is_whole_milliseconds_around_the_second():
    (jittered,) = (shape for shape in shapes.SHAPES if "jitter" in shape.name)
    times_us, _ = jittered.readings(1, START_US, 5_000)
    off_us = times_us - START_US - np.arange(5_000) * 1_000_000
    assert (off_us % 1_000 == 0).all()
    assert 0 < np.abs(off_us).max() < 100_000


def test_the_counter_only_grows_but_for_resets():
    (counter,) = (shape for shape in shapes.SHAPES if shape.name == "counter")
    _, values = counter.readings(1, START_US, 100_000, 10_000_000)
    downs = np.flatnonzero(np.diff(values) < 0)
    assert len(downs) == 2
    assert (values[downs + 1] == 0).all()


def test_on_off_has_two_values():
    (on_off,) = (shape for shape in shapes.SHAPES if shape.name == "on/off")
    _, values = on_off.readings(1, START_US, 10_000)
    assert set(values.tolist()) == {0.0, 1.0}


class TestRealSets:
    def test_are_read_by_time_from_the_installed_package(self):
        sets = shapes.real_sets()
        assert [len(series) for series in sets.values()] == [1, 7]
        for times_us, values in (
            one for each in sets.values() for one in each.values()
        ):
            assert len(times_us) == len(values) > 4_000
            assert (np.diff(times_us) >= 0).all()
            assert np.isfinite(values).all()

    def test_repeated_keeps_values_and_steps(self):
        times_us, values = np.array([10, 20, 31]), np.array([1.0, 2.0, 3.0])
        later, same = shapes.repeated((times_us, values), 7)
        assert same.tolist() == [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]
        assert np.diff(later[:3]).tolist() == np.diff(later[3:6]).tolist() == [10, 11]
        assert (np.diff(later) > 0).all()
