"""The range picker as it comes from the server: what is chosen, for forms that work
without a script. What a range means is decided by the script (range.js) alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from django.utils import timezone as django_timezone
from django.utils.translation import gettext, gettext_noop

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
SECONDS = {span: int(span[:-1]) * UNITS[span[-1]] for span, _label in PRESETS}
# A local time, as its input makes it.
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)
# What the script may understand: what is none of these it shows the usual range for.
_MOMENT = re.compile(r"(now)?([ +-]\d{1,9}[smhdw])?|-?\d[\d.]*|\d{4}-\d\d.*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Preset:
    """One button; value: what the address says."""

    value: str
    label: str
    is_chosen: bool


def presets(
    query: Mapping[str, str], *, is_young: bool, usual: str = USUAL
) -> list[Preset]:
    """The buttons; without a good range in the address the usual one."""
    start, end = query.get("from", ""), query.get("to", "now")
    is_wrong = not (_MOMENT.fullmatch(start) and _MOMENT.fullmatch(end))
    is_live = is_wrong or end == "now"
    asked = start.removeprefix("now")
    if is_wrong or (is_live and not asked):
        asked = f"-{YOUNG if is_young else usual}"
    return [
        Preset(f"now-{span}", gettext(label), is_live and asked == f"-{span}")
        for span, label in PRESETS
    ]


def span_since(age: timedelta | None) -> str:
    """The usual span, or the next one that shows more than what was so long ago."""
    if age is None:
        return USUAL
    seconds = age.total_seconds() * 1.25
    spans = [span for span, _label in PRESETS if SECONDS[span] >= seconds]
    known = [span for span in spans if SECONDS[span] >= SECONDS[USUAL]]
    return known[0] if known else PRESETS[-1][0]


def dates(query: Mapping[str, str]) -> tuple[str, str]:
    """The two local times of the form: those asked for, else the last hour."""
    now = django_timezone.localtime().replace(microsecond=0, tzinfo=None)
    start = now - timedelta(hours=1)
    return (
        _local(query.get("from", "")) or start.isoformat(),
        _local(query.get("to", "")) or now.isoformat(),
    )


def _local(text: str) -> str:
    """A moment of the address in the reader's zone, empty where it is none."""
    if _LOCAL.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text[:40].replace("Z", "+00:00"))
        if moment.tzinfo is None:
            return ""
        # Through UTC: a local time at the edge of the calendar has no other side.
        local = django_timezone.localtime(moment.astimezone(timezone.utc))
    except (ValueError, OverflowError):
        return ""
    return local.replace(microsecond=0, tzinfo=None).isoformat()
