"""The range picker: what is chosen, for forms that work without a script, and what the
script begins with. What an address means is decided here (ranges.py) alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from django.http import HttpRequest
from django.utils import timezone as django_timezone
from django.utils.translation import gettext, gettext_noop

from . import ranges

PRESETS = (
    ("5m", gettext_noop("5 min")),
    ("15m", gettext_noop("15 min")),
    ("1h", gettext_noop("1 h")),
    ("6h", gettext_noop("6 h")),
    ("24h", gettext_noop("24 h")),
    ("7d", gettext_noop("7 d")),
    ("30d", gettext_noop("30 d")),
)
USUAL, YOUNG = "15m", "5m"
UNITS = {"m": 60, "h": 3_600, "d": 86_400}
# What an address may say beside the range: see the pages' own views.
KEPT = ("tab", "by", "m", "events", "kiosk")
KEPT_CHARACTERS = 2_000
SECONDS = {span: int(span[:-1]) * UNITS[span[-1]] for span, _label in PRESETS}


@dataclass(frozen=True, slots=True)
class Preset:
    """One button; value: what the address says."""

    value: str
    label: str
    span_ms: int
    is_chosen: bool


def shown_range(request: HttpRequest, usual: str = USUAL) -> dict[str, Any]:
    """What a page with charts knows of its range: for its template, and under `range`
    for its script. usual: the span where the address asks for none."""
    now = django_timezone.now()
    now_ms, usual_ms = int(now.timestamp() * 1000), SECONDS[usual] * 1000
    zone = django_timezone.get_current_timezone()
    view, problem = ranges.read(request.GET, now_ms, zone, usual_ms)
    return {
        "presets": [
            Preset(f"now-{span}", gettext(label), ms, ms == view.span_ms)
            for span, label in PRESETS
            for ms in [SECONDS[span] * 1000]
        ],
        "dates": [_local(ms) for ms in view.edges(now_ms)],
        "problem": problem,
        "kept": kept(request.GET),
        "range": {
            "view": view.told(),
            "problem": problem,
            "usualMs": usual_ms,
            "nowMs": now_ms,
            "zone": django_timezone.get_current_timezone_name(),
        },
    }


def kept(query: Mapping[str, str]) -> list[tuple[str, str]]:
    """What else the address says: another range leaves it as it is."""
    return [(name, query[name][:KEPT_CHARACTERS]) for name in KEPT if query.get(name)]


def span_since(age: timedelta | None) -> str:
    """The usual span, or the next one that shows more than what was so long ago."""
    if age is None:
        return USUAL
    seconds = age.total_seconds() * 1.25
    spans = [span for span, _label in PRESETS if SECONDS[span] >= seconds]
    known = [span for span in spans if SECONDS[span] >= SECONDS[USUAL]]
    return known[0] if known else PRESETS[-1][0]


def _local(ms: int) -> str:
    """A moment as the form has it: the reader's wall clock."""
    moment = datetime.fromtimestamp(ms // 1000, timezone.utc)
    try:
        local = django_timezone.localtime(moment)
    except OverflowError:  # At the edge of the calendar.
        local = moment
    return local.replace(tzinfo=None).isoformat()
