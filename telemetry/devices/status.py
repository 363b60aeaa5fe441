"""What state a device is in, in one word: the worst of its link and its readings.

Pure; times are passed in. Nothing stale looks live: a device that ought to have been
heard by now is late, whatever its socket says.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

# Missed periods before a device is late, and the least that counts as late.
LATE_PERIODS = 3
LATE_SECONDS = 5.0
# A socket that was closed so recently is about to come back.
GRACE_SECONDS = 15.0
# Presence is written every few seconds: a row is always a little old.
ROW_AGE_SECONDS = 5.0


class Status(TextChoices):
    LIVE = "live", _("Live")
    LATE = "late", _("Late")
    OFFLINE = "offline", _("Offline")
    NEW = "new", _("New")
    PAUSED = "paused", _("Paused")
    DISABLED = "disabled", _("Disabled")


@dataclass(frozen=True, slots=True)
class Link:
    """What is known of a device's link. Seconds since, None: never."""

    is_online: bool = False
    since_change_seconds: float | None = None
    since_seen_seconds: float | None = None


def status_of(
    link: Link,
    *,
    is_enabled: bool = True,
    is_paused: bool = False,
    expected_period_seconds: float | None = None,
) -> Status:
    """The status of a device with this link and configuration."""
    if not is_enabled:
        return Status.DISABLED
    if is_paused:
        return Status.PAUSED
    if link.since_seen_seconds is None:
        return Status.NEW
    is_late = link.since_seen_seconds > _patience_seconds(expected_period_seconds)
    if not link.is_online and _is_away(link, is_late, expected_period_seconds):
        return Status.OFFLINE
    return Status.LATE if is_late else Status.LIVE


def _patience_seconds(period_seconds: float | None) -> float:
    if period_seconds is None:
        return float("inf")  # Nobody said how often it speaks.
    return max(LATE_PERIODS * period_seconds, LATE_SECONDS) + ROW_AGE_SECONDS


def _is_away(link: Link, is_late: bool, period_seconds: float | None) -> bool:
    """Whether a device without a socket is offline, not just between two posts."""
    since = link.since_seen_seconds
    if link.since_change_seconds is not None:
        since = link.since_change_seconds
    elif period_seconds is not None:
        return is_late  # It only ever posts, and is in time or not.
    return since is None or since > GRACE_SECONDS
