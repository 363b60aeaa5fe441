"""telemetry.history.admin.forecast: checked against the sum it has to solve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.admin.forecast import Flow, days_until, growth_a_day

FLOWS = st.lists(
    st.builds(
        Flow,
        st.integers(0, 1_000).map(float),
        st.integers(-5, 400).map(float),
        st.integers(-5, 400).map(float),
    )
)


@pytest.mark.parametrize(
    ("room_bytes", "flows", "days"),
    [
        (100, [], None),
        (100, [Flow(0, 30)], None),
        # It is full of what is kept, and as much goes as comes.
        (100, [Flow(10, 0)], None),
        (100, [Flow(10, 30)], 10),
        (300, [Flow(10, 30)], 30),
        (301, [Flow(10, 30)], None),
        (100, [Flow(10, 5), Flow(1, 1_000)], 5 + 45),
        # Thinned readings begin to take room when the first are thinned.
        (100, [Flow(10, 5), Flow(1, 1_000, 20)], 20 + 50),
        (0, [Flow(1, 1)], 0),
        (0, [], None),
        (-5, [Flow(1, 1)], 0),
    ],
)
def test_days_until(room_bytes: int, flows: list[Flow], days: float | None):
    assert days_until(room_bytes, flows) == (None if days is None else float(days))


@given(FLOWS, st.integers(1, 100_000))
def test_then_it_is_full_and_before_it_is_not(flows: list[Flow], room_bytes: int):
    days = days_until(room_bytes, flows)
    if days is None:
        assert sum(flow.after(1e6) for flow in flows) < room_bytes + 1e-3
    else:
        assert sum(flow.after(days) for flow in flows) == pytest.approx(room_bytes)


def test_growth_is_of_what_grows():
    assert growth_a_day([Flow(10, 1), Flow(5, 0), Flow(2, -1), Flow(1, 9, 1)]) == 10
