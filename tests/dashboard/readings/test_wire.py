"""What charts load: short, and exact where it has to be."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.dashboard.readings.wire import encode
from telemetry.history.queries.buckets import Answer, SeriesBuckets
from telemetry.history.summary import NONE, of_readings

EMPTY = np.zeros(0, np.int64)
FINITE = st.floats(-1e100, 1e100)


def answer_of(values: list[float], width_us: int | None) -> Answer:
    times = np.arange(len(values), dtype=np.int64) * 1_000_000
    column = np.array(values, np.float64)
    starts = np.arange(0, len(values), 2, dtype=np.int64)
    found = (
        SeriesBuckets((times, column), EMPTY, EMPTY, NONE, None, 0, 10**9)
        if width_us is None
        else SeriesBuckets(
            None,
            starts * 1_000_000,
            (starts + 2) * 1_000_000,
            of_readings(times, column, starts),
            None,
            0,
            10**9,
        )
    )
    return Answer(0, 10**9, width_us, 0, {1: found}, readings=len(values))


def sent(values: list[float], width_us: int | None):
    body = msgspec.json.decode(encode(answer_of(values, width_us), ()))
    return body["series"]["1"]


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_readings_are_exact(values):
    assert sent(values, None)["values"] == values


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_extremes_are_exact_and_means_lie_between_them(values):
    with np.errstate(over="ignore"):
        found = sent(values, 2_000_000)
    assert found["max"] == [max(values[at : at + 2]) for at in range(0, len(values), 2)]
    assert found["min"] == [min(values[at : at + 2]) for at in range(0, len(values), 2)]
    spread = max(values) - min(values)
    for at, mean in enumerate(found["mean"]):
        exact = math.fsum(v / 2 for v in values[2 * at : 2 * at + 2])
        if len(values) > 2 * at + 1 and mean is not None and spread < 1e100:
            assert abs(mean - exact) <= max(spread * 2e-6, abs(exact) * 1e-12)


def test_a_mean_has_no_more_digits_than_a_chart_can_show():
    assert sent([20.1, 20.2, 20.3, 20.4, 20.55, 20.6], 2_000_000)["mean"] == [
        20.15,
        20.35,
        20.575,
    ]
    # A large number with a small spread keeps what tells its values apart.
    assert sent([1e9, 1e9 + 0.001], 2_000_000)["mean"] == pytest.approx(
        [1e9 + 0.0005], abs=1e-6
    )


def test_whole_numbers_are_written_as_such():
    body = encode(answer_of([20.0, 21.0, -3.0], None), ())
    assert b'"values":[20,21,-3]' in body


def test_a_series_without_anything_is_left_out():
    empty = SeriesBuckets((EMPTY, np.zeros(0)), EMPTY, EMPTY, NONE, None, 0, 10)
    assert b'"series":{}' in encode(Answer(0, 10, None, 0, {1: empty}), ())
    known = SeriesBuckets(None, EMPTY, EMPTY, NONE, (5, 2.5), 10, 20)
    body = msgspec.json.decode(encode(Answer(10, 20, 10, 0, {1: known}), (1,)))
    assert body["series"]["1"]["before"] == [0.005, 2.5]
    assert body["series"]["1"]["last"] == [0.005, 2.5]
