"""What was acknowledged, as one count and one checksum a series.

Pure. A checksum does not depend on the order of readings, but on how often each
occurs: equal ledgers mean that the same readings were acked and stored, each
once, in a few bytes a series however long the run is.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
UInt64s = npt.NDArray[np.uint64]

# Readings of one series held before they are folded into the checksum.
HELD = 256
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _mixed(numbers: UInt64s) -> UInt64s:
    """splitmix64's finisher: each bit of the input moves half of the output's."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * _MIX[0]
        numbers = (numbers ^ (numbers >> np.uint64(27))) * _MIX[1]
        return numbers ^ (numbers >> np.uint64(31))


def checksum(times_us: Int64s, values: Floats) -> int:
    """The sum of all readings' hashes, modulo 2⁶⁴."""
    times = np.ascontiguousarray(times_us, np.int64).view(np.uint64)
    bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
    hashes = _mixed(_mixed(times) + bits)
    return int(np.add.reduce(hashes, dtype=np.uint64)) if len(hashes) else 0


def as_number(value: bool | int | float | str) -> float:
    """A value as the ledger counts it: as stored, texts by a hash."""
    if isinstance(value, str):
        return float(zlib.crc32(value.encode()))
    return float(value)


@dataclass(slots=True)
class Tally:
    """One series: how many readings, and their checksum."""

    count: int = 0
    total: int = 0
    _times: list[int] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)

    def add(self, time_us: int, value: bool | int | float | str) -> None:
        self._times.append(time_us)
        self._values.append(as_number(value))
        if len(self._times) >= HELD:
            self.fold()

    def add_arrays(self, times_us: Int64s, values: Floats) -> None:
        self.count += len(times_us)
        self.total = (self.total + checksum(times_us, values)) % 2**64

    def fold(self) -> Tally:
        """Bring `count` and `total` up to date."""
        if self._times:
            self.add_arrays(
                np.array(self._times, np.int64), np.array(self._values, np.float64)
            )
            self._times, self._values = [], []
        return self

    def is_same(self, other: Tally) -> bool:
        """Whether both hold the same readings, each as often."""
        self.fold()
        other.fold()
        return (self.count, self.total) == (other.count, other.total)


class Ledger:
    """Tallies by (device slug, metric name)."""

    def __init__(self) -> None:
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.earliest_us: int | None = None
        self.latest_us: int | None = None

    def add(
        self, device: str, metric: str, time_us: int, value: bool | int | float | str
    ) -> None:
        tally = self.tallies.get((device, metric))
        if tally is None:
            tally = self.tallies[device, metric] = Tally()
        tally.add(time_us, value)
        if self.earliest_us is None or time_us < self.earliest_us:
            self.earliest_us = time_us
        if self.latest_us is None or time_us > self.latest_us:
            self.latest_us = time_us

    @property
    def count(self) -> int:
        return sum(tally.fold().count for tally in self.tallies.values())
