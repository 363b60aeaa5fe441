"""telemetry.history.upsert: rows move forward, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry.history.models import SeriesHead
from telemetry.history.upsert import ForwardUpsert

pytestmark = pytest.mark.django_db

COLUMNS = {
    "series_id": "bigint",
    "time_us": "bigint",
    "effective_us": "bigint",
    "received_us": "bigint",
    "value": "double precision",
    "text": "text",
    "period_us": "bigint",
}
UPSERT = ForwardUpsert(
    SeriesHead._meta.db_table,
    COLUMNS,
    keys=["series_id"],
    order="effective_us",
    lasting=["period_us"],
)


def head(
    series: int,
    at_us: int,
    value: float | None = 0.0,
    text: str = "",
    period_us: int | None = None,
) -> list[Any]:
    return [series, at_us, at_us, at_us, value, text, period_us]


def stored(column: str) -> dict[int, Any]:
    return dict(SeriesHead.objects.values_list("series_id", column))


def test_rows_are_made_and_moved_forward_together():
    UPSERT.write([head(1, 10, 1.0), head(2, 10, 1.0), head(3, 10, 1.0)])
    UPSERT.write([head(1, 9, 2.0), head(2, 10, 2.0), head(3, 11, 2.0), head(4, 1)])
    assert stored("value") == {1: 1.0, 2: 2.0, 3: 2.0, 4: 0.0}
    assert stored("effective_us") == {1: 10, 2: 10, 3: 11, 4: 1}


def test_a_null_of_a_lasting_column_leaves_what_is_stored():
    UPSERT.write([head(1, 1, period_us=7), head(2, 1)])
    UPSERT.write([head(1, 2), head(2, 2, period_us=8)])
    assert stored("period_us") == {1: 7, 2: 8}


def test_a_null_of_another_column_is_written():
    UPSERT.write([head(1, 1, 5.0)])
    UPSERT.write([head(1, 2, None, "on")])
    assert stored("value") == {1: None}


@pytest.mark.parametrize(
    "text", ["NULL", "", 'a "b"', "{1,2}", "back\\slash", "it's", "%s", "日本 🌡", "a,b"]
)
def test_a_text_comes_back_as_it_went_in(text: str):
    UPSERT.write([head(1, 1, None, text), head(2, 1, None, "plain")])
    assert stored("text") == {1: text, 2: "plain"}


@pytest.mark.parametrize("value", [0.0, 1e-320, 1.7976931348623157e308, 0.1 + 0.2])
def test_a_value_comes_back_bit_by_bit(value: float):
    UPSERT.write([head(1, 1, value), head(2, 1, None)])
    assert stored("value") == {1: value, 2: None}


def test_the_largest_and_smallest_times_fit():
    most = 2**63 - 1
    UPSERT.write([head(1, most), head(2, -most)])
    assert stored("time_us") == {1: most, 2: -most}


def test_nothing_is_nothing():
    UPSERT.write([])
    assert stored("value") == {}
