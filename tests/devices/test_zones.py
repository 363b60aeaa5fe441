"""telemetry.devices.zones: names of zones, whoever wrote them."""

from __future__ import annotations

import pytest

from telemetry.devices import zones


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "Europe", "../UTC", "/etc/passwd", "a\0b", "x" * 5_000]
)
def test_what_is_no_zone_is_none(name):
    assert zones.named(name) is None
    assert zones.chosen(name) is zones.UTC


def test_a_zone_is_found_by_its_name():
    assert str(zones.named("Europe/Berlin")) == "Europe/Berlin"
    assert str(zones.chosen("Asia/Kolkata")) == "Asia/Kolkata"
    assert zones.chosen(None) is zones.UTC
