"""What the history has to answer, as a plain dictionary that cannot go wrong.

A reading is (series, time, bits): an exact repeat is the same reading, two values at
one time are two readings in order of arrival. What was thinned out is known by
5-minute buckets alone, and a repeat of it counts again: nobody can tell any more.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

BUCKET_US = 300_000_000
FOREVER = (-(2**62), 2**62)

Reading = tuple[int, int, float]


def bits_of(value: float) -> int:
    """The bits of a float: 0.0 and −0.0 differ."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits


def value_of(bits: int) -> float:
    """The float of these bits."""
    value: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return value


@dataclass(frozen=True, slots=True)
class Bucket:
    """Readings of one bucket; sums are exact for the whole numbers of the tests."""

    count: int
    minimum: float
    maximum: float
    sum: float

    def __add__(self, other: Bucket) -> Bucket:
        return Bucket(
            self.count + other.count,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.sum + other.sum,
        )


Buckets = dict[int, Bucket]


class Model:
    """A history as dictionaries."""

    def __init__(self) -> None:
        # series → time → the bits of its values, in order of arrival (a dict is one).
        self._raw: defaultdict[int, dict[int, dict[int, None]]] = defaultdict(dict)
        # series → bucket → what was thinned out.
        self._thinned: defaultdict[int, Buckets] = defaultdict(dict)

    def arrive(self, readings: Iterable[Reading]) -> None:
        """Take in readings in order of arrival."""
        for series, time_us, value in readings:
            at_time = self._raw[series].setdefault(time_us, {})
            at_time.setdefault(bits_of(value))

    def arrive_bits(self, series: int, readings: Iterable[tuple[int, int]]) -> None:
        """The same for (time, bits) of one series."""
        self.arrive((series, time_us, value_of(bits)) for time_us, bits in readings)

    def thin(self, series: int, kept: Collection[tuple[int, int]]) -> None:
        """All raw readings but these (time, bits) are known by buckets alone now."""
        gone = [reading for reading in self.raw(series) if reading not in kept]
        _add(self._thinned[series], gone)
        for time_us, bits in gone:
            del self._raw[series][time_us][bits]

    def forget(self, series: int) -> None:
        """The series is gone with all its readings."""
        self._raw.pop(series, None)
        self._thinned.pop(series, None)

    def raw(
        self, series: int, from_us: int = FOREVER[0], to_us: int = FOREVER[1]
    ) -> list[tuple[int, int]]:
        """(time, bits) of the raw readings with from ≤ time < to, by time."""
        times = sorted(t for t in self._raw[series] if from_us <= t < to_us)
        return [(time, bits) for time in times for bits in self._raw[series][time]]

    def buckets(self, series: int) -> Buckets:
        """All that ever arrived, by start of its 5-minute bucket."""
        found = dict(self._thinned[series])
        _add(found, self.raw(series))
        return found

    @property
    def series(self) -> list[int]:
        """All series that have readings or had some."""
        return sorted(self._raw.keys() | self._thinned.keys())


def _add(buckets: Buckets, readings: Iterable[tuple[int, int]]) -> None:
    for time_us, bits in readings:
        value = value_of(bits)
        start_us = time_us // BUCKET_US * BUCKET_US
        one = Bucket(1, value, value, value)
        buckets[start_us] = buckets[start_us] + one if start_us in buckets else one


def pairs(times_us: Iterable[int], bits: Iterable[int]) -> list[tuple[int, int]]:
    """Columns as the model answers them."""
    return list(zip(map(int, times_us), map(int, bits), strict=True))
