"""A device's connection in a person's words: since when, why it ended, its clock."""

from __future__ import annotations

from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import closes
from ..models import DevicePresence
from .columns import moment_tag

# Less than this is the network's delay as likely as the clock.
LITTLE_MS = 100.0
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000.0, 60_000.0, 3_600_000.0, 86_400_000.0


def state(presence: DevicePresence | None, now: datetime) -> SafeString | str:
    """Since when a socket is open, or has been closed."""
    if presence is None:
        return _("never connected")
    if presence.changed_at is None:
        # It is seen, but only ever posts over HTTP.
        return _("no WebSocket so far")
    word = _("online since") if presence.is_online else _("offline since")
    return format_html("{} {}", word, moment_tag(presence.changed_at, now))


def last_close(presence: DevicePresence | None) -> str:
    """Why the last connection ended, with its code; a dash while one is open."""
    if presence is None or not presence.close_code:
        return "—"
    return closes.sentence(presence.close_code)


def clock(presence: DevicePresence | None) -> str:
    """How far its clock is ahead of the hub's or behind, estimated."""
    if presence is None or presence.skew_ms is None:
        return _("unknown: it has sent no times of its own")
    skew_ms = presence.skew_ms
    if abs(skew_ms) < LITTLE_MS:
        return _("right, to about 0.1 s")
    span = {"span": _span(abs(skew_ms))}
    # A reading comes late by its way and its wait, never early.
    if skew_ms > 0:
        return _("at least %(span)s ahead of the hub's") % span
    return _("at most %(span)s behind the hub's") % span


def _span(ms: float) -> str:
    """A positive span in one unit: “2.4 s”, “3 minutes”."""
    if ms < MINUTE_MS:
        return _("%(seconds).1f s") % {"seconds": ms / SECOND_MS}
    if ms < HOUR_MS:
        count = round(ms / MINUTE_MS)
        return ngettext("%(count)d minute", "%(count)d minutes", count) % {
            "count": count
        }
    if ms < DAY_MS:
        count = round(ms / HOUR_MS)
        return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}
    count = round(ms / DAY_MS)
    return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}
