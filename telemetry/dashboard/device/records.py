"""`/d/<slug>/events.json` and `/d/<slug>/quality.json`: what is written of a device.

What happened to it, in words, and how its link did in the last 24 hours; the page of
the device begins with the same. See docs/reference/endpoints.md for the answers.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth.decorators import login_required
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...devices import closes, events
from ...devices.access import visible_devices
from ...devices.models import Device
from ...devices.quality import Quality, first_hour, last_day
from ...devices.records import DeviceEvent, EventKind
from ...devices.tallies import HOUR_US
from ...devices.times import us_of
from ..running_hub import hub_of
from .link_words import quality_words, strip

# Of one answer; the next page begins where it ends.
EVENTS = 100
# No id of the database is longer.
ID_DIGITS = 18


@require_safe
@never_cache
@login_required
def device_events(request: HttpRequest, slug: str) -> HttpResponse:
    """The last events of a device, or those before the one of the id `before`."""
    device = get_object_or_404(visible_devices(request.user), slug=slug)
    asked = request.GET.get("before")
    if asked is not None and not _is_id(asked):
        text = _("before: expected the id of an event, got “%(text)s”")
        return JsonResponse({"error": text % {"text": asked[:32]}}, status=400)
    before = None if asked is None else int(asked)
    return JsonResponse(events_page(request, device, before))


@require_safe
@never_cache
@login_required
def device_quality(request: HttpRequest, slug: str) -> HttpResponse:
    """How a device's link did in the last 24 hours."""
    device = get_object_or_404(visible_devices(request.user), slug=slug)
    now = timezone.now()
    quality = quality_of(request, device, now)
    return JsonResponse(
        {
            "time": us_of(now) // 1000,
            "from": first_hour(now) * HOUR_US // 1000,
            "latency": {
                "p50": quality.p50_ms,
                "p95": quality.p95_ms,
                "count": quality.round_trips,
            },
            "skew_ms": quality.skew_ms,
            "readings": quality.readings,
            "lost": quality.lost,
            "sent_again": quality.sent_again,
            "rejected": quality.rejected,
            "connects": quality.connects,
            "reconnects": quality.reconnects,
            "availability": quality.availability,
            "received": quality.received,
            "words": quality_words(quality),
            "strip": [
                [hour.words, hour.is_known, hour.top, hour.height]
                for hour in strip(quality, now)
            ],
        }
    )


def events_page(
    request: HttpRequest, device: Device, before: int | None = None
) -> dict[str, Any]:
    """A page of a device's events as scripts get it; next: the `before` of the next."""
    found = events_of(request, device, before=before, limit=EVENTS + 1)
    page = found[:EVENTS]
    return {
        "events": [_event(event) for event in page],
        "next": page[-1].pk if len(found) > EVENTS else None,
    }


def events_of(
    request: HttpRequest,
    device: Device,
    *,
    before: int | None = None,
    limit: int = EVENTS,
) -> list[DeviceEvent]:
    """The last events of a device, those of the last seconds too; newest first."""
    hub = hub_of(request)
    if hub is not None:
        with suppress(DatabaseError, InterfaceError):
            async_to_sync(hub.events.flush)()
    return events.recent(device.pk, before, limit)


def quality_of(request: HttpRequest, device: Device, now: datetime) -> Quality:
    """How a device's link did in the last 24 hours, up to this moment."""
    hub = hub_of(request)
    if hub is None:
        return last_day(device.pk, now)
    hours = async_to_sync(hub.tallies.hours)(device.pk, first_hour(now))
    return last_day(device.pk, now, hours)


def words_of(event: DeviceEvent) -> str:
    """An event in one sentence."""
    text = event.text
    if event.kind == EventKind.CONNECTED:
        return _("Connected from %(address)s") % {"address": text or "?"}
    if event.kind == EventKind.DISCONNECTED:
        return _("Disconnected: %(why)s") % {"why": closes.sentence(event.code)}
    if event.kind == EventKind.KEY_USED:
        return _("Key %(key)s used for the first time") % {"key": text}
    if event.kind == EventKind.CONFIG_CHANGED:
        return _("Configuration changed: %(fields)s") % {"fields": _labels(text)}
    if event.kind == EventKind.FIRMWARE:
        return _("Firmware %(firmware)s") % {"firmware": text}
    if event.kind == events.LEFT_OUT:
        return ngettext(
            "%(count)d more event like these, which is not listed",
            "%(count)d more events like these, which are not listed",
            event.code,
        ) % {"count": event.code}
    return event.get_kind_display()


def _event(event: DeviceEvent) -> dict[str, Any]:
    return {
        "id": event.pk,
        "time": us_of(event.at) // 1000,
        "kind": event.kind,
        "code": event.code,
        "text": event.text,
        "words": words_of(event),
    }


def _labels(fields: str) -> str:
    """The names of a device's fields as its form in the admin has them."""
    return ", ".join(_label(name) for name in fields.split(", "))


def _label(name: str) -> str:
    others = {"series": _("series"), "credentials": _("keys")}
    try:
        field = Device._meta.get_field(name)
    except FieldDoesNotExist:
        return others.get(name, name)
    verbose = getattr(field, "verbose_name", None)
    return str(verbose) if verbose else others.get(name, name)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= ID_DIGITS
