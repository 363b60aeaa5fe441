"""The token bucket: what a device may send, and how long it waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry.ingest.rate import TokenBucket


def test_burst_is_free_and_the_rest_is_waited_for():
    bucket = TokenBucket(rate=100, burst=1_000)
    assert bucket.take(1_000, 50.0) == 0
    assert bucket.take(1, 50.0) == 0.01
    assert bucket.take(99, 50.0) == 1
    assert bucket.take(0, 51.0) == 0


def test_one_batch_may_exceed_the_burst_and_is_paid_for():
    bucket = TokenBucket(rate=10, burst=10)
    assert bucket.take(110, 1.0) == 10
    assert bucket.take(0, 6.0) == 5


def test_idle_time_earns_no_more_than_the_burst():
    bucket = TokenBucket(rate=10, burst=100)
    bucket.take(100, 1.0)
    assert bucket.take(100, 10_000.0) == 0
    assert bucket.take(10, 10_000.0) == 1


def test_no_rate_is_no_limit():
    bucket = TokenBucket(rate=0, burst=0)
    assert bucket.take(10**9, 1.0) == 0


def test_clock_that_goes_back_earns_nothing():
    bucket = TokenBucket(rate=10, burst=10)
    bucket.take(20, 100.0)
    assert bucket.take(0, 50.0) == 1


@given(
    st.lists(st.tuples(st.integers(0, 500), st.floats(0, 10)), min_size=1, max_size=50)
)
def test_who_waits_as_told_never_exceeds_rate_and_burst(steps: list[tuple[int, float]]):
    rate, burst, start = 100.0, 500.0, 1.0
    bucket, now, sent = TokenBucket(rate, burst), start, 0
    for readings, pause in steps:
        wait = bucket.take(readings, now)
        sent += readings
        now += wait + pause
        assert sent <= burst + rate * (now - start) + 1e-3
