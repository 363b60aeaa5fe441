"""When the hub's own clock is not to be trusted."""

from __future__ import annotations

import pytest

from telemetry.ingest.clock_guard import RELEASED_US, TOLERANCE_US, behind_us
from telemetry.protocol.clock import now_us

YEAR_US = 31_536_000_000_000


@pytest.mark.parametrize(
    ("now", "newest", "behind"),
    [
        (RELEASED_US, 0, 0),
        (RELEASED_US + YEAR_US, RELEASED_US, 0),
        (RELEASED_US - YEAR_US, 0, YEAR_US),
        (0, 0, RELEASED_US),
        (RELEASED_US + 10, RELEASED_US + YEAR_US, YEAR_US - 10),
        # A time server steps back by seconds.
        (RELEASED_US - TOLERANCE_US, 0, 0),
        (RELEASED_US - TOLERANCE_US - 1, 0, TOLERANCE_US + 1),
    ],
)
def test_behind_what_it_must_be(now: int, newest: int, behind: int):
    assert behind_us(now, newest) == behind


def test_clock_of_this_machine_is_right():
    assert behind_us(now_us(), 0) == 0
