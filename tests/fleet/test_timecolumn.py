"""The stated rule for the kind of time a cell is."""

from __future__ import annotations

import zoneinfo
from datetime import timezone

import pytest

from telemetry.fleet.timecolumn import TimeKind, detect, parse

NOON_US = 1_455_537_600_000_000  # 2016-02-15T12:00:00Z


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("2016-02-15T12:00:00Z", TimeKind.ISO),
        ("2016-02-15 12:00", TimeKind.ISO),
        ("2016/02/15", TimeKind.ISO),
        ("0 days 00:00:01", TimeKind.DURATION),
        ("01:13:10.5", TimeKind.DURATION),
        ("0", TimeKind.ELAPSED_S),
        ("86400.25", TimeKind.ELAPSED_S),
        ("1455537600", TimeKind.EPOCH_S),
        ("1455537600.5", TimeKind.EPOCH_S),
        ("1455537600000", TimeKind.EPOCH_MS),
        ("1455537600000000", TimeKind.EPOCH_US),
        ("1455537600000000000", TimeKind.EPOCH_NS),
    ],
)
def test_a_cell_has_the_kind_of_the_rule(cell: str, kind: TimeKind) -> None:
    assert detect(cell) is kind


@pytest.mark.parametrize("cell", ["", "noon", "-5", "NaN", "1e300", "15.02.2016"])
def test_a_cell_that_is_no_time_says_what_was_expected(cell: str) -> None:
    with pytest.raises(ValueError, match="expected .*got “"):
        detect(cell)


@pytest.mark.parametrize(
    ("kind", "cell", "us"),
    [
        (TimeKind.ISO, "2016-02-15T12:00:00Z", NOON_US),
        (TimeKind.ISO, "2016-02-15T13:00:00+01:00", NOON_US),
        (TimeKind.ISO, "2016-02-15T07:30:00-0430", NOON_US),
        (TimeKind.ISO, "2016-02-15 12:00:00.000250", NOON_US + 250),
        (TimeKind.ISO, "2016-02-14 24:00", NOON_US - 43_200_000_000),
        (TimeKind.EPOCH_S, "1455537600.000001", NOON_US + 1),
        (TimeKind.EPOCH_MS, "1455537600000", NOON_US),
        (TimeKind.EPOCH_NS, "1455537600000000000", NOON_US),
        (TimeKind.ELAPSED_S, "0.5", 500_000),
        (TimeKind.ELAPSED_MS, "16", 16_000),
        (TimeKind.DURATION, "0 days 01:13:11", 4_391_000_000),
        (TimeKind.DURATION, "1 day, 0:00:01.5", 86_401_500_000),
    ],
)
def test_cells_are_read_exactly(kind: TimeKind, cell: str, us: int) -> None:
    assert parse(kind, cell, timezone.utc) == us


def test_a_date_without_a_zone_is_in_the_zone_that_the_caller_names() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    assert parse(TimeKind.ISO, "2016-02-15 13:00", berlin) == NOON_US


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        (TimeKind.ISO, "2016-02-30"),
        (TimeKind.ISO, "1455537600"),
        (TimeKind.EPOCH_S, "soon"),
        (TimeKind.EPOCH_S, "1e400"),
        (TimeKind.DURATION, "1:2"),
    ],
)
def test_a_cell_of_another_kind_is_an_error(kind: TimeKind, cell: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(kind, cell, timezone.utc)
