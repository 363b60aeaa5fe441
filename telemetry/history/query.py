"""Reading back: any series, any range, exactly what was stored.

A reading *is* (series, time, value): an exact repeat, bit for bit, is the same
reading; two values at one time are two readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from .journal import from_us, readable_columns
from .models import Journal
from .tail import Chunk, Span, Tail, of_chunks
from .tick import Floats, Int64s, sort_columns

Readings = tuple[Int64s, Floats]
# Times may be this far ahead of their arrival (the most that TELEMETRY_FUTURE_SECONDS
# may be, and a margin): a row that arrived earlier than that before a range holds
# nothing of it.
MOST_AHEAD = timedelta(days=11)
# The last moment that a database can name: 9999-12-31.
LATEST_US = 253_402_300_799_999_999


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be read: series, ascending and each once, with from ≤ time < to."""

    series: list[int]
    from_us: int
    to_us: int


def read_sync(
    series_ids: Iterable[int], from_us: int, to_us: int, tail: Tail | None = None
) -> dict[int, Readings]:
    """Times (µs, ascending) and values of each series with from ≤ time < to.

    Blocks: call it on a thread. Equal times are in order of arrival, those of
    several writers by their start; exact repeats are dropped. A tail changes nothing
    but the pace: without one everything comes from the journal.
    """
    asked = Asked(sorted(set(series_ids)), from_us, to_us)
    # First: what is committed after this moment is above the spans.
    chunks, spans = tail.view() if tail is not None else ([], {})
    parts: dict[int, list[Readings]] = {series: [] for series in asked.series}
    in_journal = Journal.objects.order_by("writer_id").values_list("writer_id")
    writers = spans.keys() | {writer for (writer,) in in_journal.distinct()}
    for writer in sorted(writers):
        held = [chunk for chunk in chunks if chunk.writer == writer]
        for series, readings in _of_writer(writer, asked, held, spans.get(writer)):
            parts[series].append(readings)
    return {series: _distinct(parts[series]) for series in asked.series}


def _of_writer(
    writer: int, asked: Asked, chunks: Sequence[Chunk], span: Span | None
) -> Iterator[tuple[int, Readings]]:
    """A writer's readings in order of arrival; what no chunk holds, by the journal."""
    if span is None:
        yield from _in_journal(writer, asked, 0)
        return
    low, high = span
    if low:
        yield from _in_journal(writer, asked, 0, low)
    for series in asked.series:
        for readings in of_chunks(chunks, series, asked.from_us, asked.to_us):
            yield series, readings
    yield from _in_journal(writer, asked, high)


def _in_journal(
    writer: int, asked: Asked, after: int, to: int | None = None, page: int = 200
) -> Iterator[tuple[int, Readings]]:
    """What a writer's rows hold with after < number ≤ to."""
    rows = Journal.objects.filter(
        writer_id=writer, received_at__gte=_earliest_arrival(asked.from_us)
    )
    if to is not None:
        rows = rows.filter(number__lte=to)
    while True:
        found = list(
            rows.filter(number__gt=after)
            .order_by("number")
            .values_list("number", "columns")[:page]
        )
        for number, row in found:
            yield from _of_row(writer, number, bytes(row), asked)
        if len(found) < page:
            return
        after = found[-1][0]


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
    is_wanted &= (times_us >= asked.from_us) & (times_us < asked.to_us)
    if not is_wanted.any():
        return
    columns = sort_columns(series[is_wanted], times_us[is_wanted], values[is_wanted])
    for at, series_id in enumerate(columns.ids.tolist()):
        start = int(columns.starts[at])
        stop = start + int(columns.counts[at])
        yield series_id, (columns.times_us[start:stop], columns.values[start:stop])


def _distinct(parts: list[Readings]) -> Readings:
    """Parts in order of arrival → by time, without exact repeats."""
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    times_us = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    order = np.argsort(times_us, kind="stable")
    times_us, values = times_us[order], values[order]
    if not len(times_us) or (times_us[1:] != times_us[:-1]).all():
        return times_us, values
    # Equal bits, not equal numbers: 0.0 and −0.0 are two readings.
    bits = np.ascontiguousarray(values).view(np.int64)
    by_value = np.lexsort((bits, times_us))
    is_repeat = np.zeros(len(times_us), dtype=bool)
    is_repeat[by_value[1:]] = (times_us[by_value[1:]] == times_us[by_value[:-1]]) & (
        bits[by_value[1:]] == bits[by_value[:-1]]
    )
    return times_us[~is_repeat], values[~is_repeat]
