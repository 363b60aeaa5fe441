"""How the admin shows a status and a moment: HTML with classes, no inline style."""

from __future__ import annotations

from datetime import datetime

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ..models import Device, DevicePresence
from ..status import Link, Status, status_of

# The shapes of every page (ux): a word stands beside each, and colour is extra.
SHAPES = {
    Status.LIVE: '<circle cx="6" cy="6" r="5" fill="currentColor"/>',
    Status.CONNECTED: '<circle cx="6" cy="6" r="5" fill="currentColor"/>',
    Status.LATE: (
        '<circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor"'
        ' stroke-width="2"/><path d="M6 1.5a4.5 4.5 0 0 1 0 9z" fill="currentColor"/>'
    ),
    Status.OFFLINE: (
        '<path d="M1.8 1.8l8.4 8.4M10.2 1.8l-8.4 8.4" fill="none"'
        ' stroke="currentColor" stroke-width="2.2" stroke-linecap="round"/>'
    ),
    Status.NEW: (
        '<circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor"'
        ' stroke-width="1.8" stroke-dasharray="2 1.77"/>'
    ),
    Status.PAUSED: (
        '<path d="M3.7 1.5v9M8.3 1.5v9" fill="none" stroke="currentColor"'
        ' stroke-width="2.2" stroke-linecap="round"/>'
    ),
    Status.DISABLED: (
        '<circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor"'
        ' stroke-width="1.6"/><path d="M2.6 9.4l6.8-6.8" stroke="currentColor"'
        ' stroke-width="1.6"/>'
    ),
}


def presence_of(device: Device) -> DevicePresence | None:
    """The device's presence, None if it was never heard of."""
    return getattr(device, "presence", None)


def status_at(device: Device, now: datetime) -> Status:
    """The status of a device whose presence is loaded."""
    presence = presence_of(device)
    link = Link()
    if presence is not None:
        link = Link(
            presence.is_online,
            _seconds(presence.changed_at, now),
            _seconds(presence.last_seen_at, now),
        )
    return status_of(
        link,
        is_enabled=device.is_enabled,
        is_paused=device.is_paused,
        expected_period_seconds=device.expected_period_seconds,
    )


def status_tag(status: Status) -> SafeString:
    """Shape and word."""
    return format_html(
        '<span class="state state-{}"><svg class="icon" viewBox="0 0 12 12"'
        ' width="12" height="12" aria-hidden="true" focusable="false">{}</svg>'
        " {}</span>",
        status.value,
        SafeString(SHAPES[status]),
        status.label,
    )


def moment_tag(moment: datetime | None, now: datetime) -> SafeString | str:
    """How long ago, and when in the user's time zone; “never” for None."""
    if moment is None:
        return _("never")
    local = timezone.localtime(moment)
    absolute = formats.date_format(local, "DATETIME_FORMAT")
    return format_html(
        '<time class="moment" datetime="{}">{}'
        ' <span class="absolute">{} {}</span></time>',
        local.isoformat(timespec="seconds"),
        relative(moment, now),
        absolute,
        local.tzname(),
    )


def relative(moment: datetime, now: datetime) -> str:
    """“9 minutes ago”; below a minute in seconds, and never in the future."""
    seconds = max(0, int((now - moment).total_seconds()))
    if seconds < 60:
        return _("%(seconds)d s ago") % {"seconds": seconds}
    return _("%(age)s ago") % {"age": timesince(moment, now, depth=1)}


def _seconds(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else (now - moment).total_seconds()
