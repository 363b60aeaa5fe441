"""What no block holds yet: the newest readings, from the tail and the journal.

Read before the blocks: what leaves the journal meanwhile is in blocks by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ..journal import from_us, paged, readable_columns
from ..models import Journal, Writer
from ..tail import Chunk, Span, Tail
from ..tick import Columns, repeats, sort_columns
from .answer import Readings

# Times may be this far ahead of their arrival (the most that TELEMETRY_FUTURE_SECONDS
# may be, and a margin): a row that arrived earlier than that before a range holds
# nothing of it.
MOST_AHEAD = timedelta(days=11)
# The last moment that a database can name: 9999-12-31.
LATEST_US = 253_402_300_799_999_999
_NEVER = np.iinfo(np.int64).min
NO_READINGS: Readings = (np.zeros(0, np.int64), np.zeros(0, np.float64))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be read: series, ascending and each once, with from ≤ time < to.

    with_before: and the last reading before `from`.
    """

    series: list[int]
    from_us: int
    to_us: int
    with_before: bool = False

    def part(self, columns: Columns, series: int) -> Readings:
        """What of one series in sorted columns is asked for."""
        if not self.with_before:
            return columns.of(series, self.from_us, self.to_us)
        times_us, values = columns.of(series, _NEVER, self.to_us)
        start = max(int(np.searchsorted(times_us, self.from_us)) - 1, 0)
        return times_us[start:], values[start:]


def unsealed(asked: Asked, tail: Tail | None) -> dict[int, Readings]:
    """What no block held when this began: the readings of each series, by time.

    Equal times are in order of arrival, without exact repeats. With `with_before`
    there may be more than one reading before `from`.
    """
    # First: what is committed after this moment is above the spans.
    chunks, spans = tail.view() if tail is not None else ([], {})
    parts: dict[int, list[Readings]] = {series: [] for series in asked.series}
    in_journal = Journal.objects.order_by("writer_id").values_list("writer_id")
    writers = spans.keys() | {writer for (writer,) in in_journal.distinct()}
    known = Writer.objects.filter(id__in=writers).values_list("id", "sealed_to")
    sealed_to = dict(known)
    for writer in sorted(writers):
        held = [chunk for chunk in chunks if chunk.writer == writer]
        sealed, span = sealed_to.get(writer, 0), spans.get(writer)
        for series, readings in _of_writer(writer, asked, held, span, sealed):
            parts[series].append(readings)
    return {series: distinct(parts[series]) for series in asked.series}


def distinct(parts: Sequence[Readings]) -> Readings:
    """Parts in order of arrival → one, by time, without exact repeats."""
    if not parts:
        return NO_READINGS
    times_us = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    if not (times_us[1:] > times_us[:-1]).all():
        order = np.argsort(times_us, kind="stable")
        times_us, values = times_us[order], values[order]
        if (times_us[1:] == times_us[:-1]).any():
            is_new = ~repeats(times_us, values)
            times_us, values = times_us[is_new], values[is_new]
    return times_us, values


def _of_writer(
    writer: int,
    asked: Asked,
    chunks: Sequence[Chunk],
    span: Span | None,
    sealed_to: int,
) -> Iterator[tuple[int, Readings]]:
    """A writer's readings in order of arrival; what no chunk holds, by the journal.

    Rows up to `sealed_to` are in blocks: what is left of them is damaged.
    """
    if span is None:
        yield from _in_journal(writer, asked, sealed_to)
        return
    low, high = span
    if low > sealed_to:
        yield from _in_journal(writer, asked, sealed_to, low)
    for chunk in chunks:
        for series in asked.series:
            readings = asked.part(chunk.columns, series)
            if len(readings[0]):
                yield series, readings
    yield from _in_journal(writer, asked, max(high, sealed_to))


def _in_journal(
    writer: int, asked: Asked, after: int, to: int | None = None
) -> Iterator[tuple[int, Readings]]:
    """What a writer's rows hold with after < number ≤ to."""
    rows = Journal.objects.filter(writer_id=writer, number__gt=after)
    if not asked.with_before:
        rows = rows.filter(received_at__gte=_earliest_arrival(asked.from_us))
    if to is not None:
        rows = rows.filter(number__lte=to)
    for number, row in paged(rows, "columns"):
        yield from _of_row(writer, number, bytes(row), asked)


def _earliest_arrival(from_us_: int) -> datetime:
    """Before this no row arrived that holds a reading from `from_us_` on."""
    return from_us(min(max(from_us_, 0), LATEST_US)) - MOST_AHEAD


def _of_row(
    writer: int, number: int, row: bytes, asked: Asked
) -> Iterator[tuple[int, Readings]]:
    columns_here = readable_columns(writer, number, row)
    if columns_here is None:
        return
    series, times_us, values = columns_here
    is_wanted = np.isin(series, np.array(asked.series, np.int32))
    is_wanted &= times_us < asked.to_us
    if not asked.with_before:
        is_wanted &= times_us >= asked.from_us
    if not is_wanted.any():
        return
    columns = sort_columns(series[is_wanted], times_us[is_wanted], values[is_wanted])
    for series_id in columns.ids.tolist():
        yield series_id, asked.part(columns, series_id)
