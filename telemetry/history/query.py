"""Reading back: any series, any range, exactly what was stored.

A reading *is* (series, time, value): an exact repeat, bit for bit, is the same
reading; two values at one time are two readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np

from .journal import from_us, readable_columns
from .models import Journal, TextReading
from .tail import Tail, of_chunks
from .tick import Floats, Int64s, sort_columns

Readings = tuple[Int64s, Floats]
# Times may be this far ahead of their arrival (the most that TELEMETRY_FUTURE_SECONDS
# may be, and a margin): a row that arrived earlier than that before a range holds
# nothing of it.
MOST_AHEAD = timedelta(days=11)
# The last moment that a database can name: 9999-12-31.
LATEST_US = 253_402_300_799_999_999


def read_sync(
    series_ids: Iterable[int], from_us: int, to_us: int, tail: Tail | None = None
) -> dict[int, Readings]:
    """Times (µs, ascending) and values of each series with from ≤ time < to.

    Blocks: call it on a thread. Equal times are in order of arrival, exact repeats
    are dropped. Without a tail everything comes from the journal.
    """
    wanted = sorted(set(series_ids))
    chunks, lows = tail.view() if tail else ([], {})
    parts: dict[int, list[Readings]] = {series: [] for series in wanted}
    for series, readings in _in_journal(wanted, from_us, to_us, lows, bool(tail)):
        parts[series].append(readings)
    for series in wanted:
        parts[series].extend(of_chunks(chunks, series, from_us, to_us))
    return {series: _distinct(parts[series]) for series in wanted}


def read_texts(
    series_ids: Iterable[int], from_us: int, to_us: int, most: int = 10_000
) -> dict[int, list[tuple[int, str]]]:
    """(time µs, text) of each series with from ≤ time < to, at most the newest `most`.

    Blocks: call it on a thread.
    """
    wanted = list(series_ids)
    rows = (
        TextReading.objects.filter(
            series_id__in=wanted, time_us__gte=from_us, time_us__lt=to_us
        )
        .order_by("-time_us", "-id")
        .values_list("series_id", "time_us", "value")[:most]
    )
    # Keys in order of arrival: an exact repeat is the reading that came first.
    found: dict[int, dict[tuple[int, str], None]] = {series: {} for series in wanted}
    for series, time_us, value in reversed(list(rows)):
        found[series].setdefault((time_us, value))
    return {series: list(readings) for series, readings in found.items()}


def _in_journal(
    wanted: Sequence[int],
    from_us_: int,
    to_us: int,
    lows: dict[int, int],
    has_tail: bool,
    page: int = 200,
) -> Iterable[tuple[int, Readings]]:
    """What only the journal holds: rows up to each writer's low number."""
    ids = np.array(wanted, np.int32)
    writers = Journal.objects.order_by("writer_id").values_list("writer_id", flat=True)
    for writer in list(writers.distinct()):
        rows = Journal.objects.filter(
            writer_id=writer, received_at__gte=_earliest_arrival(from_us_)
        )
        if has_tail and writer in lows:
            rows = rows.filter(number__lte=lows[writer])
        last = 0
        while True:
            found = list(
                rows.filter(number__gt=last)
                .order_by("number")
                .values_list("number", "columns")[:page]
            )
            for number, row in found:
                yield from _of_row(writer, number, bytes(row), ids, from_us_, to_us)
            if len(found) < page:
                break
            last = found[-1][0]


def _earliest_arrival(from_us_: int) -> datetime:
    """Before this no row arrived that holds a reading from `from_us_` on."""
    return from_us(min(max(from_us_, 0), LATEST_US)) - MOST_AHEAD


def _of_row(
    writer: int, number: int, row: bytes, ids: np.ndarray, from_us_: int, to_us: int
) -> Iterable[tuple[int, Readings]]:
    columns_here = readable_columns(writer, number, row)
    if columns_here is None:
        return
    series, times_us, values = columns_here
    is_wanted = np.isin(series, ids) & (times_us >= from_us_) & (times_us < to_us)
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
