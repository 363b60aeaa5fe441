"""The pages: groups, one group live, one device.

What one may not see answers as what does not exist. Rights: devices.access alone.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..devices.access import visible_devices, visible_groups
from ..devices.models import Device, DeviceGroup
from . import picker
from .group_values import ValueTable, value_table


@require_safe
@never_cache
@login_required
def group_list(request: HttpRequest) -> HttpResponse:
    """The device groups that one may see, with how many devices are connected."""
    alive = Q(devices__deleted_at=None)
    known = Q(devices__presence__last_seen_at__isnull=False) | Q(
        devices__presence__is_online=True
    )
    groups = DeviceGroup.objects.filter(
        # Rights join other tables: counting must not count their rows.
        pk__in=visible_groups(request.user).values("pk")
    ).annotate(
        device_count=Count("devices", filter=alive),
        online_count=Count(
            "devices", filter=alive & Q(devices__presence__is_online=True)
        ),
        # Heard of at least once: the others are new, not gone.
        known_count=Count("devices", filter=alive & known),
        offline_count=F("known_count") - F("online_count"),
        new_count=F("device_count") - F("known_count"),
        last_heard_at=Max("devices__presence__last_seen_at", filter=alive),
    )
    context = {
        "groups": groups.order_by(Lower("name"), "slug"),
        "now": timezone.now(),
    }
    return render(request, "telemetry/groups.html", context)


@require_safe
@never_cache
@login_required
def group(request: HttpRequest, slug: str) -> HttpResponse:
    """One group: readable as it comes, live with a script."""
    shown = get_object_or_404(visible_groups(request.user), slug=slug)
    table = value_table(request, _alive(shown))
    context = {
        "group": shown,
        "table": table,
        "now": timezone.now(),
        "config": _config(request, shown, table),
        "presets": picker.presets(request.GET, is_young=table.is_young),
        "dates": picker.dates(request.GET),
        **_addresses(),
    }
    return render(request, "telemetry/group.html", context)


@require_safe
@never_cache
@login_required
def device(request: HttpRequest, slug: str) -> HttpResponse:
    """One device: its state and current values; history and events come later."""
    shown = get_object_or_404(visible_devices(request.user), slug=slug)
    table = value_table(request, Device.objects.filter(pk=shown.pk), max_columns=256)
    groups = DeviceGroup.objects.filter(
        pk__in=visible_groups(request.user).values("pk"), devices=shown
    )
    row = table.rows[0]
    context = {
        "device": shown,
        "row": row,
        "groups": groups,
        "values": [
            (column, cell)
            for column, cell in zip(table.columns, row.cells, strict=True)
            if cell.text
        ],
        "now": timezone.now(),
        **_addresses(),
    }
    return render(request, "telemetry/device.html", context)


def _addresses() -> dict[str, str]:
    """Where devices send to, for who has none that sends yet."""
    return {
        "ingest_url": settings.HUB_URL + reverse("ingest"),
        "socket_url": "ws" + settings.HUB_URL.removeprefix("http") + "/ws/device",
    }


def _alive(group: DeviceGroup) -> QuerySet[Device]:
    return Device.objects.alive().filter(groups=group)


def _config(
    request: HttpRequest, group: DeviceGroup, table: ValueTable
) -> dict[str, object]:
    """What the page's script starts with.

    catalogue: [name, unit, label, kind, decimals] of each metric of the group.
    """
    return {
        "group": group.slug,
        "live": "/ws/live",
        "readings": reverse("readings", args=[group.slug]),
        "device": reverse("device", args=["-"])[:-1],
        "login": reverse("login"),
        "zone": timezone.get_current_timezone_name(),
        "catalogue": table.catalogue,
        "isYoung": table.is_young,
        "nowMs": int(timezone.now().timestamp() * 1000),
    }
