"""Every limit of the wire contract in one frozen object, each with its reason.

The defaults are protocol.md's; `telemetry.conf` builds a `Limits` from the
`TELEMETRY_*` settings. Sizes are bytes, times are seconds unless the name says
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

# 2**53: above it a float64 no longer holds every integer.
MAX_SAFE_INTEGER = 9_007_199_254_740_992
# 2000-01-01T00:00:00Z: an earlier time is a device clock that was never set.
MIN_TIME_US = 946_684_800_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one device, one message and one browser may ask of the hub."""

    # One message. 64 KiB decodes in about a millisecond; a megabyte would hold
    # the event loop for tens of them.
    message_bytes: int = 65_536
    hello_bytes: int = 32_768
    # 1,000 readings of one column are a quarter of a commit.
    batch_rows: int = 1_000
    batch_columns: int = 64
    # Deep nesting costs a parser stack, and no message of ours is deeper than 4.
    json_depth: int = 8
    text_characters: int = 256

    # One device. A series is a file of blocks for ever: a counter in a metric's
    # name must not make a million of them.
    series_per_device: int = 256
    new_series_free: int = 100
    new_series_per_minute: int = 20
    connects_per_minute: int = 15
    window: int = 8
    # Readings a second, and how many may come at once; 0 = no limit.
    device_rate: int = 1_000
    device_burst: int = 10_000
    sessions_per_device: int = 8

    # Times. A day ahead covers a wrong time zone; more is a broken clock.
    future_seconds: int = 86_400
    credential_seconds: float = 5.0
    heartbeat_seconds: float = 30.0

    # Failed credentials of one address in a minute, then refused for 60 s.
    auth_failures_per_minute: int = 10

    # HTTP. Django's own default for a body; ten messages of readings.
    http_body_bytes: int = 2_621_440
    http_readings: int = 10_000

    # Browsers.
    live_topics: int = 64
    live_metrics: int = 32
    live_snapshot_rows: int = 1_000
    live_message_bytes: int = 16_384
    live_ack_seconds: float = 30.0

    @property
    def silence_seconds(self) -> float:
        """After this long without a message a device counts as gone (4408)."""
        return 2.5 * self.heartbeat_seconds
