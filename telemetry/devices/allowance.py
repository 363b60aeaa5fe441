"""How many new series a device may make now. Pure: the time is passed in."""

from __future__ import annotations

from collections import deque

from ..protocol.limits import Limits

MINUTE_SECONDS = 60.0


class Allowance:
    """New metric names of each device: so many freely, then so many a minute."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Only devices beyond their free series are here, at most a minute long.
        self._made_at: dict[int, deque[float]] = {}

    def take(self, device_id: int, has: int, wants: int, now_seconds: float) -> int:
        """How many of `wants` new series a device that `has` some may make now.

        They count as made: `give_back` what was not.
        """
        limits = self._limits
        room = max(0, min(wants, limits.series_per_device - has))
        free = max(0, min(room, limits.new_series_free - has))
        counted = min(room - free, self._left(device_id, now_seconds))
        if counted > 0:
            made = self._made_at.setdefault(device_id, deque())
            made.extend([now_seconds] * counted)
        return free + counted

    def give_back(self, device_id: int, has: int, taken: int) -> None:
        """The database made none of the `taken` ones."""
        made = self._made_at.get(device_id, deque())
        counted = taken - max(0, min(taken, self._limits.new_series_free - has))
        for _ in range(min(counted, len(made))):
            made.pop()

    def _left(self, device_id: int, now_seconds: float) -> int:
        made = self._made_at.get(device_id)
        if made is None:
            return self._limits.new_series_per_minute
        while made and now_seconds - made[0] >= MINUTE_SECONDS:
            made.popleft()
        if not made:
            del self._made_at[device_id]
        return self._limits.new_series_per_minute - len(made)
