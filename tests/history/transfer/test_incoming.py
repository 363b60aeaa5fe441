"""What a file says against its series: a page of any readings comes through."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.history.raw_from import RawFrom
from telemetry.history.transfer import csv_rows, export, parquet_rows
from telemetry.history.transfer.importing import accepted
from telemetry.history.transfer.incoming import Bounds, Refusals, Target

from ..files import FORMATS, T
from ..rows import bits


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(946_684_800_000_000, T),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(
                st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
                max_size=20,
            ),
        ),
        min_size=1,
        max_size=40,
    )
)
@pytest.mark.parametrize("format_", FORMATS)
def test_any_page_reads_back(format_, rows):
    number = export.Named(1, "d", "n", "number", "")
    text = export.Named(2, "d", "t", "text", "")
    times_us = np.array([row[0] for row in rows], np.int64)
    numbers = np.array([row[1] for row in rows])
    pages = [
        export.Page(number, times_us, numbers),
        export.Page(text, times_us, [row[2] for row in rows]),
    ]
    if format_ == "csv":
        content = csv_rows.HEADER + b"".join(
            piece for page in pages for piece in csv_rows.encode(page)
        )
        slices = csv_rows.decode(io.BytesIO(content))
    else:
        content = b"".join(parquet_rows.encode(pages))
        slices = parquet_rows.decode(io.BytesIO(content))
    bounds = Bounds(T, RawFrom(), 256)
    refusals = Refusals()
    targets = {"n": (1, "number"), "t": (2, "text")}
    got = [
        good
        for some in slices
        for good in accepted(
            some, lambda part: Target(*targets[part.key.metric]), bounds, refusals
        )
    ]
    assert refusals.listed == []
    assert np.concatenate([g.times_us for g in got]).tolist() == times_us.tolist()
    assert bits(np.concatenate([g.values for g in got])) == bits(numbers)
    assert [t for g in got for t in g.texts] == [
        (2, time_us, text) for time_us, _, text in rows
    ]
