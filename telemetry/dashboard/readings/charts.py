"""`/g/<slug>/readings.json`, `/d/<slug>/readings.json`: the history that charts show.

GET with from and to (ms, UTC); points bounds what comes for each series; name and
unit ask for one chart, device (and unit) for one of a device, of its metrics m; kind
for one of two that are called the same; width (ms) for buckets of a width that a chart
has already.
See docs/topics/dashboard.md for the answer. What would make the hub read too much is
refused: 413.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from ... import conf
from ...devices.access import visible_devices, visible_groups
from ...devices.models import Kind, Series
from ...history.queries.buckets import Answer, read_buckets
from ..running_hub import hub_of
from ..watchers import watcher, watchers_only
from .refused import Refused, reading
from .wire import encode

MAX_POINTS = 2_000
MIN_POINTS = 50
# What one answer may hold: a megabyte or two on the wire. A bucket is as long as two
# readings.
MAX_POINTS_TOTAL = 200_000
# Ten years, and what a page asks for beyond now.
MAX_SPAN_MS = 3_660 * 86_400_000
MIN_WIDTH_MS = 100
CHOOSING = ("name", "unit", "device", "kind", "m")


class Range(msgspec.Struct, frozen=True):
    """What is asked for; times in ms. width_ms 0: the hub chooses."""

    from_ms: int
    to_ms: int
    points: int
    width_ms: int


@require_safe
@never_cache
@watchers_only
@gzip_page
def group_readings(request: HttpRequest, slug: str) -> HttpResponse:
    """The readings of a group's numbers and booleans in a range, or their summaries."""
    return _answer(request, series_of_group(request, slug))


@require_safe
@never_cache
@login_required
@gzip_page
def device_readings(request: HttpRequest, slug: str) -> HttpResponse:
    """The same of one device."""
    return _answer(request, series_of_device(request, slug))


def series_of_group(request: HttpRequest, slug: str) -> QuerySet[Series]:
    """All of a group that whoever asks may see; else Http404."""
    group = get_object_or_404(visible_groups(watcher(request)), slug=slug)
    return Series.objects.alive().filter(device__groups=group, device__deleted_at=None)


def series_of_device(request: HttpRequest, slug: str) -> QuerySet[Series]:
    """All of a device that whoever asks may see; else Http404."""
    device = get_object_or_404(visible_devices(request.user), slug=slug)
    return Series.objects.alive().filter(device=device)


def _answer(request: HttpRequest, series: QuerySet[Series]) -> HttpResponse:
    try:
        kinds, answer = read_asked(request, series)
    except Refused as refused:
        return refused.answer()
    return HttpResponse(
        encode(answer, booleans(kinds)), content_type="application/json"
    )


def read_asked(
    request: HttpRequest, series: QuerySet[Series]
) -> tuple[dict[int, str], Answer]:
    """What a request asks for: the kind of each series, and what was read.

    Raises Refused.
    """
    asked = _range(request)
    if isinstance(asked, str):
        raise Refused(asked, 400)
    kinds = _kinds(request, series)
    most_series = MAX_POINTS_TOTAL // MIN_POINTS
    if len(kinds) > most_series:
        raise Refused(_too_many_series(most_series, len(kinds)), 413)
    with reading():
        return kinds, _read(request, asked, kinds)


def _read(request: HttpRequest, asked: Range, kinds: Mapping[int, str]) -> Answer:
    hub = hub_of(request)
    most_points = max(MIN_POINTS, MAX_POINTS_TOTAL // (len(kinds) or 1))
    return read_buckets(
        kinds,
        asked.from_ms * 1000,
        asked.to_ms * 1000,
        min(asked.points, most_points),
        tail=hub.tail if hub else None,
        width_us=asked.width_ms * 1000 or None,
        most_readings=int(conf.value("READ_READINGS")),
        # Means need none: without it they take half the time.
        with_area=booleans(kinds),
    )


def booleans(kinds: Mapping[int, str]) -> set[int]:
    """Those of the series that are booleans."""
    return {series for series, kind in kinds.items() if kind == Kind.BOOLEAN}


def _kinds(request: HttpRequest, series: QuerySet[Series]) -> dict[int, str]:
    """The kind of each of these series that is asked for, by id."""
    if any("\0" in request.GET.get(each, "") for each in CHOOSING):
        # Nothing is called so, and PostgreSQL refuses the question.
        return {}
    series = series.exclude(kind=Kind.TEXT)
    if "name" in request.GET:
        series = series.filter(
            name=request.GET["name"], unit=request.GET.get("unit", "")
        )
    if "device" in request.GET:
        series = series.filter(device__slug=request.GET["device"])
        if "unit" in request.GET:
            series = series.filter(unit=request.GET["unit"])
    if "kind" in request.GET:
        series = series.filter(kind=request.GET["kind"])
    if "m" in request.GET:
        series = series.filter(name__in=request.GET["m"].split(","))
    return dict(series.values_list("pk", "kind"))


def _too_many_series(most: int, got: int) -> str:
    text = _("expected at most %(most)d series, got %(got)d: choose one chart by name")
    return text % {"most": most, "got": got}


def _range(request: HttpRequest) -> Range | str:
    """The range, or a sentence that says what is wrong with it."""
    numbers: dict[str, int] = {}
    defaults = {"from": None, "to": None, "points": str(MAX_POINTS), "width": "0"}
    for name, default in defaults.items():
        text = request.GET.get(name, default)
        if text is None or not text.isascii() or not text.isdigit() or len(text) > 15:
            return _("%(name)s: expected a whole number, got “%(text)s”") % {
                "name": name,
                "text": "" if text is None else text[:32],
            }
        numbers[name] = int(text)
    span_ms = numbers["to"] - numbers["from"]
    if not 0 < span_ms <= MAX_SPAN_MS:
        return _("expected from before to, at most %(days)d days apart") % {
            "days": MAX_SPAN_MS // 86_400_000
        }
    width_ms = numbers["width"]
    # One bucket more than points: a range touches a part of the first and the last.
    least_ms = max(MIN_WIDTH_MS, -(-span_ms // (MAX_POINTS + 1)))
    if width_ms and not least_ms <= width_ms:
        return _("width: expected at least %(least)d ms, got %(got)d") % {
            "least": least_ms,
            "got": width_ms,
        }
    points = min(max(numbers["points"], 2), MAX_POINTS)
    return Range(numbers["from"], numbers["to"], points, width_ms)
