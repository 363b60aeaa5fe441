"""How the admin shows a status and a moment: HTML with classes, no inline style."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ..models import Device, DevicePresence
from ..status import Facts, State, judge
from ..times import us_of

# Presence is written every few seconds: while a device speaks, its row is a little old.
ROW_AGE_US = 5_000_000
# The shapes of every page (ux): a word stands beside each, and colour is extra.
SHAPES = {
    State.LIVE: '<circle cx="6" cy="6" r="5" fill="currentColor"/>',
    State.LATE: (
        '<circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor"'
        ' stroke-width="2"/><path d="M6 1.5a4.5 4.5 0 0 1 0 9z" fill="currentColor"/>'
    ),
    State.OFFLINE: (
        '<path d="M1.8 1.8l8.4 8.4M10.2 1.8l-8.4 8.4" fill="none"'
        ' stroke="currentColor" stroke-width="2.2" stroke-linecap="round"/>'
    ),
    State.NEW: (
        '<circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor"'
        ' stroke-width="1.8" stroke-dasharray="2 1.77"/>'
    ),
    State.PAUSED: (
        '<path d="M3.7 1.5v9M8.3 1.5v9" fill="none" stroke="currentColor"'
        ' stroke-width="2.2" stroke-linecap="round"/>'
    ),
    State.DISABLED: (
        '<circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor"'
        ' stroke-width="1.6"/><path d="M2.6 9.4l6.8-6.8" stroke="currentColor"'
        ' stroke-width="1.6"/>'
    ),
}


def presence_of(device: Device) -> DevicePresence | None:
    """The device's presence, None if it was never heard of."""
    return getattr(device, "presence", None)


def status_at(device: Device, now: datetime) -> State:
    """The state of a device whose presence is loaded.

    Of its readings the database knows late; that anything was heard is written every
    few seconds, so that a device that speaks has as much more time.
    """
    presence = presence_of(device)
    period = device.expected_period_seconds
    facts = Facts(
        is_enabled=device.is_enabled,
        is_paused=device.is_paused,
        period_us=None if period is None else int(period * 1e6),
    )
    now_us = us_of(now) or 0
    if presence is not None:
        seen_us = us_of(presence.last_seen_at)
        facts = replace(
            facts,
            is_online=presence.is_online,
            changed_us=us_of(presence.changed_at),
            last_seen_us=seen_us,
            last_reading_us=seen_us,
        )
    if not _has_ended(facts):
        now_us -= ROW_AGE_US
    return judge(facts, now_us).state


def status_tag(status: State) -> SafeString:
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


def _has_ended(facts: Facts) -> bool:
    """Whether it said nothing since its socket ended: the row is not old, but final."""
    return (
        not facts.is_online
        and facts.changed_us is not None
        and facts.last_seen_us is not None
        and facts.last_seen_us <= facts.changed_us
    )
