"""Percentiles of a histogram that never grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.fleet.report import Latencies


@given(st.lists(st.floats(2e-5, 100), min_size=1), st.sampled_from([0.5, 0.99, 1.0]))
def test_a_percentile_is_right_to_five_percent(seconds, part) -> None:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    ranked = sorted(seconds)
    true = next(s for n, s in enumerate(ranked, 1) if n >= part * len(ranked))
    assert true * 0.99 <= latencies.percentile(part) <= true * 1.06


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e9])
def test_extremes_are_counted_at_the_ends(seconds: float) -> None:
    latencies = Latencies()
    latencies.add(seconds)
    assert latencies.count == 1
    assert latencies.percentile(0.5) > 0


def test_nothing_has_no_percentile() -> None:
    assert Latencies().percentile(0.99) == 0.0
