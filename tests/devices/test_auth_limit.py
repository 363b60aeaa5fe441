from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry.devices.auth_limit import AuthLimit, network_of


def fail(limit: AuthLimit, times: int, now: float, address: str = "10.0.0.1"):
    return [limit.failed(address, now) for _ in range(times)]


class TestAuthLimit:
    def test_ten_failures_a_minute_are_answered_and_the_next_one_refused(self):
        assert fail(AuthLimit(), 12, 5.0) == [0.0] * 10 + [60.0, 60.0]

    def test_failures_during_a_refusal_do_not_lengthen_it(self):
        limit = AuthLimit()
        fail(limit, 11, 0.0)
        assert limit.failed("10.0.0.1", 59.0) == 1.0
        assert limit.failed("10.0.0.1", 60.0) == 0.0

    def test_refusals_double_up_to_a_quarter_of_an_hour(self):
        limit, now, waits = AuthLimit(), 0.0, []
        for _ in range(7):
            waits.append(fail(limit, 11, now)[-1])
            now += waits[-1]
        assert waits == [60, 120, 240, 480, 900, 900, 900]

    def test_a_quarter_of_an_hour_of_quiet_is_forgiven(self):
        limit = AuthLimit()
        fail(limit, 11, 0.0)
        fail(limit, 11, 60.0)
        assert fail(limit, 11, 60 + 120 + 900.0)[-1] == 60

    def test_slow_failures_are_all_answered(self):
        limit = AuthLimit()
        assert not any(limit.failed("10.0.0.1", 7.0 * n) for n in range(200))

    def test_addresses_are_counted_apart(self):
        limit = AuthLimit()
        fail(limit, 11, 0.0)
        assert limit.failed("10.0.0.2", 0.0) == 0.0

    def test_memory_is_bounded_by_the_quietest_making_room(self):
        limit = AuthLimit(most_addresses=100)
        for n in range(10_000):
            limit.failed(f"10.0.{n >> 8}.{n & 255}", float(n) / 1e3)
        assert len(limit) == 100

    @given(st.lists(st.floats(0, 30), max_size=80))
    def test_never_more_than_ten_a_minute_are_answered(self, gaps):
        limit, now, answered = AuthLimit(), 0.0, []
        for gap in gaps:
            now += gap
            if limit.failed("10.0.0.1", now) == 0.0:
                answered.append(now)
        for start in answered:
            within = [at for at in answered if start <= at < start + 60]
            assert len(within) <= 10


class TestNetworkOf:
    def test_one_host_owns_a_v6_network(self):
        assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2")
        assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")

    def test_a_mapped_address_is_the_v4_address(self):
        assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1")

    def test_what_is_no_address_is_taken_as_it_is_and_cut(self):
        assert network_of("x" * 500) == "x" * 64
        assert network_of("fe80::1%eth0") == network_of("fe80::2%eth1")
