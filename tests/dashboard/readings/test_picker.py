"""The range picker as it comes from the server."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta
from typing import Any

import pytest
from django.test import RequestFactory
from django.utils import timezone

from telemetry.dashboard.readings.picker import PRESETS, YOUNG, shown_range, span_since


def shown(query: dict[str, str], usual: str = "15m") -> dict[str, Any]:
    return shown_range(RequestFactory().get("/g/plant", query), usual)


def chosen(query: dict[str, str], usual: str = "15m") -> list[str]:
    return [each.value for each in shown(query, usual)["presets"] if each.is_chosen]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["now-15m"]),
        ({"from": "now-6h"}, ["now-6h"]),
        ({"from": "-5m"}, ["now-5m"]),
        ({"from": "now-24h", "to": "now"}, ["now-24h"]),
        ({"from": "now-1d"}, ["now-24h"]),
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
    assert chosen({}, YOUNG) == ["now-5m"]
    assert len(shown({}, YOUNG)["presets"]) == len(PRESETS)


def test_the_script_begins_with_what_the_page_says():
    told = shown({"from": "banana"}, "1h")["range"]
    assert told["view"] == {"spanMs": told["usualMs"]} == {"spanMs": 3_600_000}
    assert "“banana” is no time" in told["problem"]
    assert shown({"from": "now-6h"})["problem"] == ""


def test_another_range_keeps_what_else_the_address_says():
    asked = {"from": "now-6h", "by": "device", "m": "temp,hum", "tab": "", "x": "1"}
    assert shown(asked)["kept"] == [("by", "device"), ("m", "temp,hum")]


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
        ("2025-11-22T14:03:05Z", "2025-11-22T15:03:05"),
        ("2025-11-22T14:03:05.250Z", "2025-11-22T15:03:05"),
        ("2025-11-22T14:03", "2025-11-22T14:03:00"),
        ("2025-07-22T14:03:00+02:00", "2025-07-22T14:03:00"),
    ],
)
def test_dates_are_those_of_the_readers_wall_clock(text, local):
    with timezone.override(zoneinfo.ZoneInfo("Europe/Berlin")):
        assert shown({"from": text})["dates"][0] == local


@pytest.mark.parametrize("text", ["", "now-6h", "banana", "9" * 400, "٢٠٢٦", "-1"])
def test_whatever_is_asked_for_there_are_two_dates(text):
    start, end = shown({"from": text, "to": text})["dates"]
    assert len(start) == len(end) == 19
    assert start < end


def test_the_edges_of_the_calendar_are_no_error():
    with timezone.override(zoneinfo.ZoneInfo("America/New_York")):
        for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0"):
            assert shown({"from": text, "to": text})["dates"]
