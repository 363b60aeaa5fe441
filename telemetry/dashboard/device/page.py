"""`/d/<slug>`: one device: its state and why, values, history, events, link.

Readable as it comes, live with a script. `?tab=` names the part that is shown; without
one it is the first, which shows a little of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...devices.access import visible_devices, visible_groups
from ...devices.models import Device, DeviceGroup
from ..addresses import sending_addresses
from ..readings import picker
from .parts import connection, listed_events
from .state import shown_state
from .values import DeviceValues, device_values

TABS = (
    ("live", gettext_noop("Live")),
    ("history", gettext_noop("History")),
    ("events", gettext_noop("Events")),
    ("link", gettext_noop("Connection")),
)
# How often a second the page is told of what is new: what its charts show.
INTERVAL_MS = 100


@dataclass(frozen=True, slots=True)
class Tab:
    """One part of the page; number: the key that leads to it."""

    name: str
    label: str
    number: int
    is_shown: bool


@require_safe
@never_cache
@login_required
def device(request: HttpRequest, slug: str) -> HttpResponse:
    """One device; one that may not be seen is one that does not exist."""
    shown = get_object_or_404(
        visible_devices(request.user).select_related("presence"), slug=slug
    )
    now = timezone.now()
    values = device_values(request, shown)
    shown_range = picker.shown_range(request, _span(values, now))
    state = shown_state(request, shown, values, now)
    tabs = _tabs(request.GET.get("tab"))
    tab = next(each.name for each in tabs if each.is_shown)
    context = {
        "device": shown,
        "groups": DeviceGroup.objects.filter(
            pk__in=visible_groups(request.user).values("pk"), devices=shown
        ),
        "tabs": tabs,
        "part": tab,
        "values": values,
        "state": state,
        **connection(request, shown, now),
        **listed_events(request, shown),
        "edit_url": _edit_url(request, shown),
        **shown_range,
        "now": now,
        "config": {
            **_config(shown, values),
            **shown_range["range"],
            "state": state.mark,
        },
        **sending_addresses(),
    }
    return render(request, "telemetry/device.html", context)


def _tabs(asked: str | None) -> list[Tab]:
    names = [name for name, _label in TABS]
    shown = asked if asked in names else names[0]
    return [
        Tab(name, gettext(label), number, name == shown)
        for number, (name, label) in enumerate(TABS, start=1)
    ]


def _span(values: DeviceValues, now: datetime) -> str:
    """What is shown at first: a device that has fallen silent is shown with the end
    of what it sent."""
    age = None if values.last_at is None else now - values.last_at
    is_recent = age is None or age.total_seconds() < picker.SECONDS[picker.YOUNG]
    return picker.YOUNG if values.is_young and is_recent else picker.span_since(age)


def _edit_url(request: HttpRequest, shown: Device) -> str | None:
    """Its page in the admin, for who may change it there."""
    user = request.user
    if not (user.is_staff and user.has_perm("telemetry.change_device")):
        return None
    try:
        return reverse("admin:telemetry_device_change", args=[shown.pk])
    except NoReverseMatch:
        return None


def _config(shown: Device, values: DeviceValues) -> dict[str, object]:
    """What the page's script starts with; see live_page.js."""
    return {
        "group": f"device:{shown.slug}",
        "slug": shown.slug,
        "intervalMs": INTERVAL_MS,
        "live": "/ws/live",
        "readings": reverse("device-readings", args=[shown.slug]),
        "device": reverse("device", args=["-"])[:-1],
        "catalogue": values.catalogue,
    }
