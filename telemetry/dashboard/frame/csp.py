"""`/csp`: where a browser reports that a page broke the Content-Security-Policy.

There should be none: nothing of the hub's is inline, and nothing is from elsewhere.
A report is one line in the log and counted, and is not kept. Anybody may send one,
so it is bounded, and only so many a minute are read.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from ... import conf, counters
from ...ingest.rate import TokenBucket

logger = logging.getLogger(__name__)

TYPES = ("application/csp-report", "application/reports+json", "application/json")
FIELD_CHARACTERS = 200


class Reports:
    """How many reports this process still reads; the time is passed in."""

    def __init__(self, per_minute: int) -> None:
        self._bucket = TokenBucket(rate=per_minute / 60, burst=per_minute)

    def may_come(self, now_seconds: float) -> bool:
        """Whether one more is read now."""
        # What is refused is not taken from the bucket: it goes on filling.
        if self._bucket.take(0, now_seconds) > 0 or self._bucket.tokens < 1:
            return False
        self._bucket.take(1, now_seconds)
        return True


_reports: Reports | None = None


def reports() -> Reports:
    """Those of this process, made at the first report."""
    global _reports
    if _reports is None:
        _reports = Reports(int(conf.value("CSP_REPORTS_A_MINUTE")))
    return _reports


@csrf_exempt
@require_POST
def report(request: HttpRequest) -> HttpResponse:
    """Say in the log what was blocked, and where."""
    if not reports().may_come(time.monotonic()):
        return HttpResponse(status=429, headers={"Retry-After": "60"})
    if request.content_type not in TYPES:
        return HttpResponse(status=415)
    most = int(conf.value("CSP_REPORT_BYTES"))
    if len(request.body) > most:
        return HttpResponse(status=413)
    found = read(request.body)
    if found is None:
        return HttpResponse(status=400)
    counters.CSP_REPORTS.inc()
    logger.warning("content security policy: %s", found)
    return HttpResponse(status=204)


def read(body: bytes) -> str | None:
    """What was blocked, by which directive and on which page; None for no report."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(content, list):
        # The form of report-to: several reports of any kind.
        content = content[0] if content else None
    if not isinstance(content, dict):
        return None
    details = content.get("csp-report", content.get("body"))
    if not isinstance(details, dict):
        return None
    directive = _text(details, "effective-directive", "effectiveDirective")
    if not directive:
        directive = _text(details, "violated-directive") or "?"
    blocked = _text(details, "blocked-uri", "blockedURL") or "?"
    page = _path(_text(details, "document-uri", "documentURL"))
    source = _path(_text(details, "source-file", "sourceFile"))
    line = details.get("line-number", details.get("lineNumber"))
    where = f" ({source}:{line})" if source and isinstance(line, int) else ""
    return f"{directive} blocked {blocked} on {page or '?'}{where}"


def _text(details: dict[str, Any], *names: str) -> str:
    for name in names:
        if isinstance(value := details.get(name), str):
            return value[:FIELD_CHARACTERS]
    return ""


def _path(address: str) -> str:
    """The path alone: what is asked of a page is nobody's business, nor a token."""
    try:
        path = urlsplit(address).path
    except ValueError:
        return "?"
    return "/k/…" if path.startswith("/k/") else path
