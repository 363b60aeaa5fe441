"""The range picker as it comes from the server."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta

import pytest
from django.utils import timezone

from telemetry.dashboard.picker import PRESETS, dates, presets, span_since


def chosen(query: dict[str, str], *, is_young: bool = False) -> list[str]:
    return [each.value for each in presets(query, is_young=is_young) if each.is_chosen]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["now-15m"]),
        ({"from": "now-6h"}, ["now-6h"]),
        ({"from": "-5m"}, ["now-5m"]),
        ({"from": "now-24h", "to": "now"}, ["now-24h"]),
        ({"from": "now-24h", "to": "now-1h"}, []),
        ({"from": "now-9h"}, []),
        ({"from": "<script>"}, ["now-15m"]),
        ({"from": "now-20y"}, ["now-15m"]),
        ({"from": "now-6h", "to": "later"}, ["now-15m"]),
        ({"from": "2026-11-22T10:00", "to": "2026-11-22T11:00"}, []),
    ],
)
def test_the_button_of_the_address_is_pressed(query, found):
    assert chosen(query) == found


def test_a_young_group_begins_with_its_shortest_span():
    assert chosen({}, is_young=True) == ["now-5m"]
    assert len(presets({}, is_young=True)) == len(PRESETS)


@pytest.mark.parametrize(
    ("minutes", "span"),
    [
        (None, "15m"),
        (0, "15m"),
        (12, "15m"),
        (12.1, "1h"),
        (60 * 19, "24h"),
        (60 * 24 * 7, "30d"),
        (60 * 24 * 400, "30d"),
    ],
)
def test_the_usual_span_shows_the_end_of_what_was_sent(minutes, span):
    age = None if minutes is None else timedelta(minutes=minutes)
    assert span_since(age) == span


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2026-11-22T14:03:05Z", "2026-11-22T15:03:05"),
        ("2026-11-22T14:03:05.250Z", "2026-11-22T15:03:05"),
        ("2026-11-22T14:03", "2026-11-22T14:03"),
        ("2026-07-22T14:03:00+02:00", "2026-07-22T14:03:00"),
    ],
)
def test_dates_are_those_of_the_readers_wall_clock(text, local):
    with timezone.override(zoneinfo.ZoneInfo("Europe/Berlin")):
        assert dates({"from": text})[0] == local


@pytest.mark.parametrize("text", ["", "now-6h", "banana", "9" * 400, "٢٠٢٦", "-1"])
def test_what_is_no_date_is_the_last_hour(text):
    start, end = dates({"from": text, "to": text})
    assert len(start) == len(end) == 19
    assert start < end


def test_the_edges_of_the_calendar_are_no_error():
    with timezone.override(zoneinfo.ZoneInfo("America/New_York")):
        assert dates({"from": "0001-01-01T00:00:00Z"})
        assert dates({"from": "9999-12-31T23:59:59-23:59"})
