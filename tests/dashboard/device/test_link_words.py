"""telemetry.dashboard.device.link_words: a link in words, and as a strip."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from django.utils import timezone as django_timezone

from telemetry.dashboard.device.link_words import STRIP_HEIGHT, quality_words, strip
from telemetry.devices.quality import HOURS, Quality

NONE = Quality(
    p50_ms=None,
    p95_ms=None,
    round_trips=0,
    skew_ms=None,
    readings=0,
    lost=0,
    sent_again=0,
    rejected=0,
    connects=0,
    reconnects=0,
    availability=(None,) * HOURS,
    received=(0,) * HOURS,
)
NOW = datetime(2026, 11, 22, 14, 20, tzinfo=timezone.utc)


def words(name: str, **changes: object) -> str:
    return quality_words(replace(NONE, **changes))[name]  # type: ignore[arg-type]


def test_what_was_not_measured_says_so():
    assert quality_words(NONE) == {
        "latency": "not measured",
        "clock": "not measured",
        "readings": "none",
        "lost": "none",
        "sent_again": "none",
        "rejected": "none",
        "reconnects": "none",
        "availability": "not known yet",
    }


@pytest.mark.parametrize(
    ("p50_ms", "p95_ms", "expected"),
    [
        (38.2, 120.4, "p50 38 ms, p95 120 ms"),
        (0.3, 1.0, "p50 under 1 ms, p95 1 ms"),
        (9_999, 20_400, "p50 9,999 ms, p95 20 s"),
    ],
)
def test_latency(p50_ms, p95_ms, expected):
    assert words("latency", p50_ms=p50_ms, p95_ms=p95_ms) == expected


@pytest.mark.parametrize(
    ("skew_ms", "expected"),
    [
        (0, "right to within 50 ms"),
        (-49.9, "right to within 50 ms"),
        (50, "about 50 ms ahead"),
        (3_100, "about 3.1 s ahead"),
        (-600_000, "about 10 min behind"),
        (-7 * 3_600_000, "about 7 h behind"),
        (1.7e12, "about 19,676 d ahead"),
    ],
)
def test_clock(skew_ms, expected):
    assert words("clock", skew_ms=skew_ms) == expected


def test_counts_are_in_their_own_words():
    assert words("readings", readings=86_400) == "86,400"
    assert words("lost", lost=14) == "14 batches"
    assert words("sent_again", sent_again=1) == "1 batch"
    assert words("rejected", rejected=12_000) == "12,000 values"
    assert words("reconnects", reconnects=5) == "5 times"


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1.0] * 24, "all the time"),
        ([None] * 20 + [1.0] * 4, "all the time"),
        ([1.0] * 23 + [0.5], "97.9 % of the time, with breaks in 1 hour"),
        ([0.0] * 24, "never"),
    ],
)
def test_availability_is_the_strips_text(shares, expected):
    assert words("availability", availability=tuple(shares)) == expected


def test_who_never_connects_may_send_all_the_same():
    shares = (0.0,) * HOURS
    text = words("availability", availability=shares, readings=660)
    assert text == "never: its readings come over HTTP"
    assert words("availability", availability=shares, readings=1, connects=1) == "never"


def test_the_strip_has_an_hour_a_bar_in_the_readers_zone():
    quality = replace(NONE, availability=(None,) * 22 + (1.0, 0.001))
    with django_timezone.override("Asia/Kolkata"):
        bars = strip(quality, NOW)
    assert len(bars) == HOURS
    assert [bar.is_known for bar in bars] == [False] * 22 + [True] * 2
    assert bars[22].words == "18:30 to 19:30: 100 %"
    assert bars[23].words == "19:30 to 20:30: 0.1 %"
    assert bars[0].words == "20:30 to 21:30: nothing known"
    assert (bars[22].top, bars[22].height) == (0, STRIP_HEIGHT)
    # A short visit is seen.
    assert bars[23].height == 2


@pytest.mark.parametrize(
    ("share", "height"), [(0.0, 0.0), (0.5, 14.0), (0.97, 26.0), (1.0, 28.0)]
)
def test_a_short_break_is_seen(share, height):
    quality = replace(NONE, availability=(share,) * HOURS)
    assert {bar.height for bar in strip(quality, NOW + timedelta(hours=1))} == {height}
