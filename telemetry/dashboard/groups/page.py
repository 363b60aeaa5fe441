"""The page of one group, live.

What one may not see answers as what does not exist. Rights: devices.access alone.
"""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...devices.access import visible_groups
from ...devices.models import Device, DeviceGroup
from ..addresses import sending_addresses
from ..readings import picker
from ..value_table import ValueTable, value_table
from ..watchers import watcher, watchers_only


@require_safe
@never_cache
@watchers_only
def group(request: HttpRequest, slug: str) -> HttpResponse:
    """One group: readable as it comes, live with a script."""
    shown = get_object_or_404(visible_groups(watcher(request)), slug=slug)
    table = value_table(request, _alive(shown))
    shown_range = picker.shown_range(
        request, picker.YOUNG if table.is_young else picker.USUAL
    )
    context = {
        "group": shown,
        "table": table,
        "now": timezone.now(),
        **shown_range,
        "config": {**_config(shown, table), **shown_range["range"]},
        **sending_addresses(),
    }
    return render(request, "telemetry/group.html", context)


def _alive(group: DeviceGroup) -> QuerySet[Device]:
    return Device.objects.alive().filter(groups=group)


def _config(group: DeviceGroup, table: ValueTable) -> dict[str, object]:
    """What the page's script starts with.

    catalogue: [name, unit, label, kind, decimals] of each metric of the group.
    """
    return {
        "group": group.slug,
        "live": "/ws/live",
        "intervalMs": 100,
        "readings": reverse("readings", args=[group.slug]),
        "device": reverse("device", args=["-"])[:-1],
        "catalogue": table.catalogue,
    }
