"""What state a device is in, in one word: the worst of its link and its readings.

Pure; times are passed in. Nothing stale looks live: a device that ought to have been
heard by now is late, whatever its socket says. The rule is that of the live page
(presence.js), except that it knows only an expected period, never an estimated one.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

# Missed periods before a device is late, and the least that counts as late.
LATE_PERIODS = 3
LATE_SECONDS = 5.0
# Where nobody said how often it speaks. The page estimates it, this does not.
UNKNOWN_SECONDS = 60.0
# A socket that was closed so recently is about to come back.
GRACE_SECONDS = 15.0
# Presence is written every few seconds: while a device speaks, its row is a little old.
ROW_AGE_SECONDS = 5.0


class Status(TextChoices):
    LIVE = "live", _("Live")
    # It speaks, and nobody said how often it ought to.
    CONNECTED = "connected", _("Connected")
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
    if link.since_seen_seconds is None and not link.is_online:
        return Status.NEW
    is_late = _quiet_seconds(link) > _patience_seconds(link, expected_period_seconds)
    if not link.is_online and is_late and not _is_short_break(link):
        return Status.OFFLINE
    if is_late:
        return Status.LATE
    if link.is_online and expected_period_seconds is None:
        return Status.CONNECTED
    return Status.LIVE


def _quiet_seconds(link: Link) -> float:
    """Since it was heard, or connected: then it has the time that it always has."""
    since = [link.since_seen_seconds]
    if link.is_online:
        since.append(link.since_change_seconds)
    known = [seconds for seconds in since if seconds is not None]
    return min(known, default=float("inf"))


def _patience_seconds(link: Link, period_seconds: float | None) -> float:
    """How long it may be silent before it is late."""
    if period_seconds is not None:
        patience = max(LATE_PERIODS * period_seconds, LATE_SECONDS)
    elif link.is_online or link.since_change_seconds is None:
        patience = UNKNOWN_SECONDS
    else:
        # Nobody knows that it sleeps between readings: gone is gone.
        patience = LATE_SECONDS
    return patience + (0.0 if _has_ended(link) else ROW_AGE_SECONDS)


def _has_ended(link: Link) -> bool:
    """Whether it said nothing since its socket ended: the row is not old, but final."""
    return (
        not link.is_online
        and link.since_change_seconds is not None
        and link.since_seen_seconds is not None
        and link.since_seen_seconds >= link.since_change_seconds
    )


def _is_short_break(link: Link) -> bool:
    since = link.since_change_seconds
    return since is not None and since <= GRACE_SECONDS
