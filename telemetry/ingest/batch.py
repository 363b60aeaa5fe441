"""One `data` message → columns of readings, and what of it is refused. Pure.

Plain numbers of known series, nearly all there is, take a short way of a few numpy
calls. Everything else (texts, booleans, nulls, bad values) goes column by column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..history.raw_from import RawFrom
from ..protocol import clock
from ..protocol.codec import PlainData, check_seq
from ..protocol.errors import BadRequest
from ..protocol.limits import MAX_SAFE_INTEGER, Limits
from ..protocol.messages import Data, Rejection, Value

# At most this many refused readings are listed in an `ack`; all are counted.
LISTED_REJECTIONS = 32

# Up to here a loop is faster than a dozen numpy calls (measured: about 40).
SMALL_READINGS = 32

UNKNOWN_METRIC = "unknown_metric"
BAD_TYPE = "bad_type"
BAD_TIME = "bad_time"
TOO_LONG = "too_long"
BAD_REQUEST = "bad_request"

# Of a hub that has thinned out nothing.
ALL_RAW = RawFrom()


class KnownSeries(Protocol):
    """What a batch needs to know of a series."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...


class NotPlain(Exception):
    """The short way met a value that needs the long one; decode in detail."""


@dataclass(slots=True)
class Refusals:
    """Readings refused for good: the first few listed, all counted."""

    listed: list[Rejection] = field(default_factory=list)
    count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(
        self, seq: int | None, row: int | None, metric: str | None, reason: str
    ) -> None:
        """Note one refused reading; `row` None is the whole batch."""
        self.count += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if len(self.listed) < LISTED_REJECTIONS:
            refused: Rejection = {"row": row, "metric": metric, "reason": reason}
            self.listed.append(refused if seq is None else {"seq": seq, **refused})


class Batch(Struct):
    """What one message adds to a commit; the three columns have one length."""

    series: Sequence[int] | npt.NDArray[np.int32]
    times_us: Sequence[int] | npt.NDArray[np.int64]
    values: Sequence[float] | npt.NDArray[np.float64]
    texts: list[tuple[int, int, str]] = []
    refused: Refusals | None = None

    def __len__(self) -> int:
        return len(self.series) + len(self.texts)


class Timing(Struct, frozen=True):
    """How a message's times become the hub's: all µs since the epoch.

    stamp_us: what a reading without a time gets. offset_us: an uptime clock's
    anchor, 0 for clock utc. raw_from: before it a series takes no reading.
    """

    now_us: int
    stamp_us: int
    offset_us: int
    future_seconds: int
    raw_from: RawFrom = ALL_RAW

    def latest_us(self) -> int:
        """The latest time a reading may have."""
        return self.now_us + self.future_seconds * 1_000_000

    def is_too_early(self, time_us: int, series_ids: Sequence[int]) -> bool:
        """Whether one of these series takes no reading of this time.

        Nearly always answered by the first comparison.
        """
        raw_from = self.raw_from
        if time_us >= raw_from.floor_us:
            return False
        return time_us < raw_from.floor_of(series_ids)


def missing_metrics(
    message: PlainData | Data, series: Mapping[str, KnownSeries]
) -> list[str]:
    """The names of a message's metrics that the device has no series for."""
    names = message.columns if message.values is None else message.values
    return [name for name in names or () if name not in series]


def check_shape(message: PlainData | Data, limits: Limits) -> None:
    """Raise BadRequest unless it is one instant or a batch within the limits.

    Raises Unreadable for a `seq` that is no number of a batch.
    """
    seq = message.seq
    check_seq(seq)
    if message.values is None:
        _check_batch(message, limits)
    elif message.rows is not None or message.columns is not None:
        raise BadRequest("expected “values” or “rows”, got both", seq)
    elif len(message.values) > limits.batch_columns:
        raise BadRequest(
            f"expected at most {limits.batch_columns} values, "
            f"got {len(message.values)}",
            seq,
        )


def _check_batch(message: PlainData | Data, limits: Limits) -> None:
    seq, names = message.seq, message.columns
    rows: Sequence[Sequence[Value]] | None = message.rows
    if rows is None or names is None:
        raise BadRequest(
            "expected “values”, or “base”, “columns” and “rows”, got neither", seq
        )
    if message.base is None:
        raise BadRequest("expected “base” with “rows”, got none", seq)
    if not 1 <= len(names) <= limits.batch_columns:
        raise BadRequest(
            f"expected 1 to {limits.batch_columns} columns, got {len(names)}", seq
        )
    if len(set(names)) != len(names):
        raise BadRequest("expected each column once, got one twice", seq)
    if len(rows) > limits.batch_rows:
        raise BadRequest(
            f"expected at most {limits.batch_rows} rows, got {len(rows)}", seq
        )
    width = len(names) + 1
    for at, cells in enumerate(rows):
        if len(cells) != width:
            raise BadRequest(
                f"expected an offset and {len(names)} values in each row, "
                f"got {len(cells)} cells in row {at}",
                seq,
            )


def plain_batch(
    message: PlainData, series: Mapping[str, KnownSeries], timing: Timing
) -> Batch:
    """The short way: numbers of known series of kind number, plausible times.

    Raises NotPlain when anything else is in it.
    """
    if message.values is not None:
        return _plain_instant(message.values, message.time, series, timing)
    names, rows = message.columns, message.rows
    if names is None or rows is None or not rows or message.base is None:
        raise NotPlain
    ids = _number_ids(names, series)
    width = len(names) + 1
    if len(rows) * len(names) <= SMALL_READINGS:
        return _small_batch(message.base, rows, ids, timing)
    table = np.fromiter(
        chain.from_iterable(rows), np.float64, len(rows) * width
    ).reshape(len(rows), width)
    cells = table[:, 1:].ravel()
    # Also false for NaN and Infinity, and for what may be too large an integer.
    if not (np.abs(cells) < MAX_SAFE_INTEGER).all():
        raise NotPlain
    origin_us = timing.offset_us + clock.to_us(message.base)
    times_us = clock.row_times_us(origin_us, table[:, 0])
    if times_us.max() > timing.latest_us() or timing.is_too_early(
        int(times_us.min()), ids
    ):
        raise NotPlain
    if width == 2:
        return Batch(np.full(len(rows), ids[0], np.int32), times_us, cells)
    return Batch(
        np.tile(np.array(ids, np.int32), len(rows)),
        np.repeat(times_us, width - 1),
        cells,
    )


def _small_batch(
    base_ms: float, rows: list[list[float]], ids: list[int], timing: Timing
) -> Batch:
    origin_us = timing.offset_us + clock.to_us(base_ms)
    latest_us = timing.latest_us()
    times_us: list[int] = []
    values: list[float] = []
    for row in rows:
        time_us = origin_us + clock.to_us(row[0])
        if time_us > latest_us or timing.is_too_early(time_us, ids):
            raise NotPlain
        times_us += [time_us] * len(ids)
        values += row[1:]
    for value in values:
        if not -MAX_SAFE_INTEGER < value < MAX_SAFE_INTEGER:
            raise NotPlain
    return Batch(ids * len(rows), times_us, values)


def _plain_instant(
    values: Mapping[str, float],
    time_ms: float | None,
    series: Mapping[str, KnownSeries],
    timing: Timing,
) -> Batch:
    ids = _number_ids(values, series)
    cells = list(values.values())
    for value in cells:
        if not -MAX_SAFE_INTEGER < value < MAX_SAFE_INTEGER:
            raise NotPlain
    time_us = _instant_us(time_ms, timing)
    if time_us > timing.latest_us() or timing.is_too_early(time_us, ids):
        raise NotPlain
    return Batch(ids, [time_us] * len(ids), cells)


def _number_ids(names: Any, series: Mapping[str, KnownSeries]) -> list[int]:
    ids: list[int] = []
    for name in names:
        known = series.get(name)
        if known is None or known.kind != "number":
            raise NotPlain
        ids.append(known.id)
    return ids


def _instant_us(time_ms: float | None, timing: Timing) -> int:
    if time_ms is None:
        return timing.stamp_us
    return clock.to_us(time_ms) + timing.offset_us


def detailed_batch(
    message: Data,
    series: Mapping[str, KnownSeries],
    timing: Timing,
    text_characters: int,
) -> Batch:
    """The long way: each reading that cannot be stored is refused with its reason.

    The shape has been checked. A null is no reading and is not refused.
    """
    names = list(message.values or message.columns or ())
    if message.values is not None:
        times_us = [_instant_us(message.time, timing)]
        columns: list[list[Value]] = [[value] for value in message.values.values()]
    else:
        rows = message.rows or []
        times_us = _row_times_us(message.base or 0.0, rows, timing)
        columns = [[row[at + 1] for row in rows] for at in range(len(names))]
    latest_us = timing.latest_us()
    refused = Refusals()
    texts: list[tuple[int, int, str]] = []
    readings: list[tuple[int, int, float]] = []
    for name, column in zip(names, columns, strict=True):
        known = series.get(name)
        earliest_us = timing.raw_from.floor_of([known.id] if known else ())
        for row, value in enumerate(column):
            if value is None:
                continue
            reason = (
                _reason_against(value, known, text_characters)
                if earliest_us <= times_us[row] <= latest_us
                else BAD_TIME
            )
            if reason is not None or known is None:
                # A name of 60 KB would be echoed 32 times.
                refused.add(message.seq, row, name[:64], reason or UNKNOWN_METRIC)
            elif isinstance(value, str):
                texts.append((known.id, times_us[row], value))
            else:
                readings.append((known.id, times_us[row], float(value)))
    return Batch(
        [reading[0] for reading in readings],
        [reading[1] for reading in readings],
        [reading[2] for reading in readings],
        texts,
        refused,
    )


def _row_times_us(
    base: float, rows: Sequence[Sequence[Value]], timing: Timing
) -> list[int]:
    origin_us = timing.offset_us + clock.to_us(base)
    return [origin_us + _offset_us(row[0]) for row in rows]


def _offset_us(offset: Value) -> int:
    if isinstance(offset, bool) or not isinstance(offset, int | float):
        return clock.INVALID_US
    return clock.to_us(offset)


def _reason_against(
    value: bool | int | float | str, known: KnownSeries | None, text_characters: int
) -> str | None:
    """Why this value cannot be stored in this series, or None."""
    if known is None:
        return UNKNOWN_METRIC
    if isinstance(value, str):
        if known.kind != "text" or "\0" in value:
            return BAD_TYPE
        return TOO_LONG if len(value) > text_characters else None
    if isinstance(value, bool):
        return None if known.kind == "boolean" else BAD_TYPE
    if known.kind != "number":
        return BAD_TYPE
    if isinstance(value, int):
        return None if abs(value) <= MAX_SAFE_INTEGER else BAD_TYPE
    return None if math.isfinite(value) else BAD_TYPE


def kind_of(value: Value) -> str | None:
    """The kind of series that a first value makes; null says nothing."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def first_values(message: PlainData | Data) -> dict[str, Value]:
    """For each metric of a message its first value that is not null."""
    if message.values is not None:
        return dict(message.values)
    found: dict[str, Value] = {}
    for at, name in enumerate(message.columns or ()):
        values = (row[at + 1] for row in message.rows or ())
        found[name] = next((value for value in values if value is not None), None)
    return found
