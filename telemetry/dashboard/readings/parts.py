"""`/g/<slug>/readings.html` and `readings.csv`, and those of a device: what a chart
shows, as a table of a page at a time and as a file.

They take what readings.json takes, and `page`: 0, the default, is the newest. `live`
says that the range goes on: then it can be asked for as of now.
"""

from __future__ import annotations

from datetime import datetime, timezone

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.utils import timezone as django_timezone
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...devices.models import Series
from ...protocol.clock import now_us
from ..watchers import watchers_only
from .charts import read_asked, series_of_device, series_of_group
from .list import (
    Line,
    Listed,
    cell_texts,
    column_words,
    csv_parts,
    decimals_of,
    file_name,
    listed,
)
from .refused import Refused

PAGE_ROWS = 25


@require_safe
@never_cache
@watchers_only
def group_table(request: HttpRequest, slug: str) -> HttpResponse:
    """A page of the readings of a group's chart, the newest first."""
    return _table(request, series_of_group(request, slug))


@require_safe
@never_cache
@login_required
def device_table(request: HttpRequest, slug: str) -> HttpResponse:
    """The same of a device's chart."""
    return _table(request, series_of_device(request, slug))


@require_safe
@never_cache
@watchers_only
def group_file(request: HttpRequest, slug: str) -> HttpResponseBase:
    """All readings of a group's chart as CSV."""
    return _file(request, series_of_group(request, slug), slug)


@require_safe
@never_cache
@login_required
def device_file(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The same of a device's chart."""
    return _file(request, series_of_device(request, slug), slug)


def _table(request: HttpRequest, series: QuerySet[Series]) -> HttpResponse:
    context: dict[str, object] = {
        "title": request.GET.get("title", ""),
        "now": django_timezone.now(),
        "renew": _address(request, page=None),
    }
    try:
        found = _listed(request, series)
    except Refused as refused:
        return render(
            request, "telemetry/_readings.html", {**context, "refused": refused}
        )
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(_page(request), pages - 1)
    kind = found.lines[0].kind if found.lines else ""
    context |= {
        "rows": _shown_rows(found, page),
        "columns": column_words(found.columns, kind),
        "count": len(found),
        "page": page + 1,
        "pages": pages,
        "is_by_device": "device" in request.GET,
        "newer": _address(request, page=page - 1) if page else None,
        "older": _address(request, page=page + 1) if page < pages - 1 else None,
    }
    return render(request, "telemetry/_readings.html", context)


def _file(
    request: HttpRequest, series: QuerySet[Series], slug: str
) -> HttpResponseBase:
    try:
        found = _listed(request, series)
    except Refused as refused:
        text = f"{refused}\n"
        return HttpResponse(text, status=refused.status, content_type="text/plain")
    parts = [slug, request.GET.get("title", "")]
    name = file_name(parts, int(request.GET["from"]), int(request.GET["to"]))
    disposition = content_disposition_header(as_attachment=True, filename=name)
    return StreamingHttpResponse(
        (part.encode() for part in csv_parts(found)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": str(disposition)},
    )


def _listed(request: HttpRequest, series: QuerySet[Series]) -> Listed:
    kinds, answer = read_asked(request, series)
    rows = Series.objects.filter(pk__in=list(kinds)).select_related("device")
    lines = [
        Line(
            series=row.pk,
            slug=row.device.slug,
            device=row.device.name,
            metric=row.name,
            label=row.label or row.name,
            unit=row.unit,
            kind=row.kind,
            decimals=row.decimals,
        )
        for row in rows.order_by(Lower("device__name"), "device__slug", "name", "pk")
    ]
    return listed(answer, lines)


def _shown_rows(found: Listed, page: int) -> list[tuple[str, Line, list[str]]]:
    """The rows of a page: time, whose it is, and its numbers, the newest first."""
    end = len(found) - page * PAGE_ROWS
    decimals = decimals_of(found.numbers[:, :3])
    return [
        (
            _moment(int(found.times_us[at])),
            found.lines[int(found.line[at])],
            cell_texts(found, at, decimals),
        )
        for at in range(end - 1, max(-1, end - 1 - PAGE_ROWS), -1)
    ]


def _moment(time_us: int) -> str:
    """In the reader's zone; a fraction only where there is one."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, timezone.utc)
    text = f"{django_timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
    ms = time_us // 1000 % 1000
    return f"{text}.{ms:03d}" if ms else text


def _page(request: HttpRequest) -> int:
    text = request.GET.get("page", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _address(request: HttpRequest, page: int | None) -> str:
    """Where another page is; None: the first, as of now where the range goes on."""
    query = request.GET.copy()
    query.pop("page", None)
    if page:
        query["page"] = str(page)
    elif page is None and "live" in query:
        now_ms = now_us() // 1000
        asked = [query.get("from", ""), query.get("to", "")]
        if all(text.isascii() and text.isdigit() and len(text) < 16 for text in asked):
            start, end = (int(text) for text in asked)
            query["from"], query["to"] = str(max(0, now_ms - end + start)), str(now_ms)
    return f"{request.path}?{query.urlencode()}"
