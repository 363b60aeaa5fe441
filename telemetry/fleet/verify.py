"""Compares what was acknowledged with what the hub's database holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Min

from ..devices.models import Series
from ..history.journal import decode_columns, from_us, rows_after
from ..history.models import Journal, TextReading
from ..history.queries.query import read_sync
from .ledger import Floats, Int64s, Ledger, Tally

# Readings held at once.
PAGE_READINGS = 1_000_000

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A series whose stored readings are not the acked ones."""

    device: str
    metric: str
    acked: int
    stored: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`twice`: readings that are in the journal more than once."""

    acked: int
    stored: int
    twice: int
    differences: tuple[Difference, ...]

    @property
    def missing(self) -> int:
        return sum(max(0, each.acked - each.stored) for each in self.differences)

    @property
    def is_exact(self) -> bool:
        return not self.twice and not self.differences


def verify(acked: Ledger, uncertain: dict[Name, list[int]]) -> Verdict:
    """Whether every reading of `acked` is stored, and stored once.

    uncertain: times (µs) of readings that were sent but never acked: they may be
    stored or not. Blocks; O(series) memory beside one page of readings.
    """
    if acked.earliest_us is None or acked.latest_us is None:
        return Verdict(0, 0, 0, ())
    names = _series({device for device, _ in acked.tallies})
    skip = {
        series: np.array(sorted(uncertain.get(name, ())), np.int64)
        for series, name in names.items()
    }
    stored: dict[Name, Tally] = {name: Tally() for name in acked.tallies}
    in_history = 0
    start_us, end_us = acked.earliest_us, acked.latest_us + 1
    for series, times_us, values in _history(list(names), start_us, end_us, acked):
        in_history += len(times_us)
        certain = ~np.isin(times_us, skip[series])
        stored.setdefault(names[series], Tally()).add_arrays(
            times_us[certain], values[certain]
        )
    in_journal = _count_in_journal(list(names), start_us, end_us)
    for series, time_us, text in _texts(list(names), start_us, end_us):
        if time_us not in skip[series]:
            stored[names[series]].add(time_us, text)
    differences = tuple(
        Difference(device, metric, tally.fold().count, stored[device, metric].count)
        for (device, metric), tally in acked.tallies.items()
        if not tally.is_same(stored[device, metric])
    )
    return Verdict(
        acked=acked.count,
        stored=sum(tally.fold().count for tally in stored.values()),
        # A journal that was sealed meanwhile holds fewer.
        twice=max(0, in_journal - in_history),
        differences=differences,
    )


def _series(devices: set[str]) -> dict[int, Name]:
    rows = Series.objects.alive().filter(
        device__slug__in=devices, device__deleted_at=None
    )
    return {
        series: (device, metric)
        for series, device, metric in rows.values_list("id", "device__slug", "name")
    }


def _history(
    series: Sequence[int], from_us_: int, to_us: int, acked: Ledger
) -> Iterator[tuple[int, Int64s, Floats]]:
    """All readings of the series in the range, as any reader of the hub sees them."""
    pages = 1 + acked.count // PAGE_READINGS
    bounds = np.linspace(from_us_, to_us, pages + 1).astype(np.int64).tolist()
    bounds[0], bounds[-1] = from_us_, to_us
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        for series_id, (times_us, values) in read_sync(series, start, end).items():
            yield series_id, times_us, values


def _count_in_journal(series: Sequence[int], start_us: int, end_us: int) -> int:
    """How many readings of the range the journal holds, repeats included.

    A batch arrives after its readings were measured, so older rows hold none.
    """
    ids = np.array(series, np.int32)
    first = (
        Journal.objects.filter(received_at__gte=from_us(start_us))
        .order_by()
        .values_list("writer_id")
        .annotate(Min("number"))
    )
    count = 0
    for writer, number in list(first):
        for _, _, columns in rows_after(writer, number - 1):
            row_series, times_us, _ = decode_columns(columns)
            count += int(
                (
                    np.isin(row_series, ids)
                    & (times_us >= start_us)
                    & (times_us < end_us)
                ).sum()
            )
    return count


def _texts(
    series: Sequence[int], start_us: int, end_us: int
) -> Iterator[tuple[int, int, str]]:
    rows = TextReading.objects.filter(
        series_id__in=series, time_us__gte=start_us, time_us__lt=end_us
    )
    yield from rows.values_list("series_id", "time_us", "value").iterator(2_000)
