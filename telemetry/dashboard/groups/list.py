"""The list of device groups: how many of their devices are connected, without a script.

Rights: devices.access alone.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db.models import Count, F, Max, Q
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...devices.access import visible_groups
from ...devices.models import DeviceGroup


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
        "tab": "groups",
    }
    return render(request, "telemetry/groups.html", context)
