"""The admin's words for a connection, and where they stand on a device's page."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

from telemetry.devices.admin import connection
from telemetry.devices.models import DevicePresence
from telemetry.protocol import close_codes

NOW = datetime(2026, 11, 22, 14, 3, 21, tzinfo=timezone.utc)
BEFORE = NOW - timedelta(minutes=9)


@pytest.mark.parametrize(
    ("skew_ms", "words"),
    [
        (None, "unknown: it has sent no times of its own"),
        (0.0, "right, to about 0.1 s"),
        (-99.0, "right, to about 0.1 s"),
        (2_400.0, "at least 2.4 s ahead of the hub's"),
        (-2_400.0, "at most 2.4 s behind the hub's"),
        (60_000.0, "at least 1 minute ahead of the hub's"),
        (-3 * 3_600_000.0, "at most 3 hours behind the hub's"),
        (365 * 86_400_000.0, "at least 365 days ahead of the hub's"),
    ],
)
def test_the_clock_is_ahead_behind_or_right(skew_ms, words):
    assert connection.clock(DevicePresence(skew_ms=skew_ms)) == words


def test_a_device_that_was_never_heard_of_has_words_too():
    assert connection.clock(None).startswith("unknown")
    assert connection.last_close(None) == "—"
    assert connection.state(None, NOW) == "never connected"


@pytest.mark.parametrize(
    ("presence", "start"),
    [
        (DevicePresence(is_online=True, changed_at=BEFORE), "online since <time "),
        (DevicePresence(is_online=False, changed_at=BEFORE), "offline since <time "),
        (DevicePresence(last_seen_at=NOW), "no WebSocket so far"),
    ],
)
def test_the_state_says_since_when(presence, start):
    assert connection.state(presence, NOW).startswith(start)


@pytest.mark.parametrize("code", close_codes.CATALOGUE)
def test_every_close_code_of_the_hub_has_a_meaning(code):
    words = connection.last_close(DevicePresence(close_code=code))
    assert words.endswith(f" ({code})")
    assert not words.startswith("no code")


def test_a_foreign_close_code_is_shown_as_it_is():
    words = connection.last_close(DevicePresence(close_code=3999))
    assert words == "no code that the hub knows (3999)"


def section(page: str, title: str) -> str:
    found = re.search(rf"<h2[^>]*>\s*{title}\s*</h2>(.*?)</fieldset>", page, re.S)
    assert found, f"no section {title}"
    return found[1]


@pytest.mark.django_db
def test_the_page_of_a_device_has_its_connection(browser, make_device):
    device = make_device("boiler")
    DevicePresence.objects.create(
        device=device,
        changed_at=BEFORE,
        last_seen_at=BEFORE,
        close_code=close_codes.SUPERSEDED,
        address="<b>2001:db8::1</b>",
        skew_ms=-2_400.0,
    )
    page = browser.get(f"/admin/telemetry/device/{device.pk}/change/").content.decode()
    shown = section(page, "Connection")
    assert "offline since <time" in shown
    assert "the same device connected again (4409)" in shown
    assert "&lt;b&gt;2001:db8::1" in shown
    assert "at most 2.4 s behind the hub&#x27;s" in shown
    assert "<input" not in shown


@pytest.mark.django_db
def test_a_device_that_is_being_added_has_no_connection(browser):
    page = browser.get("/admin/telemetry/device/add/").content.decode()
    assert "Connection" not in page
