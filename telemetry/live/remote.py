"""A topic's rows as processes send them to each other. Pure.

Columns go as raw little-endian arrays; series by id, for positions are a process's
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from .rows import Int32, Rows


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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Content)


@dataclass(frozen=True, slots=True)
class RemoteRows:
    """Rows of another process; their positions are indexes of this one's state."""

    rows: Rows
    received_us: int


def pack(rows: Rows, ids: Int32, received_us: int) -> bytes:
    """ids: the state's series ids; received_us: arrival of the newest of the rows."""
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
    return RemoteRows(rows.where(places >= 0), content.received_us)
