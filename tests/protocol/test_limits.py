"""The limits are the documented ones, and belong together."""

from __future__ import annotations

import dataclasses

import pytest

from telemetry.protocol.limits import MAX_SAFE_INTEGER, MIN_TIME_US, Limits

LIMITS = Limits()
# protocol.md §2 and §3, reliability.md §5.
DOCUMENTED = {
    "message_bytes": 65_536,
    "hello_bytes": 32_768,
    "batch_rows": 1_000,
    "batch_columns": 64,
    "json_depth": 8,
    "text_characters": 256,
    "series_per_device": 256,
    "new_series_free": 100,
    "new_series_per_minute": 20,
    "connects_per_minute": 15,
    "window": 8,
    "device_rate": 1_000,
    "device_burst": 10_000,
    "sessions_per_device": 8,
    "future_seconds": 86_400,
    "credential_seconds": 5,
    "heartbeat_seconds": 30,
    "auth_failures_per_minute": 10,
    "http_body_bytes": 2_621_440,
    "http_readings": 10_000,
    "live_topics": 64,
    "live_metrics": 32,
    "live_snapshot_rows": 1_000,
    "live_ack_seconds": 30,
}


@pytest.mark.parametrize(("name", "value"), DOCUMENTED.items())
def test_default(name: str, value: float):
    assert getattr(LIMITS, name) == value


def test_all_are_checked_here():
    fields = {field.name for field in dataclasses.fields(Limits)}
    assert fields == DOCUMENTED.keys() | {"live_message_bytes"}


def test_silence_is_two_and_a_half_heartbeats():
    assert LIMITS.silence_seconds == 75
    assert Limits(heartbeat_seconds=2).silence_seconds == 5


def test_constants():
    assert MAX_SAFE_INTEGER == 2**53
    assert float(MAX_SAFE_INTEGER) + 1 == float(MAX_SAFE_INTEGER)
    assert MIN_TIME_US == 946_684_800 * 1_000_000


def test_a_limit_cannot_be_moved_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LIMITS.window = 9
