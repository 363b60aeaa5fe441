"""How a device's link did in the last 24 hours, in words and as a strip. Pure.

Made here alone: a page without a script and one with it say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...devices.quality import HOURS, Quality

# A device's clock that is nearer than this to the hub's is right.
SKEW_MS = 50
# A share above this has no break that anybody would see.
FULL = 0.995
STRIP_HEIGHT = 28.0


def quality_words(quality: Quality) -> dict[str, str]:
    """The rows of the panel of a device's last 24 hours, by name."""
    return {
        "latency": _latency(quality.p50_ms, quality.p95_ms),
        "clock": _clock(quality.skew_ms),
        "readings": f"{quality.readings:,}" if quality.readings else _("none"),
        "lost": _batches(quality.lost),
        "sent_again": _batches(quality.sent_again),
        "rejected": _values(quality.rejected),
        "reconnects": _times(quality.reconnects),
        "availability": _availability(quality),
    }


@dataclass(frozen=True, slots=True)
class Hour:
    """One bar of the strip. left, top, height: of 240 by STRIP_HEIGHT."""

    words: str
    is_known: bool
    left: int
    height: float

    @property
    def top(self) -> float:
        """Bars stand on the strip's foot."""
        return STRIP_HEIGHT - self.height


def strip(quality: Quality, now: datetime) -> list[Hour]:
    """The last hours, oldest first, in the reader's time zone."""
    begins = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    return [
        _hour(begins + timedelta(hours=at), share, at)
        for at, share in enumerate(quality.availability)
    ]


def _hour(begins: datetime, share: float | None, at: int) -> Hour:
    local = timezone.localtime(begins)
    until = timezone.localtime(begins + timedelta(hours=1))
    known = _("nothing known") if share is None else percent(share)
    words = _("%(from)s to %(to)s: %(known)s") % {
        "from": f"{local:%H:%M}",
        "to": f"{until:%H:%M}",
        "known": known,
    }
    return Hour(words, share is not None, 10 * at, _height(share or 0.0))


def _height(share: float) -> float:
    """Of what was connected; a short break is seen, and so is a short visit."""
    if share > FULL or not share:
        return STRIP_HEIGHT if share else 0.0
    return round(min(max(2.0, STRIP_HEIGHT * share), STRIP_HEIGHT - 2), 1)


def _latency(p50_ms: float | None, p95_ms: float | None) -> str:
    if p50_ms is None or p95_ms is None:
        return _("not measured")
    values = {"p50": _ms(p50_ms), "p95": _ms(p95_ms)}
    return _("p50 %(p50)s, p95 %(p95)s") % values


def _ms(ms: float) -> str:
    if ms < 1:
        return _("under 1 ms")
    if ms < 10_000:
        return _("%(n)s ms") % {"n": f"{ms:,.0f}"}
    return _("%(n)s s") % {"n": f"{ms / 1000:,.0f}"}


def _clock(skew_ms: float | None) -> str:
    if skew_ms is None:
        return _("not measured")
    size_ms = abs(skew_ms)
    if size_ms < SKEW_MS:
        return _("right to within %(limit)d ms") % {"limit": SKEW_MS}
    values = {"size": _span(size_ms)}
    if skew_ms > 0:
        return _("about %(size)s ahead") % values
    return _("about %(size)s behind") % values


def _span(ms: float) -> str:
    seconds = ms / 1000
    if seconds < 1:
        return _("%(n)s ms") % {"n": f"{ms:.0f}"}
    if seconds < 100:
        return _("%(n)s s") % {"n": f"{seconds:.1f}"}
    if seconds < 90 * 60:
        return _("%(n)s min") % {"n": f"{seconds / 60:.0f}"}
    if seconds < 48 * 3600:
        return _("%(n)s h") % {"n": f"{seconds / 3600:.0f}"}
    return _("%(n)s d") % {"n": f"{seconds / 86400:,.0f}"}


def _batches(count: int) -> str:
    if not count:
        return _("none")
    text = ngettext("%(n)s batch", "%(n)s batches", count)
    return text % {"n": f"{count:,}"}


def _values(count: int) -> str:
    if not count:
        return _("none")
    text = ngettext("%(n)s value", "%(n)s values", count)
    return text % {"n": f"{count:,}"}


def _times(count: int) -> str:
    if not count:
        return _("none")
    return ngettext("%(n)s time", "%(n)s times", count) % {"n": f"{count:,}"}


def _availability(quality: Quality) -> str:
    """What the strip shows, for who cannot see it."""
    known = [share for share in quality.availability if share is not None]
    if not known:
        return _("not known yet")
    if not any(known):
        is_heard = quality.readings and not quality.connects
        return _("never: its readings come over HTTP") if is_heard else _("never")
    whole = percent(sum(known) / len(known))
    away = sum(share <= FULL for share in known)
    if not away:
        return _("all the time")
    text = ngettext(
        "%(share)s of the time, with breaks in %(n)d hour",
        "%(share)s of the time, with breaks in %(n)d hours",
        away,
    )
    return text % {"share": whole, "n": away}


def percent(share: float) -> str:
    """“97.3 %”; what is not all is never said to be 100."""
    if 0.9995 <= share < 1:
        return _("over 99.9 %%") % {}
    return _("%(n)s %%") % {"n": f"{100 * share:.1f}".removesuffix(".0")}
