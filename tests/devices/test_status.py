"""telemetry.devices.status: the table of cases that presence.js reads too."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.devices import status
from telemetry.devices.status import Facts, State, Status, judge, sentence
from tests.processes import ROOT

TABLE = json.loads((ROOT / "tests/golden/presence.json").read_text())
NOW_US = round(TABLE["now"] * 1e6)


def us(seconds: float) -> int:
    return round(seconds * 1e6)


def facts_of(row: dict[str, Any], *, is_clock: bool) -> Facts:
    """is_clock: times are seconds on a clock, else seconds ago."""

    def moment(name: str) -> int | None:
        seconds = row.get(name, row.get("reading") if name == "seen" else None)
        if seconds is None:
            return None
        return NOW_US + (us(seconds) if is_clock else -us(seconds))

    period = row.get("period")
    return Facts(
        is_paused=row.get("paused", False),
        is_online=row["online"],
        changed_us=moment("changed"),
        last_seen_us=moment("seen"),
        last_reading_us=moment("reading"),
        period_us=None if period is None else us(period),
        is_estimated=row.get("estimated", False),
    )


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_case(case):
    facts = facts_of(case, is_clock=False)
    found = judge(facts, NOW_US)
    assert found.state == case["state"]
    if "says" in case:
        assert sentence(found, facts, NOW_US, timezone.utc) == case["says"]


@pytest.mark.parametrize("flow", TABLE["flows"], ids=lambda flow: flow["name"])
def test_flow(flow):
    before: Status | None = None
    row = flow["start"]
    for seconds, changes, state, *says in flow["looks"]:
        row = {**row, **changes}
        now_us = NOW_US + us(seconds)
        facts = facts_of(row, is_clock=True)
        before = judge(facts, now_us, before)
        assert before.state == state, seconds
        if says:
            assert sentence(before, facts, now_us) == says[0]


def test_what_people_decided_goes_before_what_is_measured():
    facts = Facts(is_online=True, changed_us=NOW_US, last_reading_us=NOW_US)
    assert judge(replace(facts, is_paused=True), NOW_US).state is State.PAUSED
    disabled = replace(facts, is_paused=True, is_enabled=False)
    found = judge(disabled, NOW_US)
    assert found.state is State.DISABLED
    assert sentence(found, disabled, NOW_US) == "Disabled: it may not connect."


@pytest.mark.parametrize(
    ("series", "period"),
    [
        ([], None),
        ([(None, 100)], None),
        ([(1, 100), (60, 90)], 1),
        ([(None, 100), (9, 99)], 9),
        ([(20, 100), (900, 40)], 20),
        ([(1, 0), (60, 5)], 1),
        ([(1, 0), (60, 6)], 60),
    ],
)
def test_the_fastest_series_that_goes_on_says_the_period(series, period):
    given = [(each and us(each), us(last)) for each, last in series]
    assert status.fastest_period_us(given) == (period and us(period))


@pytest.mark.parametrize(
    ("period_us", "text"),
    [
        (1_000, "1 ms"),
        (100_000, "0.1 s"),
        (2_500_000, "2.5 s"),
        (119_000_000, "119 s"),
        (120_000_000, "2 min"),
        (3_599_000_000, "60 min"),
        (3_600_000_000, "1 h"),
        (604_800_000_000, "7 d"),
    ],
)
def test_period_text(period_us, text):
    assert status.period_text(period_us) == text


moments = st.integers(0, 40) | st.none()


@given(st.booleans(), moments, moments, st.sampled_from([None, 0.1, 1, 10, 3600]))
def test_nothing_silent_for_longer_than_it_may_is_live(online, changed, reading, every):
    facts = Facts(
        is_online=online,
        changed_us=None if changed is None else NOW_US - us(changed),
        last_reading_us=None if reading is None else NOW_US - us(reading),
        period_us=None if every is None else us(every),
    )
    found = judge(facts, NOW_US)
    if found.state == State.LIVE:
        assert reading is not None
        patience_us = status.late_after_us(facts.period_us)
        # Once to fall silent, the grace, and once more after it has come back.
        assert us(reading) <= 2 * patience_us + status.GRACE_US


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=60))
def test_a_device_does_not_flip_more_than_three_times_in_20_s(looks):
    """However its readings come: by a look every ms to 3 s, with a reading or none."""
    facts = Facts(
        is_online=True,
        changed_us=NOW_US,
        last_reading_us=NOW_US,
        period_us=us(1),
    )
    before, now_us = judge(facts, NOW_US), NOW_US
    flips = []
    for ms, has_sent in looks:
        now_us += ms * 1000
        if has_sent:
            facts = replace(facts, last_reading_us=now_us)
        found = judge(facts, now_us, before)
        if found.state != before.state:
            flips.append(now_us)
        before = found
    for first, fourth in zip(flips, flips[3:], strict=False):
        assert fourth - first >= status.HOLD_US
