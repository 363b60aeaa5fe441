"""`/d/<slug>/changes.json`: since when each boolean and text of a device is what it is.

{series id: [ms, is_least]}: is_least: it may have been so before as well.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ... import conf
from ...devices.access import visible_devices
from ...devices.models import Kind, Series
from ...history.queries.held import booleans_held, texts_held
from ...protocol.clock import now_us
from ..readings.refused import Refused, reading
from ..running_hub import hub_of, last_values

# More than these no page shows as tiles with a time of change.
MOST_SERIES = 48


@require_safe
@never_cache
@login_required
def device_changes(request: HttpRequest, slug: str) -> HttpResponse:
    """Since when they are what they are, of the first MOST_SERIES by name."""
    device = get_object_or_404(visible_devices(request.user), slug=slug)
    kinds = dict(
        Series.objects.alive()
        .filter(device=device)
        .exclude(kind=Kind.NUMBER)
        .order_by("name", "id")
        .values_list("pk", "kind")[:MOST_SERIES]
    )
    heads = last_values(request, kinds)
    now = now_us()
    texts = {
        series: head.value
        for series, head in heads.items()
        if kinds[series] == Kind.TEXT and isinstance(head.value, str)
    }
    hub = hub_of(request)
    try:
        with reading():
            held = booleans_held(
                [series for series in heads if kinds[series] == Kind.BOOLEAN],
                now,
                tail=hub.tail if hub else None,
                most_readings=int(conf.value("READ_READINGS")),
            )
            held |= texts_held(texts, now)
    except Refused as refused:
        return refused.answer()
    return JsonResponse(
        {series: [one.since_us // 1000, one.is_least] for series, one in held.items()}
    )
