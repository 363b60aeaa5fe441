"""telemetry.history.queries.calendar_buckets: days, weeks and months of a zone."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from telemetry.history.journal import to_us
from telemetry.history.queries.buckets import read_edges
from telemetry.history.queries.calendar_buckets import calendar_edges
from telemetry.history.queries.ladder import BadRange

from ..stored import commit, seal

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000_000


def us(text: str, zone=BERLIN) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=zone))


def hours(from_text: str, to_text: str, unit: str, zone=BERLIN) -> list[float]:
    edges = calendar_edges(us(from_text, zone), us(to_text, zone), unit, zone)
    return [step / HOUR for step in (edges[1:] - edges[:-1]).tolist()]


@pytest.mark.parametrize(
    "from_text, to_text, expected",
    [
        # The clocks go forward on 2026-03-29 and back on 2026-10-25.
        ("2026-03-28", "2026-03-31", [24, 23, 24]),
        ("2026-10-24", "2026-10-27", [24, 25, 24]),
        ("2026-03-28T18:00", "2026-03-29T06:00", [6, 5]),
        ("2026-03-29T01:00", "2026-03-29T04:00", [2]),
    ],
)
def test_a_day_has_23_or_25_hours_when_the_clocks_change(
    from_text: str, to_text: str, expected: list[float]
):
    assert hours(from_text, to_text, "day") == expected


def test_weeks_begin_on_monday():
    # A Wednesday.
    assert hours("2026-03-25", "2026-04-08", "week") == [5 * 24 - 1, 7 * 24, 2 * 24]


def test_months_have_their_length():
    days = [step / 24 for step in hours("2026-01-31T12:00", "2026-05-01", "month")]
    assert days == [0.5, 28, 31 - 1 / 24, 30]


@pytest.mark.parametrize(
    "zone, from_text, to_text, expected",
    [
        # Midnight does not exist: the day begins at 1 o'clock.
        ("America/Sao_Paulo", "2018-11-03", "2018-11-05T00:00", [24, 23]),
        # A day that the zone skipped when it moved across the date line.
        ("Pacific/Apia", "2011-12-29", "2012-01-01", [24, 24]),
        ("Asia/Kathmandu", "2026-01-01", "2026-01-03", [24, 24]),
    ],
)
def test_zones_with_odd_days(zone, from_text, to_text, expected):
    assert hours(from_text, to_text, "day", ZoneInfo(zone)) == expected


@pytest.mark.parametrize(
    "span",
    [
        ("2026-03-28", "2026-03-28"),
        ("2026-03-28", "2026-03-27"),
        ("1990-01-01", "2026-03-27"),
        ("9999-12-01", "9999-12-30"),
    ],
)
def test_a_range_without_sense_is_refused(span):
    with pytest.raises(BadRange, match="expected"):
        calendar_edges(us(span[0]), us(span[1]), "day", BERLIN)


def test_a_century_by_month_is_answered():
    assert len(hours("1980-01-01", "2080-01-01", "month")) == 1_200


def test_an_unknown_unit_is_refused():
    with pytest.raises(BadRange, match="fortnight"):
        calendar_edges(0, 1, "fortnight", BERLIN)


@pytest.mark.django_db
def test_a_reading_is_in_the_day_of_the_readers_zone():
    # 23:30 UTC on the 9th is the 10th in Berlin.
    late = us("2026-02-09T23:30", timezone.utc)
    seal(1, [(late, 1.0), (late + HOUR, 2.0)])
    commit(1, [(late - HOUR, 7.0)])
    span = us("2026-02-08", timezone.utc), us("2026-02-12", timezone.utc)
    utc = read_edges([1], calendar_edges(*span, "day", timezone.utc)).series[1]
    assert utc.summaries.count.tolist() == [2, 1]
    berlin = read_edges([1], calendar_edges(*span, "day", BERLIN))
    assert berlin.series[1].starts_us.tolist() == [us("2026-02-09"), us("2026-02-10")]
    assert berlin.series[1].summaries.count.tolist() == [1, 2]
    assert berlin.width_us is None
