"""Columns of one series ↔ the bytes of a block; exact to the bit. Pure.

    byte 0      format version
    bytes 1-4   CRC-32 of all that follows, little-endian
    byte 5      how the times are written: 0 pcodec, 1 regular, 2 plain
    byte 6      how the values are written: 0 pcodec, 2 plain
    bytes 7-10  how many bytes the times take, little-endian
    then        the times, then the values

*Regular* is a first time and a step (two int64): nothing to compress, nothing to
decode. *Plain* is the array's own bytes, little-endian: what pcodec refuses is kept
all the same. Blocks of a tier hold more columns: `pack_columns`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, DeltaSpec, standalone

from .tick import Floats, Int64s

FORMAT_VERSION = 1
PCODEC, REGULAR, PLAIN = 0, 1, 2

_HEADER = struct.Struct("<BIBBI")
_CHECKED_FROM = 5
_REGULAR = struct.Struct("<qq")
_COLUMN = struct.Struct("<BI")
_INDEXES: Int64s = np.arange(16_384)
# Times grow steadily: looking for a better rule costs as much as compressing.
_TIMES = ChunkConfig(compression_level=8, delta_spec=DeltaSpec.try_consecutive(1))
_VALUES = ChunkConfig(compression_level=8)
# Looking for one is what small blocks would spend their time on; they are merged
# soon, and differ by less than 6 % (measured).
_FEW_VALUES = ChunkConfig(compression_level=8, delta_spec=DeltaSpec.try_consecutive(1))
FEW = 2_048


class Corrupt(Exception):
    """Bytes that have the form of no known version, or were damaged."""


def pack(times_us: Int64s, values: Floats) -> bytes:
    """Times (µs, ascending) and values of one series as the bytes of a block."""
    how_times, times = _packed_times(times_us)
    how_values, packed_values = _packed_values(values)
    rest = b"".join(
        (
            struct.pack("<BBI", how_times, how_values, len(times)),
            times,
            packed_values,
        )
    )
    return struct.pack("<BI", FORMAT_VERSION, zlib.crc32(rest)) + rest


def unpack(data: bytes, count: int) -> tuple[Int64s, Floats]:
    """The `count` times and values of a block. Raises Corrupt."""
    times_us, values = np.empty(count, np.int64), np.empty(count, np.float64)
    unpack_into(data, times_us, values)
    return times_us, values


def unpack_into(data: bytes, times_us: Int64s, values: Floats) -> None:
    """`unpack` into arrays (contiguous) of the block's length. Raises Corrupt."""
    if len(data) < _HEADER.size or data[0] != FORMAT_VERSION:
        raise Corrupt(
            f"expected version {FORMAT_VERSION} and {_HEADER.size} bytes or more, "
            f"got version {data[0] if data else None} and {len(data)} bytes"
        )
    _version, checksum, how_times, how_values, size = _HEADER.unpack_from(data)
    if zlib.crc32(memoryview(data)[_CHECKED_FROM:]) != checksum:
        raise Corrupt(f"expected a checksum of {checksum:08x}, got another")
    values_from = _HEADER.size + size
    _unpack_one(how_times, data[_HEADER.size : values_from], times_us)
    _unpack_one(how_values, data[values_from:], values)


def pack_columns(columns: Sequence[npt.NDArray[Any]]) -> bytes:
    """Columns of int64 or float64 of one length, the first of them times, as bytes.

    The version and checksum of `pack`, then each column: how it is written, its
    size in bytes, and itself.
    """
    parts: list[bytes] = []
    for column in columns:
        is_integer = column.dtype.kind == "i"
        how, packed = _packed_times(column) if is_integer else _packed_values(column)
        parts += [_COLUMN.pack(how, len(packed)), packed]
    rest = b"".join(parts)
    return struct.pack("<BI", FORMAT_VERSION, zlib.crc32(rest)) + rest


def unpack_columns(
    data: bytes, count: int, dtypes: Sequence[type[np.int64] | type[np.float64]]
) -> list[npt.NDArray[Any]]:
    """The columns of `pack_columns`, each of `count` entries. Raises Corrupt."""
    if len(data) < _CHECKED_FROM or data[0] != FORMAT_VERSION:
        raise Corrupt(f"expected version {FORMAT_VERSION}, got {data[:1]!r}")
    (checksum,) = struct.unpack_from("<I", data, 1)
    if zlib.crc32(memoryview(data)[_CHECKED_FROM:]) != checksum:
        raise Corrupt(f"expected a checksum of {checksum:08x}, got another")
    at = _CHECKED_FROM
    columns: list[npt.NDArray[Any]] = []
    for dtype in dtypes:
        if at + _COLUMN.size > len(data):
            raise Corrupt(f"expected {len(dtypes)} columns, got {len(columns)}")
        how, size = _COLUMN.unpack_from(data, at)
        at += _COLUMN.size
        column = np.empty(count, dtype)
        _unpack_one(how, data[at : at + size], column)
        columns.append(column)
        at += size
    if at != len(data):
        raise Corrupt(f"expected {at} bytes, got {len(data)}")
    return columns


def _packed_times(times_us: Int64s) -> tuple[int, bytes]:
    count = len(times_us)
    if count:
        first = int(times_us[0])
        step = int(times_us[1]) - first if count > 1 else 0
        # The last one tells most that are not regular, and that nothing overflows.
        is_last = int(times_us[-1]) - first == step * (count - 1)
        if is_last and abs(step) < 2**62 and (np.diff(times_us) == step).all():
            return REGULAR, _REGULAR.pack(first, step)
    return _packed(times_us, _TIMES)


def _packed_values(values: Floats) -> tuple[int, bytes]:
    return _packed(values, _FEW_VALUES if len(values) < FEW else _VALUES)


def _packed(column: npt.NDArray[Any], config: ChunkConfig) -> tuple[int, bytes]:
    try:
        return PCODEC, standalone.simple_compress(np.ascontiguousarray(column), config)
    except (RuntimeError, TypeError, ValueError):
        return PLAIN, column.astype(column.dtype.newbyteorder("<")).tobytes()


def _unpack_one(how: int, data: bytes, column: npt.NDArray[Any]) -> None:
    count = len(column)
    if how == REGULAR and len(data) == _REGULAR.size:
        first, step = _REGULAR.unpack(data)
        # In place: temporary arrays would take longer than the arithmetic.
        indexes = _INDEXES if count <= len(_INDEXES) else np.arange(count)
        np.multiply(indexes[:count], step, out=column)
        column += first
    elif how == PLAIN and len(data) == 8 * count:
        column[:] = np.frombuffer(data, column.dtype.newbyteorder("<"), count)
    elif how == PCODEC:
        try:
            progress = standalone.simple_decompress_into(data, column)
        except (RuntimeError, TypeError, ValueError) as error:
            raise Corrupt(f"expected pcodec, got {error}") from None
        if progress.n_processed != count or not progress.finished:
            raise Corrupt(f"expected {count} entries, got {progress.n_processed}")
    else:
        raise Corrupt(f"expected {count} entries, got {len(data)} bytes of kind {how}")
