"""telemetry.devices.latency: the histogram's buckets, sums and percentiles."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.devices import latency

Round = st.floats(0, 30_000, allow_nan=False)
Rounds = st.lists(Round, min_size=1, max_size=60)


def counted(rounds_ms: list[float]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for ms in rounds_ms:
        latency.add(counts, {latency.bucket_of(ms): 1})
    return counts


@pytest.mark.parametrize(
    ("ms", "bucket"),
    [
        (0.0, 0),
        (0.2, 0),
        (1.0, 0),
        (math.nextafter(1.0, 2), 1),
        (1.25, 1),
        (math.nextafter(1.25, 2), 2),
        (1.25**20, 20),
        (20_000.0, 45),
        (latency.ENDS_MS[-1], latency.LAST),
        (1e9, latency.LAST),
        (math.inf, latency.LAST),
    ],
)
def test_bucket_ends_at_its_edge(ms: float, bucket: int):
    assert latency.bucket_of(ms) == bucket


@given(Round)
def test_bucket_holds_what_is_counted_in_it(ms: float):
    bucket = latency.bucket_of(ms)
    assert ms <= latency.ENDS_MS[bucket]
    assert not bucket or ms > latency.ENDS_MS[bucket - 1]


@given(Rounds, st.integers(1, 100))
def test_percentile_is_in_the_bucket_of_the_true_one(rounds: list[float], percent: int):
    rank = -(-percent * len(rounds) // 100)
    true_ms = sorted(rounds)[rank - 1]
    estimated = latency.percentile_ms(counted(rounds), percent)
    assert estimated is not None
    assert latency.bucket_of(estimated) == latency.bucket_of(true_ms)


@given(Rounds)
def test_percentiles_rise(rounds: list[float]):
    counts = counted(rounds)
    found = [latency.percentile_ms(counts, percent) or 0 for percent in range(1, 101)]
    assert found == sorted(found)


@given(Rounds, Rounds)
def test_sum_of_two_is_the_histogram_of_both(one: list[float], other: list[float]):
    total = counted(one)
    latency.add(total, counted(other))
    assert total == counted(one + other)


def test_nothing_has_no_percentile():
    assert latency.percentile_ms({}, 50) is None
    assert latency.percentile_ms({3: 0}, 50) is None


def test_one_is_in_the_middle_of_its_bucket():
    assert latency.percentile_ms({0: 1}, 50) == 0.5
    assert latency.percentile_ms({1: 1}, 95) == 1.125
