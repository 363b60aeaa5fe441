"""telemetry.history.tick: columns in order, and the part of one series."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.tick import NO_READINGS

from .rows import columns_of

READINGS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 12), st.floats(-1, 1)), max_size=40
)


@given(READINGS)
def test_columns_are_by_series_and_time_and_equal_times_by_arrival(readings):
    columns = columns_of(readings)
    found = zip(
        columns.series.tolist(),
        columns.times_us.tolist(),
        columns.values.tolist(),
        strict=True,
    )
    assert list(found) == sorted(readings, key=lambda reading: reading[:2])
    ids = [reading[0] for reading in readings]
    assert columns.ids.tolist() == sorted(set(ids))
    assert columns.counts.tolist() == [ids.count(each) for each in sorted(set(ids))]


@given(READINGS, st.integers(0, 7), st.integers(-1, 13), st.integers(-1, 13))
def test_part_of_a_series_is_half_open(readings, series, from_us, to_us):
    times_us, values = columns_of(readings).of(series, from_us, to_us)
    expected = [
        reading[1:]
        for reading in sorted(readings, key=lambda reading: reading[:2])
        if reading[0] == series and from_us <= reading[1] < to_us
    ]
    assert list(zip(times_us.tolist(), values.tolist(), strict=True)) == expected


def test_no_readings_are_columns_too():
    assert len(NO_READINGS) == 0
    assert len(NO_READINGS.of(1, 0, 10)[0]) == 0
    assert NO_READINGS.counts.tolist() == []
