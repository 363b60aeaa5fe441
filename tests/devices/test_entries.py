"""telemetry.devices.entries: what people edited is told from what a device said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telemetry.devices.entries import DeviceEntry, SeriesEntry

TEMP = SeriesEntry(1, "temp", "number", "°C", "", None)
BOILER = DeviceEntry(
    7, "boiler", "Boiler", True, False, True, series={"temp": TEMP}, firmware="1"
)


def with_series(**fields: object) -> dict[str, object]:
    return {"series": {"temp": replace(TEMP, **fields)}}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, set()),
        ({"name": "B", "slug": "b"}, {"name", "slug"}),
        ({"is_enabled": False}, {"is_enabled"}),
        ({"is_paused": True}, {"is_paused"}),
        ({"expected_period_seconds": 5.0}, {"expected_period_seconds"}),
        ({"groups": frozenset({"plant"})}, {"groups"}),
        # Its own word, and what a group says of all its devices.
        ({"firmware": "2"}, set()),
        ({"auto_create": False}, set()),
        ({"series": {"temp": TEMP, "door": replace(TEMP, id=2)}}, set()),
        (with_series(label="Kessel", decimals=2), set()),
        # Only people take away or replace.
        ({"series": {}}, {"series"}),
        (with_series(unit="K"), {"series"}),
        (with_series(unit=""), {"series"}),
        (with_series(kind="text"), {"series"}),
        (with_series(id=9), {"series"}),
    ],
)
def test_fields_that_people_edited(changed, names):
    assert BOILER.edited_fields(replace(BOILER, **changed)) == names
