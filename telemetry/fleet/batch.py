"""A batch of readings as a device holds it: what stays the same when sent again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..protocol import clock
from ..protocol.messages import Data, Value


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one device: (offset in ms from `base_ms`, one value a column)."""

    base_ms: float
    columns: tuple[str, ...]
    rows: tuple[tuple[float, tuple[Value, ...]], ...]

    @property
    def readings(self) -> int:
        """How many values there are; null is none."""
        return sum(value is not None for _, row in self.rows for value in row)

    def message(self, seq: int) -> Data:
        """As it goes on the wire: one instant for one row, else columns and rows."""
        if len(self.rows) == 1:
            offset, values = self.rows[0]
            return Data(
                seq=seq,
                time=self._time_ms(offset),
                values={
                    name: value
                    for name, value in zip(self.columns, values, strict=True)
                    if value is not None
                },
            )
        return Data(
            seq=seq,
            base=self.base_ms,
            columns=list(self.columns),
            rows=[[offset, *values] for offset, values in self.rows],
        )

    def cut(self) -> tuple[Batch, ...]:
        """Two batches with half the rows each, or itself where there is one row."""
        if len(self.rows) < 2:
            return (self,)
        middle = len(self.rows) // 2
        return (
            Batch(self.base_ms, self.columns, self.rows[:middle]),
            Batch(self.base_ms, self.columns, self.rows[middle:]),
        )

    def each(self) -> Iterator[tuple[str, int, Value]]:
        """Each reading: metric, time in µs as the hub will compute it, value."""
        for offset, values in self.rows:
            time_us = clock.to_us(self._time_ms(offset))
            for name, value in zip(self.columns, values, strict=True):
                if value is not None:
                    yield name, time_us, value

    def _time_ms(self, offset: float) -> float:
        return self.base_ms + offset


def batch_of(
    columns: Sequence[str], rows: Sequence[tuple[int, Sequence[Value]]]
) -> Batch:
    """A batch of (time µs, one value a column); the first row's time is its base."""
    base_ms = rows[0][0] // 1000
    return Batch(
        base_ms,
        tuple(columns),
        tuple(
            (clock.to_ms(time_us - base_ms * 1000), tuple(row)) for time_us, row in rows
        ),
    )
