"""Parquet: what is read of it, and what of a file is refused."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telemetry.devices.models import Series
from telemetry.history.transfer import parquet_rows
from telemetry.history.transfer.incoming import BadFile
from telemetry.protocol.clock import INVALID_US

from ..files import T, imported


def table(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def test_other_types_of_columns(transactional_db):
    times = pa.array([T * 1000, T * 1000 + 1_500], pa.timestamp("ns", "UTC"))
    names = pa.array(["n", "n"])
    content = table(metric=names, time=times, value=pa.array([1, 2**60]))
    found = imported(content, "parquet", slug="pump")
    assert (found.accepted, found.reasons()) == (1, [(2, "bad_type")])
    flags = pa.array([True, None])
    content = table(Metric=pa.array(["b", "b"]), time=times, value=flags, extra=names)
    found = imported(content, "parquet", slug="pump")
    assert (found.accepted, found.reasons()) == (1, [(2, "bad_type")])
    assert Series.objects.get(name="b").kind == "boolean"
    texts = pa.array(["2026-11-22T10:00:00Z", "soon"])
    content = table(metric=pa.array(["t", "t"]), time=texts, value=pa.array(["x", "y"]))
    found = imported(content, "parquet", slug="pump")
    assert (found.accepted, found.reasons()) == (1, [(2, "bad_time")])
    assert Series.objects.get(name="t").kind == "text"


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_is_no_parquet_of_readings(transactional_db, is_whole):
    content = table(metric=["n"], time=[1], value=[1.0])
    if not is_whole:
        times = pa.array([T], pa.timestamp("us", "UTC"))
        content = table(metric=["n"], time=times, value=[1.0])[:-20]
    with pytest.raises(BadFile, match="expected"):
        imported(content, "parquet", slug="pump")
    with pytest.raises(BadFile, match="expected"):
        imported(b"time,value", "parquet", slug="pump")


def test_a_file_that_opens_to_more_than_allowed(transactional_db):
    count = 100_000
    times = pa.array(np.full(count, T), pa.timestamp("us", "UTC"))
    content = table(metric=["n"] * count, time=times, value=np.zeros(count))
    assert len(content) < 10_000
    slices = parquet_rows.decode(io.BytesIO(content), 2_000_000)
    with pytest.raises(BadFile, match="at most 2000000 bytes"):
        next(slices)


@pytest.mark.parametrize("column", ["metric", "time", "value", "text", "unit"])
@pytest.mark.parametrize("is_dictionary", [True, False])
def test_a_long_text_in_every_row_is_refused_before_it_is_made(column, is_dictionary):
    def file(length: int) -> io.BytesIO:
        indices = pa.array([0] * 9_999 + [1, None], pa.int32())
        long = pa.DictionaryArray.from_arrays(indices, ["x" * length, "y"])
        columns: dict[str, object] = {
            "metric": ["n"] * 10_001,
            "time": pa.array(np.full(10_001, T), pa.timestamp("us", "UTC")),
            "value": np.zeros(10_001),
            column: long,
        }
        made = io.BytesIO()
        pq.write_table(
            pa.table(columns), made, store_schema=is_dictionary, compression="zstd"
        )
        return made

    most = parquet_rows.TEXT_BYTES
    found = list(parquet_rows.decode(file(most)))
    assert sum(len(part.lines) for each in found for part in each.parts) == 10_001
    with pytest.raises(BadFile, match=f"at most {most} bytes .* {column}, got"):
        list(parquet_rows.decode(file(most + 1)))


def test_rows_that_are_long_come_a_few_at_once(monkeypatch):
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 100_000)
    times = pa.array(np.full(500, T), pa.timestamp("us", "UTC"))
    texts = [f"{at:01000}" for at in range(500)]
    content = table(metric=["t"] * 500, time=times, value=np.zeros(500), text=texts)
    found = list(parquet_rows.decode(io.BytesIO(content)))
    assert 5 <= len(found) <= 10
    assert [text for each in found for text in each.parts[0].values] == texts


@pytest.mark.parametrize("column", ["metric", "time", "text", "Zzzz"])
def test_bytes_that_are_no_utf8(column):
    offsets = pa.array([0, 4], pa.int32()).buffers()[1]
    wrong = pa.Array.from_buffers(
        pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe\xfd\xfc")]
    )
    columns = {"metric": ["n"], "time": ["2026-11-22T10:00:00Z"], "value": [1.0]}
    content = table(**{**columns, column: wrong}).replace(b"Zzzz", b"\xff\xfe\xfd\xfc")
    with pytest.raises(BadFile, match="expected a file of Apache Parquet"):
        list(parquet_rows.decode(io.BytesIO(content)))


def test_times_that_no_microsecond_can_hold(transactional_db):
    """Scaled to µs, the first one would be a time of today."""
    beyond = (T + 2**64) // 1_000
    values = pa.array([beyond, -beyond, 2**63 - 1, -(2**63), None, T // 1_000])
    times = values.cast(pa.timestamp("ms", "UTC"))
    content = table(metric=["n"] * 6, time=times, value=np.zeros(6))
    (found,) = parquet_rows.decode(io.BytesIO(content))
    assert found.parts[0].times_us.tolist()[4:] == [INVALID_US, T]
    result = imported(content, "parquet", slug="pump")
    assert result.accepted == 1
    assert result.reasons() == [(line, "bad_time") for line in (1, 2, 3, 4, 5)]
    assert all("expected a time" in each.message for each in result.refusals.listed)


def test_damaged_files_are_refused_or_read_and_nothing_else():
    """Some of them made pyarrow end the process."""
    times = pa.array(np.full(9, T), pa.timestamp("us", "UTC"))
    whole = table(
        metric=["p"] * 9, time=times, value=np.zeros(9), text=["a", None, "b"] * 3
    )
    chance = random.Random(5)
    for _ in range(500):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        with contextlib.suppress(BadFile):
            list(parquet_rows.decode(io.BytesIO(bytes(content)), 2**28))
