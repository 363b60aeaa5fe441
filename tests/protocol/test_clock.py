"""Clock arithmetic, exact to the microsecond from 2000 to 2100."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.protocol import clock
from telemetry.protocol.limits import MIN_TIME_US

END_OF_2100_US = 4_133_980_799_999_999
NOW_US = 1_795_000_000_000_000
DAY_SECONDS = 86_400

times_us = st.integers(MIN_TIME_US, END_OF_2100_US)
floats = st.floats(allow_nan=True, allow_infinity=True)


class TestMilliseconds:
    @given(times_us)
    @example(END_OF_2100_US)
    @example(MIN_TIME_US)
    def test_every_microsecond_survives_the_wire(self, time_us: int):
        on_the_wire = json.loads(json.dumps(clock.to_ms(time_us)))
        assert clock.to_us(on_the_wire) == time_us

    @given(times_us)
    def test_as_a_float_of_messagepack_as_well(self, time_us: int):
        assert clock.to_us(float(clock.to_ms(time_us))) == time_us

    @given(times_us)
    def test_whole_milliseconds_are_integers(self, time_us: int):
        ms = clock.to_ms(time_us)
        assert isinstance(ms, int) is (time_us % 1000 == 0)

    @given(times_us, st.integers(-(10**12), 10**12))
    def test_rows_are_as_exact_as_instants(self, origin_us: int, offset_us: int):
        offset_ms = clock.to_ms(offset_us)
        (time_us,) = clock.row_times_us(origin_us, np.array([offset_ms], np.float64))
        assert time_us == origin_us + offset_us
        assert time_us == origin_us + clock.to_us(offset_ms)


class TestNonsense:
    @pytest.mark.parametrize(
        "ms", [float("nan"), float("inf"), float("-inf"), 1e300, -1e300, 4e15, 10**400]
    )
    def test_what_is_no_time_is_invalid(self, ms: float):
        assert clock.to_us(ms) == clock.INVALID_US
        assert not clock.is_plausible(clock.to_us(ms), NOW_US, DAY_SECONDS)

    @given(floats, st.lists(floats, min_size=1, max_size=5), floats)
    def test_sums_neither_overflow_nor_become_plausible_by_chance(
        self, base: float, offsets: list[float], uptime: float
    ):
        anchor_us = clock.anchor(
            min(abs(uptime), 1e13) if uptime == uptime else 0, 0, None
        )
        origin_us = anchor_us + clock.to_us(base)
        with np.errstate(all="raise"):
            times = clock.row_times_us(origin_us, np.array(offsets, np.float64))
        for time_us, offset in zip(times.tolist(), offsets, strict=True):
            if clock.to_us(offset) == clock.INVALID_US:
                assert time_us == clock.INVALID_US
            else:
                # Python's integers do not overflow.
                assert time_us == origin_us + clock.to_us(offset)
            if clock.INVALID_US in (clock.to_us(base), clock.to_us(offset)):
                assert not clock.is_plausible(time_us, NOW_US, DAY_SECONDS)


class TestPlausible:
    @pytest.mark.parametrize(
        ("time_us", "is_good"),
        [
            (MIN_TIME_US, True),
            (MIN_TIME_US - 1, False),
            (NOW_US + DAY_SECONDS * 1_000_000, True),
            (NOW_US + DAY_SECONDS * 1_000_000 + 1, False),
            (0, False),
        ],
    )
    def test_from_2000_to_a_day_ahead(self, time_us: int, is_good: bool):
        assert clock.is_plausible(time_us, NOW_US, DAY_SECONDS) is is_good


class TestAnchor:
    def test_first_hello(self):
        assert clock.anchor(60_000.5, NOW_US, None) == NOW_US - 60_000_500

    @given(st.integers(-2_000_000, 2_000_000))
    def test_kept_within_two_seconds(self, drift_us: int):
        kept = NOW_US - 60_000_000
        uptime_ms = (NOW_US - kept + drift_us) / 1000
        assert clock.anchor(uptime_ms, NOW_US, kept) == kept

    @pytest.mark.parametrize("drift_us", [2_001_000, -2_001_000, 10**12, -(10**12)])
    def test_fixed_anew_beyond(self, drift_us: int):
        kept = NOW_US - 60_000_000
        uptime_ms = (NOW_US - kept + drift_us) / 1000
        assert clock.anchor(uptime_ms, NOW_US, kept) == kept - drift_us


def test_now_is_in_microseconds():
    assert MIN_TIME_US < clock.now_us() < END_OF_2100_US
