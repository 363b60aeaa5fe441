"""What range an address asks for: read, or the nearest that there is, and why."""

from __future__ import annotations

from itertools import product
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from telemetry.dashboard.readings.ranges import LONGEST_MS, SHORTEST_MS, View, read
from telemetry.history.transfer import moments

NOW_MS = moments.parse("2026-11-22T16:00:00Z") // 1_000
BERLIN = ZoneInfo("Europe/Berlin")
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
USUAL_MS = 15 * MINUTE_MS


def asked(search: str, zone: ZoneInfo = BERLIN) -> tuple[View, str]:
    query = dict(parse_qsl(search, keep_blank_values=True))
    return read(query, NOW_MS, zone, USUAL_MS)


def fixed(start: str, end: str) -> View:
    return View(None, *(moments.parse(text) // 1_000 for text in (start, end)))


@pytest.mark.parametrize(
    ("search", "view"),
    [
        ("", View(USUAL_MS)),
        ("from=&to=", View(USUAL_MS)),
        ("from=now-6h", View(6 * HOUR_MS)),
        ("from=-5m", View(5 * MINUTE_MS)),
        ("from=now-30d&to=now", View(30 * DAY_MS)),
        ("from=now-2w&to=now", View(14 * DAY_MS)),
        (
            "from=now-6h&to=now-1h",
            fixed("2026-11-22T10:00:00Z", "2026-11-22T15:00:00Z"),
        ),
        (
            "from=2026-11-22T14:03&to=2026-11-22T15:03:00",
            fixed("2026-11-22T13:03:00Z", "2026-11-22T14:03:00Z"),
        ),
        (
            "from=2026-11-22T14:03:05.250Z&to=now",
            fixed("2026-11-22T14:03:05.250Z", "2026-11-22T16:00:00Z"),
        ),
        (
            "from=2026-11-22T14:00:00%2B02:00&to=2026-11-22T14:00:00+01:00",
            fixed("2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z"),
        ),
        (
            "from=1795351535368&to=1795355135368",
            View(None, 1795351535368, 1795355135368),
        ),
        ("to=2026-11-20", fixed("2026-11-19T22:45:00Z", "2026-11-19T23:00:00Z")),
        # Skipped in spring: what the clocks go on to. Twice in autumn: the first.
        (
            "from=2026-03-29T02:30&to=2026-03-29T03:45",
            fixed("2026-03-29T01:30:00Z", "2026-03-29T01:45:00Z"),
        ),
        (
            "from=2026-10-25T02:30&to=2026-10-25T03:30",
            fixed("2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"),
        ),
    ],
)
def test_a_good_range_is_what_it_says(search, view):
    assert asked(search) == (view, "")


@pytest.mark.parametrize(
    ("search", "view", "why"),
    [
        ("from=banana", View(USUAL_MS), "“banana” is no time"),
        ("from=now-6h&to=later", View(USUAL_MS), "“later” is no time"),
        ("from=banana&to=2026-01-01", View(USUAL_MS), "banana"),
        ("from=now-20y&to=now", View(USUAL_MS), "so this is the usual range"),
        (
            "from=2026-11-22T15:00Z&to=2027-01-01",
            fixed("2026-11-22T15:00:00Z", "2026-11-22T16:00:00Z"),
            "ends in the future",
        ),
        (
            "from=now-1h&to=now%2B1h",
            fixed("2026-11-22T15:00:00Z", "2026-11-22T16:00:00Z"),
            "ends in the future",
        ),
        ("from=now-20000d", View(LONGEST_MS), "10 years"),
        (
            "from=0&to=1795351535368",
            View(None, 1795351535368 - LONGEST_MS, 1795351535368),
            "10 years",
        ),
        (
            "from=2026-11-22&to=2026-11-20",
            fixed("2026-11-19T23:00:00Z", "2026-11-21T23:00:00Z"),
            "exchanged",
        ),
        (
            "from=2027-01-01&to=2027-01-02",
            fixed("2026-11-21T16:00:00Z", "2026-11-22T16:00:00Z"),
            "not come yet",
        ),
        ("from=now-1s", View(10_000), "too short"),
        (
            "from=1795351535368&to=1795351535368",
            View(None, 1795351534868, 1795351535868),
            "too short",
        ),
        ("from=2026-02-31T25:00&to=now", View(USUAL_MS), "no time"),
        (f"from={'9' * 500}", View(USUAL_MS), f"“{'9' * 40}” is"),
        ("from=999999999999999&to=now", None, "10 years"),
    ],
)
def test_a_bad_range_is_the_nearest_good_one_and_a_word(search, view, why):
    found, problem = asked(search)
    assert why in problem
    if view is not None:
        assert found == view


WORDS = ["", "now", "now-0s", "now+5h", "-999999999w", "0", "-5", "1e9", "<b>", "null"]
WORDS += ["1795351535368.5", "2026-11-22", "0001-01-01", "9999-12-31T23:59", "١٢"]
WORDS += ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "%00", "now 6h", "🕐"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
def test_whatever_is_asked_for_the_range_is_one_that_the_hub_takes(zone):
    for start, end in product(WORDS, WORDS):
        query = {"from": start, "to": end}
        view, _problem = read(query, NOW_MS, ZoneInfo(zone), USUAL_MS)
        from_ms, to_ms = view.edges(NOW_MS)
        assert to_ms <= NOW_MS, query
        assert SHORTEST_MS <= to_ms - from_ms <= LONGEST_MS, query
        assert view.span_ms is not None or from_ms >= 0, query


def test_the_script_is_told_the_same():
    assert View(5_000).told() == {"spanMs": 5_000}
    assert View(None, 1, 2).told() == {"fromMs": 1, "toMs": 2}
