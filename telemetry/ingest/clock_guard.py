"""Whether the hub's own clock can be trusted. Pure.

A machine without a clock battery starts in the past. It would reject the times of
every device with a right clock, so the hub pauses instead and rejects nothing.
"""

from __future__ import annotations

# 2026-11-01T00:00:00Z. No clock that is right shows less than when this was made.
RELEASED_US = 1_793_491_200_000_000
# Time servers step a clock back by seconds; that is no reason to stop.
TOLERANCE_US = 60_000_000


def behind_us(now_us: int, newest_received_us: int) -> int:
    """By how much the clock is behind what it must be; 0 when it can be right."""
    behind = max(RELEASED_US, newest_received_us) - now_us
    return behind if behind > TOLERANCE_US else 0
