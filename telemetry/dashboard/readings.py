"""`/g/<slug>/readings.json`: the history that a live page begins with.

GET with from and to (ms, UTC) and, to load one chart, name and unit; points (2 to
2,000) bounds what comes for each series. Answers {from, to, count, series: {id:
{times: [ms…], values: […]}}}: count is how many readings there are in the range,
also where fewer points came. What would make the hub read too much is refused: 413.
"""

from __future__ import annotations

import msgspec
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from .. import conf
from ..devices.access import visible_groups
from ..devices.models import DeviceGroup, Kind, Series
from ..history.tick import Int64s
from . import paging
from .hub import hub_of

MAX_POINTS = 2_000
MIN_POINTS = 50
# What one answer may hold: a megabyte or two on the wire.
MAX_POINTS_TOTAL = 200_000
# The live page asks for an hour; a day is what a browser can hold of raw readings.
MAX_SPAN_MS = 86_400_000


class Range(msgspec.Struct, frozen=True):
    """What is asked for; times in ms."""

    from_ms: int
    to_ms: int
    points: int


@require_safe
@never_cache
@login_required
@gzip_page
def group_readings(request: HttpRequest, slug: str) -> HttpResponse:
    """The readings of a group's numbers and booleans in a range."""
    group = get_object_or_404(visible_groups(request.user), slug=slug)
    asked = _range(request)
    if isinstance(asked, str):
        return JsonResponse({"error": asked}, status=400)
    series_ids = _series_ids(request, group)
    points = min(
        asked.points, max(MIN_POINTS, MAX_POINTS_TOTAL // (len(series_ids) or 1))
    )
    most = paging.most_series((asked.to_ms - asked.from_ms) * 1000)
    if len(series_ids) > most:
        return _too_many_series(most, len(series_ids))
    hub = hub_of(request)
    most_readings = int(conf.value("READ_READINGS"))
    try:
        found = paging.read_thin(
            series_ids,
            asked.from_ms * 1000,
            asked.to_ms * 1000,
            points=points,
            most_readings=most_readings,
            tail=hub.tail if hub else None,
        )
    except paging.TooMuch:
        return _too_many_readings(most_readings)
    except paging.Busy:
        return _busy()
    body = {
        "from": asked.from_ms,
        "to": asked.to_ms,
        "count": found.count,
        "series": {
            str(series_id): {"times": _ms(times_us), "values": values.tolist()}
            for series_id, (times_us, values) in found.series.items()
        },
    }
    return HttpResponse(msgspec.json.encode(body), content_type="application/json")


def _series_ids(request: HttpRequest, group: DeviceGroup) -> list[int]:
    series = (
        Series.objects.alive()
        .filter(device__groups=group, device__deleted_at=None)
        .exclude(kind=Kind.TEXT)
    )
    if "name" in request.GET:
        series = series.filter(
            name=request.GET["name"], unit=request.GET.get("unit", "")
        )
    return list(series.values_list("pk", flat=True))


def _too_many_series(most: int, got: int) -> HttpResponse:
    text = _("expected at most %(most)d series for a range this long, got %(got)d")
    return JsonResponse({"error": text % {"most": most, "got": got}}, status=413)


def _too_many_readings(most: int) -> HttpResponse:
    text = _(
        "expected at most %(most)d readings in the range, got more: "
        "choose a shorter one"
    )
    return JsonResponse({"error": text % {"most": most}}, status=413)


def _busy() -> HttpResponse:
    text = _("expected an idle reader, but others are loading history: try again")
    return JsonResponse({"error": text}, status=503, headers={"Retry-After": "5"})


def _range(request: HttpRequest) -> Range | str:
    """The range, or a sentence that says what is wrong with it."""
    numbers: dict[str, int] = {}
    for name, default in (("from", None), ("to", None), ("points", str(MAX_POINTS))):
        text = request.GET.get(name, default)
        if text is None or not text.isascii() or not text.isdigit() or len(text) > 15:
            return _("%(name)s: expected a whole number, got “%(text)s”") % {
                "name": name,
                "text": "" if text is None else text[:32],
            }
        numbers[name] = int(text)
    if not 0 < numbers["to"] - numbers["from"] <= MAX_SPAN_MS:
        return _("expected from before to, at most %(hours)d hours apart") % {
            "hours": MAX_SPAN_MS // 3_600_000
        }
    points = min(max(numbers["points"], 2), MAX_POINTS)
    return Range(numbers["from"], numbers["to"], points)


def _ms(times_us: Int64s) -> list[int] | list[float]:
    """Milliseconds, as integers where all are whole: shorter, and the usual case."""
    if (times_us % 1000).any():
        fractions: list[float] = (times_us / 1000).tolist()
        return fractions
    whole: list[int] = (times_us // 1000).tolist()
    return whole
