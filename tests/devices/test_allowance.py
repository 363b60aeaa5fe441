from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry.devices.allowance import Allowance
from telemetry.protocol.limits import Limits


class TestAllowance:
    def test_the_first_hundred_are_free_then_twenty_a_minute(self):
        allowance = Allowance(Limits())
        assert allowance.take(1, 0, 1_000, 0.0) == 120
        assert allowance.take(1, 120, 10, 59.9) == 0
        assert allowance.take(1, 120, 100, 60.0) == 20

    def test_the_limit_of_a_device_holds(self):
        allowance = Allowance(Limits(new_series_per_minute=1_000))
        assert allowance.take(1, 250, 100, 0.0) == 6
        assert allowance.take(1, 256, 1, 0.0) == 0

    def test_devices_are_counted_apart(self):
        allowance = Allowance(Limits())
        assert allowance.take(1, 100, 20, 0.0) == 20
        assert allowance.take(2, 100, 20, 0.0) == 20

    def test_what_was_not_made_is_given_back(self):
        allowance = Allowance(Limits())
        assert allowance.take(1, 95, 100, 0.0) == 25
        allowance.give_back(1, 95, 25)
        assert allowance.take(1, 95, 100, 1.0) == 25

    @given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 300)), max_size=60))
    def test_no_run_of_wishes_gets_more_than_allowed(self, wishes):
        limits, now, has, made = Limits(), 0.0, 0, []
        allowance = Allowance(limits)
        for gap, wants in wishes:
            now += gap
            count = allowance.take(1, has, wants, now)
            made += [(now, has + n) for n in range(count)]
            has += count
        assert has <= limits.series_per_device
        late = [at for at, place in made if place >= limits.new_series_free]
        for start in late:
            assert sum(start <= at < start + 60 for at in late) <= 20
