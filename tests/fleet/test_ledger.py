"""Checksums: order does not matter, how often does."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry.fleet.ledger import HELD, Ledger, Tally

readings = st.lists(
    st.tuples(
        st.integers(0, 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    max_size=2 * HELD,
)


def tally(rows) -> Tally:
    made = Tally()
    for time_us, value in rows:
        made.add(time_us, value)
    return made


@given(readings, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(rows, rng: random.Random) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert tally(rows).is_same(tally(shuffled))


@given(readings.filter(bool))
def test_a_reading_too_many_or_too_few_shows(rows) -> None:
    assert not tally(rows).is_same(tally([*rows, rows[0]]))
    assert not tally(rows).is_same(tally(rows[1:]))


@given(st.integers(0, 2**53), st.floats(-1e9, 1e9))
def test_another_time_or_value_shows(time_us, value) -> None:
    assert not tally([(time_us, value)]).is_same(tally([(time_us + 1, value)]))
    assert not tally([(time_us, value)]).is_same(tally([(time_us, value + 1)]))


@given(readings)
def test_one_by_one_and_as_arrays_is_the_same(rows) -> None:
    arrays = Tally()
    arrays.add_arrays(
        np.array([time for time, _ in rows], np.int64),
        np.array([value for _, value in rows], np.float64),
    )
    assert arrays.is_same(tally(rows))


def test_a_swap_of_values_between_times_shows() -> None:
    assert not tally([(1, 5.0), (2, 6.0)]).is_same(tally([(1, 6.0), (2, 5.0)]))


def test_a_ledger_keeps_devices_and_metrics_apart() -> None:
    ledger = Ledger()
    ledger.add("a", "temp", 5, 1.5)
    ledger.add("a", "door", 4, True)
    ledger.add("b", "state", 9, "on")
    assert ledger.count == 3
    assert (ledger.earliest_us, ledger.latest_us) == (4, 9)
    assert set(ledger.tallies) == {("a", "temp"), ("a", "door"), ("b", "state")}
