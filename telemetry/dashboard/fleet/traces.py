"""`/fleet/traces.json`: lowest and highest value of many series, for small lines.

GET with `series`, ids, at most MOST_SERIES: what the rows in sight need. The last 15
minutes, in buckets of 15 s. A series that one may not see is left out, as one that
does not exist.
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from ... import conf
from ...devices.access import visible_devices
from ...devices.models import Kind, Series
from ...history.queries.buckets import SeriesBuckets, read_buckets
from ...protocol.clock import now_us
from ..readings.refused import Refused, reading
from ..readings.wire import short
from ..running_hub import hub_of

MOST_SERIES = 64
WIDTH_US = 15_000_000
BUCKETS = 60


@require_safe
@never_cache
@login_required
@gzip_page
def fleet_traces(request: HttpRequest) -> HttpResponse:
    """{from, width_ms, series: {id: {at: [bucket…], min: […], max: […]}}}."""
    ids = _ids(request.GET.get("series", ""))
    if isinstance(ids, str):
        return JsonResponse({"error": ids}, status=400)
    seen = Series.objects.alive().filter(
        pk__in=ids, device__in=visible_devices(request.user).values("pk")
    )
    visible = list(seen.exclude(kind=Kind.TEXT).values_list("pk", flat=True))
    # Whole buckets: what is loaded again lies where it lay. The last one is not full.
    to_us = (now_us() // WIDTH_US + 1) * WIDTH_US
    try:
        with reading():
            series = _read(request, visible, to_us - BUCKETS * WIDTH_US, to_us)
    except Refused as refused:
        return refused.answer()
    body = {
        "from": to_us // 1000 - BUCKETS * WIDTH_US // 1000,
        "width_ms": WIDTH_US // 1000,
        "series": series,
    }
    return HttpResponse(msgspec.json.encode(body), content_type="application/json")


def _read(
    request: HttpRequest, series_ids: list[int], from_us: int, to_us: int
) -> dict[str, dict[str, Any]]:
    hub = hub_of(request)
    answer = read_buckets(
        series_ids,
        from_us,
        to_us,
        BUCKETS,
        tail=hub.tail if hub else None,
        width_us=WIDTH_US,
        most_readings=int(conf.value("READ_READINGS")),
        with_area=False,
    )
    return {
        str(series): _columns(found, from_us) for series, found in answer.series.items()
    }


def _columns(found: SeriesBuckets, from_us: int) -> dict[str, Any]:
    rows = found.summaries
    return {
        "at": ((found.starts_us - from_us) // WIDTH_US).tolist(),
        "min": short(rows.minimum),
        "max": short(rows.maximum),
    }


def _ids(text: str) -> list[int] | str:
    """The ids, or a sentence that says what is wrong with them."""
    parts = [part for part in text[: MOST_SERIES * 20].split(",") if part]
    if not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        return _("series: expected ids, got “%(text)s”") % {"text": text[:32]}
    ids = sorted({int(part) for part in parts})
    if len(ids) > MOST_SERIES or len(text) > MOST_SERIES * 20:
        return _("series: expected at most %(most)d, got %(got)d") % {
            "most": MOST_SERIES,
            "got": text.count(",") + 1,
        }
    return ids
