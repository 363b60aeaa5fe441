"""telemetry.history.pack: exact to the bit, and damage is always told."""

from __future__ import annotations

import contextlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.history import pack, summary
from telemetry.history.pack import (
    Corrupt,
    pack_columns,
    unpack,
    unpack_columns,
    unpack_into,
)

int64 = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
special = st.sampled_from(
    [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]
)
# Regular ones are written in another way.
times = st.one_of(
    st.lists(int64, max_size=60).map(sorted),
    st.builds(
        lambda first, step, count: [first + at * step for at in range(count)],
        st.integers(-(2**61), 2**61),
        st.integers(0, 2**50),
        st.integers(0, 60),
    ),
)
blocks = times.flatmap(
    lambda ascending: st.tuples(
        st.just(np.array(ascending, np.int64)),
        st.lists(
            st.one_of(finite, special), min_size=len(ascending), max_size=len(ascending)
        ).map(lambda values: np.array(values, np.float64)),
    )
)


def rows_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings with jitter: pcodec has something to do."""
    rng = np.random.default_rng(1)
    times_us = np.sort(rng.integers(0, 10**12, count)) + 1_795_000_000_000_000
    return times_us, np.round(rng.normal(20, 3, count), 2)


@given(blocks)
def test_any_readings_come_back_to_the_bit(block):
    times_us, values = block
    found = unpack(pack.pack(times_us, values), len(values))
    assert found[0].tobytes() == times_us.tobytes()
    assert found[1].tobytes() == values.tobytes()


@pytest.mark.parametrize("count", [0, 1, 2, 100, 16_384, 16_385, 40_000])
@pytest.mark.parametrize("is_regular", [True, False])
def test_any_length_comes_back(count: int, is_regular: bool):
    times_us, values = rows_of(count)
    if is_regular:
        times_us = np.arange(count, dtype=np.int64) * 250_000 + 1_795_000_000_000_000
    data = pack.pack(times_us, values)
    found = unpack(data, count)
    assert (found[0] == times_us).all() and found[1].tobytes() == values.tobytes()
    into = np.full(count, 7, np.int64), np.full(count, 7.0)
    unpack_into(data, *into)
    assert (into[0] == times_us).all() and into[1].tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "times_us",
    [
        [-(2**63), 2**63 - 1],
        [-(2**63), 0, 2**63 - 1],
        [-(2**63)] * 5,
        [2**63 - 1] * 5,
        [0, 2**62, 2**63 - 1],
        # A constant step, whose difference overflows.
        [-(2**63), -1, 2**63 - 2],
    ],
)
def test_the_widest_steps_come_back(times_us: list[int]):
    given_us = np.array(times_us, np.int64)
    found = unpack(pack.pack(given_us, np.zeros(len(given_us))), len(given_us))
    assert found[0].tolist() == times_us


def test_regular_times_take_no_room():
    count = 16_384
    times_us = np.arange(count, dtype=np.int64) * 1_000_000
    assert len(pack.pack(times_us, np.zeros(count))) < 100


def test_what_pcodec_refuses_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> bytes:
        raise RuntimeError("no")

    monkeypatch.setattr("pcodec.standalone.simple_compress", refuse)
    times_us, values = rows_of(50)
    data = pack.pack(times_us, values)
    found = unpack(data, 50)
    assert (found[0] == times_us).all() and found[1].tobytes() == values.tobytes()
    with pytest.raises(Corrupt):
        unpack(data, 49)


@given(
    st.integers(0, 40).flatmap(
        lambda count: st.tuples(
            *(
                st.lists(
                    int64 if dtype is np.int64 else st.one_of(finite, special),
                    min_size=count,
                    max_size=count,
                )
                for dtype in summary.DTYPES
            )
        )
    )
)
def test_columns_of_a_tier_come_back_to_the_bit(columns):
    made = [
        np.array(sorted(column) if at == 0 else column, dtype)
        for at, (column, dtype) in enumerate(zip(columns, summary.DTYPES, strict=True))
    ]
    found = unpack_columns(pack_columns(made), len(columns[0]), summary.DTYPES)
    for one, other in zip(made, found, strict=True):
        assert one.dtype == other.dtype and one.tobytes() == other.tobytes()


# --- damage ----------------------------------------------------------------------

READINGS = rows_of(300)
RAW = pack.pack(*READINGS)
TIER = pack_columns(list(READINGS))
DTYPES: list[type[np.int64] | type[np.float64]] = [np.int64, np.float64]


def read_raw(data: bytes, count: int = 300) -> None:
    unpack(data, count)


def read_tier(data: bytes, count: int = 300) -> None:
    unpack_columns(data, count, DTYPES)


both = pytest.mark.parametrize(
    "data, read", [(RAW, read_raw), (TIER, read_tier)], ids=["raw", "tier"]
)


@both
def test_any_flipped_bit_is_told(data: bytes, read):
    for at in range(len(data)):
        for bit in (0, 3, 7):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            with pytest.raises(Corrupt):
                read(bytes(damaged))


@both
def test_any_truncation_is_told(data: bytes, read):
    for length in range(len(data)):
        with pytest.raises(Corrupt):
            read(data[:length])
    with pytest.raises(Corrupt):
        read(data + b"\0")


@both
@pytest.mark.parametrize("count", [0, 1, 299, 301, 600])
def test_another_length_is_told(data: bytes, read, count: int):
    with pytest.raises(Corrupt):
        read(data, count)


@both
@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_told(data: bytes, read, version: int):
    with pytest.raises(Corrupt, match="version 1"):
        read(bytes([version]) + data[1:])


def test_fewer_columns_than_asked_for_are_told():
    with pytest.raises(Corrupt, match="columns"):
        unpack_columns(TIER, 300, [*DTYPES, np.float64])
    with pytest.raises(Corrupt):
        unpack_columns(TIER, 300, [np.int64])


def signed(data: bytes) -> bytes:
    """Bytes whose checksum is right, whatever they say."""
    return data[:1] + struct.pack("<I", zlib.crc32(data[5:])) + data[5:]


@settings(max_examples=500)
@given(
    st.sampled_from([(RAW, read_raw), (TIER, read_tier)]),
    st.lists(st.tuples(st.integers(5, 3_000), st.integers(0, 255)), max_size=5),
    st.integers(0, 40),
)
def test_wrong_bytes_with_a_right_checksum_neither_crash_nor_hang(case, changes, cut):
    data, read = case
    damaged = bytearray(data[: len(data) - cut])
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    damaged[0] = pack.FORMAT_VERSION
    with contextlib.suppress(Corrupt):
        read(signed(bytes(damaged)))


@given(st.binary(max_size=80), st.integers(0, 50))
def test_any_bytes_are_read_or_told(data: bytes, count: int):
    for read in (read_raw, read_tier):
        for each in (data, b"\1" + data, signed(b"\1\0\0\0\0" + data)):
            with contextlib.suppress(Corrupt):
                read(each, count)
