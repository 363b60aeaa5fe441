"""The range of time that an address asks for, or the nearest that there is. Pure.

Live, the last so many milliseconds, going on; or fixed, from one moment to another.
What is done with it in the page afterwards (zoom, earlier, pause) is range.js.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from django.utils.translation import gettext as _

from ...history.transfer import moments

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
SHORTEST_LIVE_MS = 10_000
SHORTEST_MS = 1_000
LONGEST_MS = 3_650 * 86_400_000
# A clock may run ahead a little.
AHEAD_MS = 1_000
SAID_CHARACTERS = 40

# A plus in an address is a space.
_RELATIVE = re.compile(r"(?:now(?=[ +-])|(?=[+-]))([ +-]\d{1,9})([smhdw])", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class View:
    """A range: live where it has a span, else fixed; ms."""

    span_ms: int | None
    from_ms: int = 0
    to_ms: int = 0

    def edges(self, now_ms: int) -> tuple[int, int]:
        """[from, to) at a moment."""
        if self.span_ms is None:
            return self.from_ms, self.to_ms
        return now_ms - self.span_ms, now_ms

    def told(self) -> dict[str, int]:
        """As the page's script has it."""
        if self.span_ms is None:
            return {"fromMs": self.from_ms, "toMs": self.to_ms}
        return {"spanMs": self.span_ms}


@dataclass(frozen=True, slots=True)
class _Moment:
    """A time that was read: so long before now, or itself; ms."""

    before_ms: int | None = None
    at_ms: int = 0

    def at(self, now_ms: int) -> int:
        return self.at_ms if self.before_ms is None else now_ms - self.before_ms


_NOW = _Moment(before_ms=0)


def read(
    query: Mapping[str, str], now_ms: int, zone: tzinfo, usual_ms: int
) -> tuple[View, str]:
    """The view that an address asks for, or the nearest that there is, and then a
    sentence that says why. What is no time gets the usual one, live."""
    start, end = query.get("from", ""), query.get("to", "") or "now"
    since = _read(start, zone) if start else None
    until = _read(end, zone)
    if until is None or (start and since is None):
        return View(usual_ms), _not_understood(end if since or not start else start)
    if until.before_ms == 0:
        if since is None:
            return View(usual_ms), ""
        if since.before_ms is not None and since.before_ms > 0:
            return _live(since.before_ms)
    to_ms = until.at(now_ms)
    return _fixed(
        to_ms - usual_ms if since is None else since.at(now_ms), to_ms, now_ms
    )


def _not_understood(text: str) -> str:
    words = _(
        "“%(text)s” is no time that this page understands, so this is the usual range."
    )
    return words % {"text": text[:SAID_CHARACTERS].replace("\0", "")}


def _read(text: str, zone: tzinfo) -> _Moment | None:
    """ "now-6h", "-6h", "now", ms since 1970, an ISO time; without a zone it is one of
    the reader's wall clock."""
    if text == "now":
        return _NOW
    if relative := _RELATIVE.fullmatch(text):
        count = int(relative[1].replace(" ", "+"))
        return _Moment(before_ms=-count * UNIT_MS[relative[2]])
    if _NUMBER.fullmatch(text):
        return _Moment(at_ms=int(float(text)))
    try:
        if not _LOCAL.fullmatch(text):
            return _Moment(at_ms=moments.parse(text) // 1_000)
        local = datetime.fromisoformat(text).replace(tzinfo=zone)
        # Of an hour that comes twice the first; one that is skipped goes on.
        return _Moment(at_ms=(local - _EPOCH) // timedelta(milliseconds=1))
    except (ValueError, OverflowError):
        return None


def _live(span_ms: int) -> tuple[View, str]:
    kept = min(max(span_ms, SHORTEST_LIVE_MS), LONGEST_MS)
    if kept == span_ms:
        return View(kept), ""
    return View(kept), _too_long() if span_ms > kept else _too_short()


def _too_long() -> str:
    return _("A range is at most 10 years long: this is the end of the one asked for.")


def _too_short() -> str:
    return _("The range asked for is too short: this is a longer one.")


def _fixed(from_ms: int, to_ms: int, now_ms: int) -> tuple[View, str]:
    """The nearest one: not turned round, not too long or short, not after now."""
    start, end, problem = max(0, from_ms), max(0, to_ms), ""
    if start > end:
        start, end = end, start
        problem = _("The range asked for ends before it begins: the two are exchanged.")
    if start >= now_ms:
        start, end = now_ms - min(max(end - start, SHORTEST_MS), now_ms), now_ms
        problem = _(
            "The range asked for has not come yet: this is the newest one of that"
            " length."
        )
    elif end > now_ms + AHEAD_MS:
        problem = problem or _(
            "The range asked for ends in the future: this one ends now."
        )
    end = min(end, now_ms)
    if end - start > LONGEST_MS:
        start, problem = end - LONGEST_MS, _too_long()
    if end - start < SHORTEST_MS:
        problem = problem or _too_short()
        middle_ms = (start + end + SHORTEST_MS + 1) // 2
        end = min(max(middle_ms, SHORTEST_MS), now_ms)
        start = end - SHORTEST_MS
    return View(None, start, end), problem
