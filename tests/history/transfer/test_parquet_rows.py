"""Parquet: what is read of it, and what of a file is refused."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telemetry.devices.models import Series
from telemetry.history.transfer import parquet_rows
from telemetry.history.transfer.incoming import BadFile

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
