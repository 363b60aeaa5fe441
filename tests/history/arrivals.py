"""Readings as devices send them on a bad day: late, doubled, unordered, extreme."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .model import Reading
from .rows import NOW_US

# Finite ones that are easily lost: signed zeros, a subnormal, the largest.
EXTREMES = (0.0, -0.0, 5e-324, 1.7e308, -1.7e308, 2.0**53 + 2)


class Arrivals:
    """Readings of some series from a seed, in order of arrival.

    values: some of them, beside small whole numbers; None: noise, which compresses to
    nothing less.
    """

    def __init__(
        self,
        rng: random.Random,
        series: Sequence[int],
        step_us: int = 1_000_000,
        values: Sequence[float] | None = EXTREMES,
    ) -> None:
        self.rng = rng
        self.series = list(series)
        self.step_us = step_us
        self.values = values
        self._newest_us = dict.fromkeys(self.series, NOW_US)
        self._sent: list[Reading] = []

    def readings(self, count: int) -> list[Reading]:
        """The next so many."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Reading:
        rng = self.rng
        kind = rng.random()
        series = rng.choice(self.series)
        if kind < 0.1 and self._sent:
            # A device that did not see its acknowledgement.
            return rng.choice(self._sent)
        if kind < 0.16 and self._sent:
            # Another value at a time that has one.
            series, time_us, _ = rng.choice(self._sent)
        elif kind < 0.3:
            span_us = self._newest_us[series] - NOW_US + self.step_us
            time_us = NOW_US + rng.randrange(span_us)
        else:
            # A step of 0 now and then: a clock that stands still.
            self._newest_us[series] += rng.choice((0, 1, 1, 1, 2)) * self.step_us
            time_us = self._newest_us[series]
        reading = series, time_us, self._value()
        self._sent.append(reading)
        return reading

    def _value(self) -> float:
        if self.values is None:
            return self.rng.random()
        if self.values and self.rng.random() < 0.05:
            return self.rng.choice(self.values)
        return float(self.rng.randrange(-50, 50))
