"""A device's connection in a person's words: since when, why it ended, its clock."""

from __future__ import annotations

from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...protocol import close_codes
from ..models import DevicePresence
from .columns import moment_tag

# Close code → what happened, for who looks after the device.
MEANINGS = {
    close_codes.NORMAL: gettext_lazy("the device ended it"),
    1001: gettext_lazy("the device went away"),
    1002: gettext_lazy("the device broke the rules of WebSocket"),
    1005: gettext_lazy("the device ended it"),
    1006: gettext_lazy("the connection broke, or the hub did, without a word"),
    1007: gettext_lazy("the device sent text that is not UTF-8"),
    1009: gettext_lazy("the device sent a message over the server's limit"),
    1011: gettext_lazy("the device did not answer a ping"),
    1012: gettext_lazy("the server stopped"),
    close_codes.BAD_REQUEST: gettext_lazy("the hub could not read its messages"),
    close_codes.UNAUTHORIZED: gettext_lazy("its key is wrong, revoked or expired"),
    close_codes.FORBIDDEN: gettext_lazy("the device is disabled or deleted"),
    close_codes.NOT_FOUND: gettext_lazy("it used a wrong address"),
    close_codes.NO_SUBPROTOCOL: gettext_lazy(
        "it speaks no version of the protocol that the hub knows"
    ),
    close_codes.SILENT: gettext_lazy("the device was silent for too long"),
    close_codes.SUPERSEDED: gettext_lazy("the same device connected again"),
    close_codes.TOO_LARGE: gettext_lazy("the device sent a message that is too long"),
    close_codes.WINDOW: gettext_lazy(
        "the device sent or connected more often than it may"
    ),
    close_codes.INTERNAL: gettext_lazy("a fault in the hub; its log has the reason"),
    close_codes.DRAINING: gettext_lazy(
        "the hub stopped, or could not store what it sent"
    ),
}
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
    code = presence.close_code
    meaning = MEANINGS.get(code, _("no code that the hub knows"))
    return _("%(meaning)s (%(code)d)") % {"meaning": meaning, "code": code}


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
