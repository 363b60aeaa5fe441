"""What a range read back is: buckets of each series, or its raw readings. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..summary import MICRO, Summaries, increases
from ..tick import Floats, Int64s

Readings = tuple[Int64s, Floats]


@dataclass(frozen=True, slots=True)
class Missing:
    """A block that cannot be read: its readings are not in the answer.

    start_us and end_us: its first and its last reading. resolution_seconds: 0 for
    raw readings.
    """

    series: int
    resolution_seconds: int
    start_us: int
    end_us: int


@dataclass(slots=True)
class SeriesBuckets:
    """One series of an answer: raw readings, or a summary a bucket that has any."""

    # Times (µs, ascending) and values, where the answer's `width_us` is None.
    raw: Readings | None
    # Of each bucket: where it begins and ends (µs), and what is in it.
    starts_us: Int64s
    ends_us: Int64s
    summaries: Summaries
    # The last reading before the range: time (µs) and value.
    before: tuple[int, float] | None
    # The answer's range, µs.
    from_us: int
    to_us: int

    def duty(self) -> Floats:
        """Of a boolean: the share of the known time of each bucket that it was true.

        A value holds until the next reading, into a bucket too; beyond the last
        reading nothing is known. A bucket without known time: its readings' mean.
        """
        rows = self.summaries
        if not len(rows):
            return np.zeros(0)
        held, _since_us = self._held()
        is_held = ~np.isnan(held)
        # With nothing before, a bucket is known from its first reading on.
        begins_us = np.maximum(self.starts_us, self.from_us)
        begins_us = np.where(is_held, begins_us, rows.first_us)
        ends_us = np.minimum(self.ends_us, self.to_us)
        ends_us[-1] = rows.last_us[-1]
        true_seconds = rows.integral + MICRO * (
            np.where(is_held, held, 0.0) * (rows.first_us - begins_us)
            + rows.last * (ends_us - rows.last_us)
        )
        known_seconds = MICRO * (ends_us - begins_us)
        duty: Floats = rows.mean
        np.divide(true_seconds, known_seconds, out=duty, where=known_seconds > 0)
        return duty

    def rate(self) -> Floats:
        """Of a counter: how much it grew a second, from the last reading before a
        bucket to the last one in it. A step down is a reset to 0.

        NaN where there is no time between: a first reading tells nothing.
        """
        rows = self.summaries
        if not len(rows):
            return np.zeros(0)
        held, since_us = self._held()
        joins = np.where(np.isnan(held), 0.0, increases(held, rows.first))
        seconds = MICRO * (rows.last_us - since_us)
        rate = np.full(len(rows), np.nan)
        np.divide(rows.increase + joins, seconds, out=rate, where=seconds > 0)
        return rate

    def _held(self) -> tuple[Floats, Int64s]:
        """The last value before each bucket, and its time; NaN and the bucket's
        first time where there is none."""
        rows = self.summaries
        held = np.append(np.nan, rows.last[:-1])
        since_us = np.append(rows.first_us[:1], rows.last_us[:-1])
        if self.before is not None:
            since_us[0], held[0] = self.before
        return held, since_us


@dataclass(slots=True)
class Answer:
    """What was found, and how it is cut.

    from_us, to_us: the range, widened to whole rows where a tier was read. width_us:
    None for raw readings, and for buckets that differ in width. resolution_seconds: of
    the coarsest that was read; 0 for raw. readings: how many are in the range.
    """

    from_us: int
    to_us: int
    width_us: int | None
    resolution_seconds: int
    series: dict[int, SeriesBuckets]
    missing: list[Missing] = field(default_factory=list)
    readings: int = 0
