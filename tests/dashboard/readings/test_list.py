"""The readings of a chart as a list: its rows, its file, and how they are written."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from telemetry.dashboard.readings.list import (
    Line,
    Listed,
    cell_texts,
    csv_parts,
    decimals_of,
    file_name,
)


def line(slug: str, name: str, kind: str = "number", decimals: int | None = None):
    return Line(1, slug, name, "temp", "Temperature", "°C", kind, decimals)


def of(numbers: list[list[float]], *, kind: str = "number") -> Listed:
    columns = ("value",) if len(numbers[0]) == 1 else ("mean", "lowest", "highest")
    columns = (*columns, "readings")[: len(numbers[0])]
    return Listed(
        [line("boiler", "Boiler", kind)],
        columns,
        np.arange(len(numbers)) * 1_000_000 + 1_500,
        np.zeros(len(numbers), np.int64),
        np.array(numbers, np.float64),
    )


def test_a_file_has_utc_times_and_a_name_in_it_is_never_a_formula():
    found = of([[1.5], [26]])
    found = Listed(
        [found.lines[0], line("pump", '=cmd, "x"')],
        found.columns,
        found.times_us,
        np.array([0, 1]),
        found.numbers,
    )
    text = "".join(csv_parts(found))
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows == [
        ["time", "device", "name", "metric", "unit", "value"],
        ["1970-01-01T00:00:00.001Z", "boiler", "Boiler", "temp", "°C", "1.5"],
        ["1970-01-01T00:00:01.001Z", "pump", '\'=cmd, "x"', "temp", "°C", "26"],
    ]


def test_a_file_has_all_rows_once():
    found = of([[float(at)] for at in range(12_345)])
    rows = "".join(csv_parts(found)).splitlines()
    assert [row.rsplit(",", 1)[1] for row in rows[1:]] == [
        str(at) for at in range(12_345)
    ]


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([], 0),
        ([1, -2, 3e12], 0),
        ([9.9, 10], 1),
        ([21.25], 2),
        ([21.12345], 2),
        ([0.5, 0.123], 3),
        ([float("nan"), float("inf"), 0.1234567], 3),
    ],
)
def test_a_column_has_as_many_decimals_as_its_values_need(values, decimals):
    assert decimals_of(np.array(values, np.float64)) == decimals


def test_values_are_read_as_in_the_chart():
    found = of([[0.25, 0, 1, 1234]], kind="boolean")
    assert cell_texts(found, 0, 0) == ["25.0 %", "off", "on", "1,234"]
    assert cell_texts(of([[21.5, 9.9, 22, 3]]), 0, 2) == ["21.50", "9.90", "22.00", "3"]


def test_a_name_of_a_file_has_letters_and_digits_only():
    assert (
        file_name(["Plant/Ä", "../temp"], 0, 1_000)
        == "Plant-Ä-temp-19700101T000000-19700101T000001.csv"
    )
    assert file_name(["…"], 0, 0) == "chart-19700101T000000-19700101T000000.csv"
    assert len(file_name(["x" * 500], 0, 0)) < 130
