"""When a disk is full, from what comes in a day and how long it is kept. Pure.

What retention keeps for a number of days grows until the oldest of it is so old; from
then on as much goes as comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flow:
    """Bytes a day that are kept. Grows from one day to another, counted from now."""

    bytes_a_day: float
    to_days: float
    from_days: float = 0.0

    @property
    def begins(self) -> float:
        return max(self.from_days, 0.0)

    def after(self, days: float) -> float:
        """By how many bytes it has grown then."""
        growing = min(days, self.to_days) - self.begins
        return self.bytes_a_day * max(growing, 0.0)


def growth_a_day(flows: Iterable[Flow]) -> float:
    """By how many bytes a day all of it grows now."""
    return sum(flow.bytes_a_day for flow in flows if flow.from_days <= 0 < flow.to_days)


def days_until(room_bytes: float, flows: Iterable[Flow]) -> float | None:
    """After how many days `room_bytes` are used up; None: never."""
    changes: list[tuple[float, float]] = []
    for flow in flows:
        if flow.bytes_a_day > 0 and flow.to_days > flow.begins:
            changes.append((flow.begins, flow.bytes_a_day))
            changes.append((flow.to_days, -flow.bytes_a_day))
    if room_bytes <= 0:
        return 0.0 if changes else None
    days, rate, room = 0.0, 0.0, room_bytes
    for at, change in sorted(changes):
        if rate > 0 and days + room / rate <= at:
            return days + room / rate
        room -= rate * (at - days)
        days, rate = at, rate + change
    return None
