"""Time zones by name: what a request asks for, and what somebody has once chosen."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = ZoneInfo("UTC")


def named(name: str) -> ZoneInfo | None:
    """The zone of a name that anybody may have written; None if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # A folder of zones, such as Europe, and a name too long are OSErrors.
        return None


def chosen(name: str | None) -> ZoneInfo:
    """The zone that was chosen; UTC for none.

    UTC also for one that was valid when it was chosen and has left the database.
    """
    return (named(name) if name else None) or UTC
