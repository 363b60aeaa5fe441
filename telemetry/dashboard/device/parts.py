"""`/d/<slug>/events` and `/d/<slug>/connection`: two parts of the page of a device.

The page comes with both and asks for them again while it is open: the hub writes them,
a script only puts them in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from ...devices.access import visible_devices
from ...devices.models import Device
from .link_words import quality_words, strip
from .records import EVENTS, events_of, quality_of, words_of

# A page may stay open for weeks beside a device that comes and goes.
MOST_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """A line of the list; one of today is told by its time of day."""

    at: datetime
    is_today: bool
    words: str


@require_safe
@never_cache
@login_required
@gzip_page
def events_part(request: HttpRequest, slug: str) -> HttpResponse:
    """The last events of a device as a table; `events` says how many."""
    device = get_object_or_404(visible_devices(request.user), slug=slug)
    return render(request, "telemetry/_events.html", listed_events(request, device))


@require_safe
@never_cache
@login_required
def connection_part(request: HttpRequest, slug: str) -> HttpResponse:
    """How a device's link did in the last 24 hours, as a strip and in words."""
    device = get_object_or_404(visible_devices(request.user), slug=slug)
    shown = connection(request, device, timezone.now())
    return render(request, "telemetry/_quality.html", shown)


def listed_events(request: HttpRequest, device: Device) -> dict[str, Any]:
    """What _events.html shows: as many events as the address asks for."""
    count = _count(request.GET.get("events", ""))
    found = events_of(request, device, limit=count + 1)
    today = timezone.localdate()
    address = reverse("device-events-part", args=[device.slug])
    more = min(count + EVENTS, MOST_EVENTS)
    return {
        "events": [
            ShownEvent(
                event.at,
                timezone.localtime(event.at).date() == today,
                words_of(event),
            )
            for event in found[:count]
        ],
        "events_address": address,
        "events_count": count,
        "more_events": more if len(found) > count < more else None,
    }


def connection(request: HttpRequest, device: Device, now: datetime) -> dict[str, Any]:
    """What _quality.html shows."""
    quality = quality_of(request, device, now)
    return {"quality": quality_words(quality), "strip": strip(quality, now)}


def _count(text: str) -> int:
    """How many are asked for: whole pages, a wrong number is the first page."""
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return min(max(int(text) if is_number else EVENTS, EVENTS), MOST_EVENTS)
