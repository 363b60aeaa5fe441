"""The last value of each series, as this process knows it; moves only forward.

What is *current* is decided by min(time, arrival), ties by arrival: a device whose
clock runs an hour ahead freezes nothing (design: Clocks).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.models import QuerySet

from .intervals import NEVER, Intervals
from .models import SeriesHead
from .raw_from import RawFrom
from .tick import Columns, Floats, Int32s, Int64s, Tick

Bools = npt.NDArray[np.bool_]
_UNHEARD = np.iinfo(np.int64).max
# Rows of one short statement: a few milliseconds.
RAW_FROM_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Head:
    """The last reading of a series: the device's time, µs, and the value."""

    time_us: int
    received_us: int
    value: float | str


class HeadRow(NamedTuple):
    """A row of SeriesHead: making a model's instance takes five times as long."""

    series_id: int
    time_us: int
    effective_us: int
    received_us: int
    value: float | None
    text: str
    raw_from_us: int | None = None
    # The usual interval between its readings; None: not known yet.
    period_us: int | None = None


def head_rows(heads: QuerySet[SeriesHead]) -> Iterator[HeadRow]:
    """The rows of a query."""
    rows = heads.values_list(*HeadRow._fields)
    yield from map(HeadRow._make, rows.iterator(chunk_size=2_000))


# Raw SQL: one statement for any number of series. The ORM asks for each of them by a
# parameter of its own: 160 ms for 10,000 on PostgreSQL, and 20 ms so.
_OF_SERIES = (
    f"SELECT {', '.join(HeadRow._fields)}"  # noqa: S608
    f" FROM {SeriesHead._meta.db_table} WHERE series_id"
)
_IS_ASKED = " IN (SELECT value FROM json_each(%s))"
_IS_ASKED_POSTGRESQL = " = ANY(%s::bigint[])"


def heads_of(series_ids: Iterable[int]) -> list[HeadRow]:
    """What is folded of some series, in no order. Blocks; raises DatabaseError."""
    asked = ",".join(map(str, series_ids))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_OF_SERIES + _IS_ASKED_POSTGRESQL, [f"{{{asked}}}"])
        else:
            cursor.execute(_OF_SERIES + _IS_ASKED, [f"[{asked}]"])
        return list(map(HeadRow._make, cursor.fetchall()))


@dataclass(frozen=True, slots=True)
class Moved:
    """Heads at one moment, as columns: rows are made of them on another thread."""

    series: Int64s
    times_us: Int64s
    effective_us: Int64s
    received_us: Int64s
    values: Floats
    texts: dict[int, str]
    # The usual intervals; 0: not known.
    periods_us: Int64s

    def __len__(self) -> int:
        return len(self.series)

    def rows(self, start: int = 0, stop: int | None = None) -> list[HeadRow]:
        """Rows of a part of the heads."""
        columns = (
            self.series,
            self.times_us,
            self.effective_us,
            self.received_us,
            self.values,
            self.periods_us,
        )
        parts = (column[start:stop].tolist() for column in columns)
        return [
            HeadRow(
                series,
                time_us,
                effective_us,
                received_us,
                None if series in self.texts else value,
                self.texts.get(series, ""),
                period_us=period_us or None,
            )
            for series, time_us, effective_us, received_us, value, period_us in zip(
                *parts, strict=True
            )
        ]


class Heads:
    """Last values in arrays indexed by series id: ids are small and dense.

    Used on the event loop alone. A copy taken without an await in between is one
    moment's state.
    """

    def __init__(self) -> None:
        self._effective_us: Int64s = np.full(1024, NEVER, np.int64)
        self._times_us: Int64s = np.full(1024, NEVER, np.int64)
        self._received_us: Int64s = np.full(1024, _UNHEARD, np.int64)
        self._values: Floats = np.zeros(1024, np.float64)
        self._texts: dict[int, str] = {}
        self._has_changed: Bools = np.zeros(1024, np.bool_)
        self.newest_received_us = 0
        self.raw_from = RawFrom()
        self._intervals = Intervals()

    def current(self, series_ids: Iterable[int]) -> dict[int, Head]:
        """The last readings of those of `series_ids` that have one."""
        heads: dict[int, Head] = {}
        size = len(self._effective_us)
        for series in series_ids:
            if series < size and self._effective_us[series] != NEVER:
                text = self._texts.get(series)
                heads[series] = Head(
                    int(self._times_us[series]),
                    int(self._received_us[series]),
                    float(self._values[series]) if text is None else text,
                )
        return heads

    def advance(
        self,
        columns: Columns,
        texts: Sequence[tuple[int, int, str]],
        *,
        writer: int,
        number: int,
        received_us: int,
    ) -> Tick:
        """Move the heads over one commit and say what it changed."""
        self.newest_received_us = max(self.newest_received_us, received_us)
        self._intervals.take(self._times_us, received_us)
        tick = self._advance_columns(columns, writer, number, received_us)
        if texts:
            self._advance_texts(tick, texts)
        return tick

    def _advance_columns(
        self, columns: Columns, writer: int, number: int, received_us: int
    ) -> Tick:
        ids, starts, counts = columns.ids, columns.starts, columns.counts
        if not len(ids):
            empty = columns.values
            return Tick(
                writer, number, received_us, ids, starts, empty, empty, empty, counts
            )
        self._grow(int(ids[-1]))
        before = self._effective_us[ids]
        lasts = starts + counts - 1
        times = columns.times_us[lasts]
        firsts = columns.times_us[starts]
        minimum = np.minimum.reduceat(columns.values, starts)
        maximum = np.maximum.reduceat(columns.values, starts)
        late: list[tuple[int, int, int]] = []
        is_current = np.minimum(times, received_us) >= before
        # Mostly none: only the series in which something older came in.
        for at in np.flatnonzero(np.minimum(firsts, received_us) < before):
            start, last = int(starts[at]), int(lasts[at])
            times_here = columns.times_us[start : last + 1]
            older = (
                len(times_here)
                if received_us < before[at]
                else int(np.searchsorted(times_here, before[at]))
            )
            late.append((int(ids[at]), int(times_here[0]), int(times_here[older - 1])))
            if is_current[at]:
                newer = columns.values[start + older : last + 1]
                minimum[at], maximum[at] = newer.min(), newer.max()
                counts[at] = len(newer)
        values = columns.values[lasts]
        if not is_current.all():
            ids, times, values = ids[is_current], times[is_current], values[is_current]
            minimum, maximum = minimum[is_current], maximum[is_current]
            counts = counts[is_current]
        if len(columns) > len(columns.ids):
            before_us = self._before(ids, times, counts, received_us)
        else:
            before_us = self._times_us[ids]
        self._intervals.note(ids, before_us)
        self._effective_us[ids] = np.minimum(times, received_us)
        self._times_us[ids] = times
        self._received_us[ids] = received_us
        self._values[ids] = values
        self._has_changed[ids] = True
        return Tick(
            writer,
            number,
            received_us,
            ids,
            times,
            values,
            minimum,
            maximum,
            counts,
            late,
        )

    def _before(
        self, ids: Int32s, times: Int64s, counts: Int64s, received_us: int
    ) -> Int64s:
        """From when the last reading of each series is an interval away.

        Of readings that come several at a time, what counts is how far apart they
        come: nobody misses the next one earlier.
        """
        apart_us = (times - self._times_us[ids]) // counts
        # Below 0 for a series that has never had any: it came in at the end of time.
        since_us = received_us - self._received_us[ids]
        before_us: Int64s = times - np.maximum(apart_us, since_us)
        return before_us

    def _advance_texts(self, tick: Tick, texts: Sequence[tuple[int, int, str]]) -> None:
        """One entry a series in the tick, however many texts came: the newest."""
        self._grow(max(text[0] for text in texts))
        newest: dict[int, tuple[int, int, str]] = {}
        counts: Counter[int] = Counter()
        late: dict[int, tuple[int, int]] = {}
        for series, time_us, text in texts:
            effective = min(time_us, tick.received_us)
            if effective < self._effective_us[series]:
                start, end = late.get(series, (time_us, time_us))
                late[series] = min(start, time_us), max(end, time_us)
                continue
            newest[series] = series, time_us, text
            counts[series] += 1
            self._effective_us[series] = effective
        for series, time_us, text in newest.values():
            self._note_text(series, time_us, counts[series], tick.received_us)
            self._times_us[series] = time_us
            self._received_us[series] = tick.received_us
            self._texts[series] = text
            self._has_changed[series] = True
        tick.texts.extend(newest.values())
        tick.late.extend((series, *span) for series, span in late.items())

    def _note_text(
        self, series: int, time_us: int, count: int, received_us: int
    ) -> None:
        before_us = int(self._times_us[series])
        if count > 1 and NEVER < before_us < time_us:
            since_us = received_us - int(self._received_us[series])
            before_us = time_us - max((time_us - before_us) // count, since_us)
        self._intervals.note(series, before_us)

    def restore(self, rows: Iterable[HeadRow | SeriesHead]) -> None:
        """Take over what another process has written; newer values stay.

        When they came in there is no news here: its clock may be another.
        """
        supposed: dict[int, int] = {}
        for row in rows:
            self._grow(row.series_id)
            if row.raw_from_us is not None:
                self.raw_from.move(row.series_id, row.raw_from_us)
            if row.period_us is not None and self._is_period_news(row):
                supposed[row.series_id] = row.period_us
            if row.effective_us < self._effective_us[row.series_id]:
                continue
            self._effective_us[row.series_id] = row.effective_us
            self._times_us[row.series_id] = row.time_us
            self._received_us[row.series_id] = row.received_us
            if row.value is None:
                self._texts[row.series_id] = row.text
            else:
                self._values[row.series_id] = row.value
        if supposed:
            self._intervals.suppose(
                np.fromiter(supposed.keys(), np.int64),
                np.fromiter(supposed.values(), np.int64),
            )

    def _is_period_news(self, row: HeadRow | SeriesHead) -> bool:
        """Others' word counts where this process has heard nothing newer itself."""
        is_newer = row.effective_us > int(self._effective_us[row.series_id])
        return is_newer or not self._intervals.is_known(row.series_id)

    def periods_us(self, series: Int32s | Int64s) -> Int64s:
        """How far apart the readings of each of `series` come, 0: not known yet."""
        if len(series) and int(series.max()) >= len(self._effective_us):
            self._grow(int(series.max()))
        return self._intervals.periods_us(series)

    def suppose_periods(self, series: Int32s | Int64s, periods_us: Int64s) -> None:
        """What another process, to which their devices talk, says of some series."""
        if not len(series):
            return
        is_news = (periods_us > 0) & (periods_us != self.periods_us(series))
        if is_news.any():
            self._intervals.suppose(series[is_news], periods_us[is_news])

    def take_changed(self) -> Moved:
        """The heads that moved since the last call, as they are now."""
        self._intervals.take(self._times_us, self.newest_received_us, must=True)
        series = np.flatnonzero(self._has_changed)
        self._has_changed[series] = False
        texts = self._texts
        return Moved(
            series,
            self._times_us[series],
            self._effective_us[series],
            self._received_us[series],
            self._values[series],
            {each: texts[each] for each in texts.keys() & set(series.tolist())}
            if texts
            else {},
            self._intervals.periods_us(series),
        )

    def change_again(self, moved: Moved) -> None:
        """What `take_changed` gave could not be written: give it again."""
        self._has_changed[moved.series] = True

    def _grow(self, series: int) -> None:
        size = len(self._effective_us)
        if series < size:
            return
        more = max(size, series + 1 - size)
        fill = np.full(more, NEVER, np.int64)
        self._effective_us = np.concatenate([self._effective_us, fill])
        self._has_changed = np.concatenate(
            [self._has_changed, np.zeros(more, np.bool_)]
        )
        self._times_us = np.concatenate([self._times_us, fill])
        unheard = np.full(more, _UNHEARD, np.int64)
        self._received_us = np.concatenate([self._received_us, unheard])
        self._values = np.concatenate([self._values, np.zeros(more)])
        self._intervals.grow(len(self._effective_us))


def raw_from_rows(after_series: int = 0) -> list[tuple[int, int]]:
    """(series id, µs since the epoch) of thinned series, ascending: a page of them.

    Any process may have thinned them. Blocks; raises DatabaseError.
    """
    rows = SeriesHead.objects.filter(
        series_id__gt=after_series, raw_from_us__isnull=False
    )
    page = rows.order_by("series_id").values_list("series_id", "raw_from_us")
    return [(series, int(from_us or 0)) for series, from_us in page[:RAW_FROM_PAGE]]


def raw_from_of(series_ids: Sequence[int]) -> RawFrom:
    """From when on the readings of these series are raw, as it is now.

    Series are a device's, a few hundred at most. Blocks; raises DatabaseError.
    """
    raw_from = RawFrom()
    rows = SeriesHead.objects.filter(
        series_id__in=series_ids, raw_from_us__isnull=False
    )
    found = rows.values_list("series_id", "raw_from_us")
    raw_from.move_all([(series, int(from_us or 0)) for series, from_us in found])
    return raw_from


def read_raw_from() -> RawFrom:
    """From when on the readings of all series are raw. Blocks, for a few ms a page."""
    raw_from = RawFrom()
    last = 0
    while page := raw_from_rows(last):
        raw_from.move_all(page)
        last = page[-1][0]
    return raw_from
