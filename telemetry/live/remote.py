"""A topic's rows as processes send them to each other. Pure.

Columns go as raw little-endian arrays; series by id, for positions are a process's
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from .rows import Int32, Int64, Rows


class _Content(msgspec.Struct, array_like=True):
    received_us: int
    series: bytes
    time_us: bytes
    last: bytes
    minimum: bytes
    maximum: bytes
    count: bytes
    late: list[tuple[int, int, int]]
    texts: list[tuple[int, int, str]]
    # Of each of `series`, then of each of `texts`; 0: not known. A hub of an earlier
    # version sends none.
    periods_us: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Content)


@dataclass(frozen=True, slots=True)
class RemoteRows:
    """Rows of another process; their positions are indexes of this one's state."""

    rows: Rows
    received_us: int
    # How far apart the readings of some series come, as the other process knows it.
    series: Int32
    periods_us: Int64


def series_of(rows: Rows, ids: Int32) -> Int32:
    """The series of the rows: those of its numbers, then those of its texts."""
    texts = np.array([row[0] for row in rows.texts], np.intp)
    return np.concatenate([ids[rows.positions], ids[texts]])


def pack(rows: Rows, ids: Int32, received_us: int, periods_us: Int64) -> bytes:
    """ids: the state's series ids; received_us: arrival of the newest of the rows.

    periods_us: of `series_of` the rows.
    """
    return _encoder.encode(
        _Content(
            received_us,
            ids[rows.positions].astype("<i4").tobytes(),
            rows.time_us.astype("<i8").tobytes(),
            rows.last.astype("<f8").tobytes(),
            rows.minimum.astype("<f8").tobytes(),
            rows.maximum.astype("<f8").tobytes(),
            rows.count.astype("<i8").tobytes(),
            [(int(ids[place]), start, end) for place, start, end in rows.late],
            [(int(ids[place]), time_us, text) for place, time_us, text in rows.texts],
            periods_us.astype("<i8").tobytes(),
        )
    )


def unpack(payload: bytes, position: Mapping[int, int]) -> RemoteRows:
    """Rows of the series in `position` (id → position); others are left out.

    Raises ValueError if the payload is not what `pack` makes.
    """
    try:
        content = _decoder.decode(payload)
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected packed rows: {error}") from None
    series = np.frombuffer(content.series, "<i4")
    places = np.array([position.get(key, -1) for key in series.tolist()], np.int32)
    rows = Rows(
        places,
        np.frombuffer(content.time_us, "<i8"),
        np.frombuffer(content.last, "<f8"),
        np.frombuffer(content.minimum, "<f8"),
        np.frombuffer(content.maximum, "<f8"),
        np.frombuffer(content.count, "<i8"),
        tuple((position[s], a, b) for s, a, b in content.late if s in position),
        tuple((position[s], t, v) for s, t, v in content.texts if s in position),
    )
    columns = (rows.time_us, rows.last, rows.minimum, rows.maximum, rows.count)
    if any(len(column) != len(places) for column in columns):
        raise ValueError("expected columns of one length")
    told = np.concatenate([series, np.array([row[0] for row in content.texts], "<i4")])
    periods_us = np.frombuffer(content.periods_us, "<i8")
    if not len(periods_us):
        told = told[:0]
    if len(periods_us) != len(told):
        raise ValueError("expected a period of each series, or none")
    is_known = np.array([key in position for key in told.tolist()], np.bool_)
    return RemoteRows(
        rows.where(places >= 0),
        content.received_us,
        told[is_known],
        periods_us[is_known],
    )
