"""telemetry.live.audience: all seats are looked at, whatever one of them does."""

from __future__ import annotations

import pytest

from telemetry.live.audience import Audience
from telemetry.live.people import Person

pytestmark = pytest.mark.django_db(transaction=True)


class Listener:
    """An open socket that notes what it is told, and may fail at it."""

    claim = "ended"

    def __init__(self, is_failing: bool) -> None:
        self.is_failing = is_failing
        self.told: list[Person | None] = []

    async def take_person(self, person: Person | None) -> None:
        self.told.append(person)
        if self.is_failing:
            raise RuntimeError("broken")

    def bye(self, code: int, reason: str = "", after_ms: int = 0) -> None:
        raise NotImplementedError

    async def sent(self) -> None:
        raise NotImplementedError


async def test_a_seat_that_fails_keeps_no_other_from_hearing(caplog):
    audience = Audience()
    # A set has no order: with every other one failing some come after one.
    seats = [Listener(is_failing=number % 2 == 0) for number in range(20)]
    for seat in seats:
        audience.join(seat)
    await audience.check()
    assert [seat.told for seat in seats] == [[None]] * 20
    [record] = caplog.records
    assert record.getMessage().startswith("10 open pages")
    assert record.exc_info
