"""What state a device is in, and why: by its period, its socket, its last reading.

Pure but for the words; times are passed in, µs since the epoch. The rule is that of
the pages (js/presence.js): tests/golden/presence.json holds for both. Nothing stale
looks live: a device that ought to have sent by now is late, whatever its socket says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

SECOND_US = 1_000_000
# Missed periods before a device is late, and the least that counts as late.
LATE_PERIODS = 3
LATE_US = 5 * SECOND_US
# Nobody has said how often it sends, and it has not sent often enough to tell.
UNKNOWN_PERIOD_US = 20 * SECOND_US
# A socket that was closed so recently is about to come back.
GRACE_US = 15 * SECOND_US
# Late again so soon after it was not: it hovers at the limit, and stays late until it
# has been in time for as long.
HOLD_US = 20 * SECOND_US
# What a device sent just before its socket ended may be read just after.
CLOSING_US = 1 * SECOND_US


class State(TextChoices):
    LIVE = "live", gettext_lazy("Live")
    LATE = "late", gettext_lazy("Late")
    OFFLINE = "offline", gettext_lazy("Offline")
    NEW = "new", gettext_lazy("New")
    PAUSED = "paused", gettext_lazy("Paused")
    # Its sockets are closed. Pages show no such device.
    DISABLED = "disabled", gettext_lazy("Disabled")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a device. Times in µs since the epoch, None: never.

    changed_us: when is_online last became what it is. last_reading_us: when its newest
    reading was read or came, whichever is earlier. period_us: how often one is
    expected, None: nobody knows; is_estimated: nobody has set it.
    """

    is_enabled: bool = True
    is_paused: bool = False
    is_online: bool = False
    changed_us: int | None = None
    last_seen_us: int | None = None
    last_reading_us: int | None = None
    period_us: int | None = None
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """A device's state; what follows is for the next look at it.

    is_unsteady: it hovers between live and late. calm_us: since when its readings
    come in time again; None: they were never late, or are.
    """

    state: State
    is_unsteady: bool = False
    calm_us: int | None = None


def judge(facts: Facts, now_us: int, before: Status | None = None) -> Status:
    """What a device is now; before: what it was at the last look, None for the first.

    Whoever looks again and again passes `before`, so that nothing flaps.
    """
    state, is_excused = _at_once(facts, now_us)
    if before is None or not _is_judged(state) or not _is_judged(before.state):
        return Status(state)
    if is_excused and before.state != State.LIVE:
        # It has come back, but no reading has.
        state = State.LATE
    if before.is_unsteady and state != State.OFFLINE:
        return _still_unsteady(state, now_us, before)
    if state == before.state:
        return before
    if state == State.LIVE and before.state == State.LATE:
        return Status(state, calm_us=now_us)
    was_calm = before.state == State.LIVE and before.calm_us is not None
    if state == State.LATE and was_calm and now_us - (before.calm_us or 0) < HOLD_US:
        return Status(state, is_unsteady=True)
    return Status(state)


def late_after_us(period_us: int | None) -> int:
    """How long a device may be silent before it is late."""
    known_us = UNKNOWN_PERIOD_US if period_us is None else period_us
    return max(LATE_PERIODS * known_us, LATE_US)


def fastest_period_us(series: Iterable[tuple[int | None, int]]) -> int | None:
    """How often a device is expected to send: as the fastest of its series.

    series: (estimated period, time of the last reading) of each that has any. One that
    has stopped while others go on counts no more. None: nobody knows.
    """
    known = list(series)
    newest_us = max((last_us for _, last_us in known), default=0)
    periods_us = (
        period_us
        for period_us, last_us in known
        if period_us is not None and newest_us - last_us <= late_after_us(period_us)
    )
    return min(periods_us, default=None)


def _still_unsteady(state: State, now_us: int, before: Status) -> Status:
    if state != State.LIVE:
        return replace(before, state=state, calm_us=None)
    calm_us = now_us if before.calm_us is None else before.calm_us
    if now_us - calm_us < HOLD_US:
        return replace(before, calm_us=calm_us)
    return Status(State.LIVE, calm_us=now_us)


def _at_once(facts: Facts, now_us: int) -> tuple[State, bool]:
    """The state by the facts alone, and whether only its socket excuses it."""
    if not facts.is_enabled:
        return State.DISABLED, False
    if facts.is_paused:
        return State.PAUSED, False
    if facts.last_reading_us is None:
        return _without_reading(facts, now_us), False
    quiet_us = now_us - facts.last_reading_us
    if quiet_us <= _patience_us(facts, facts.last_reading_us):
        return State.LIVE, False
    # As it was before its socket changed, for a while.
    changed_us = facts.changed_us
    if changed_us is not None and changed_us >= facts.last_reading_us:
        since_us = now_us - changed_us
        patience_us = late_after_us(facts.period_us)
        was_quiet_us = changed_us - facts.last_reading_us
        if facts.is_online:
            is_short = was_quiet_us <= patience_us + GRACE_US
            is_excused = is_short and since_us <= patience_us
        else:
            is_excused = was_quiet_us <= patience_us and since_us <= GRACE_US
        if is_excused:
            return State.LIVE, True
    if facts.is_online:
        return State.LATE, False
    gone_us = now_us - max(changed_us or 0, facts.last_reading_us)
    return State.LATE if gone_us <= GRACE_US else State.OFFLINE, False


def _without_reading(facts: Facts, now_us: int) -> State:
    since_us = facts.changed_us or facts.last_seen_us
    if since_us is None:
        return State.NEW
    if facts.is_online:
        in_time = now_us - since_us <= late_after_us(facts.period_us)
        return State.NEW if in_time else State.LATE
    return State.NEW if now_us - since_us <= GRACE_US else State.OFFLINE


def _patience_us(facts: Facts, last_reading_us: int) -> int:
    has_ended = (
        not facts.is_online
        and facts.changed_us is not None
        and last_reading_us <= facts.changed_us + CLOSING_US
    )
    if facts.period_us is None and has_ended:
        # Nobody knows that it sleeps between readings: gone is gone.
        return LATE_US
    return late_after_us(facts.period_us)


def _is_judged(state: State) -> bool:
    return state in (State.LIVE, State.LATE, State.OFFLINE)


# --- in words -----------------------------------------------------------------------

# From how many seconds on, in units of how many, in these words.
_AGES = (
    (172_800, 86_400, gettext_noop("%(n)s d")),
    (5_400, 3_600, gettext_noop("%(n)s h")),
    (99.5, 60, gettext_noop("%(n)s min")),
    (0, 1, gettext_noop("%(n)s s")),
)
_PERIODS = (
    (172_800, 86_400, gettext_noop("%(n)s d")),
    (3_600, 3_600, gettext_noop("%(n)s h")),
    (120, 60, gettext_noop("%(n)s min")),
    (0.1, 1, gettext_noop("%(n)s s")),
    (0, 0.001, gettext_noop("%(n)s ms")),
)
# An older reading is given with its time, and from a day on with its date.
_DATED_US = 60 * SECOND_US
_DAY_US = 86_400 * SECOND_US


def sentence(
    status: Status, facts: Facts, now_us: int, zone: tzinfo = timezone.utc
) -> str:
    """The state and its evidence, as js/evidence.js says it.

    “Late: last reading 22 s ago, one expected every 5 s (estimated). Connected.”
    """
    parts = [
        _("%(state)s: %(why)s.")
        % {"state": status.state.label, "why": _why(status, facts, now_us, zone)}
    ]
    if status.is_unsteady:
        parts.append(_("It is late again and again."))
    if status.state != State.DISABLED:
        parts.append(_link(facts, now_us))
    return " ".join(parts)


def _why(status: Status, facts: Facts, now_us: int, zone: tzinfo) -> str:
    if status.state == State.DISABLED:
        return _("it may not connect")
    if facts.last_reading_us is None:
        reading = _("no reading yet")
    else:
        reading = _("last reading %(ago)s") % {
            "ago": _ago(facts.last_reading_us, now_us, zone)
        }
    if status.state == State.PAUSED:
        return _("it is not judged, %(reading)s") % {"reading": reading}
    if facts.period_us is None:
        return reading
    text = (
        _("%(reading)s, one expected every %(period)s (estimated)")
        if facts.is_estimated
        else _("%(reading)s, one expected every %(period)s")
    )
    return text % {"reading": reading, "period": period_text(facts.period_us)}


def _link(facts: Facts, now_us: int) -> str:
    if facts.is_online:
        return _("Connected.")
    if facts.changed_us is None:
        return _("Not connected.")
    ago = _("%(age)s ago") % {"age": _age(now_us - facts.changed_us)}
    return _("Disconnected %(ago)s.") % {"ago": ago}


def _ago(moment_us: int, now_us: int, zone: tzinfo) -> str:
    ago = _("%(age)s ago") % {"age": _age(now_us - moment_us)}
    if now_us - moment_us < _DATED_US:
        return ago
    moment = datetime.fromtimestamp(0, timezone.utc) + timedelta(microseconds=moment_us)
    is_today = now_us - moment_us < _DAY_US
    shape = "%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S"
    return f"{ago} ({moment.astimezone(zone).strftime(shape)})"


def _age(us: int) -> str:
    """“0.3 s”, “22 s”, “9 min”, “3 h”, “2 d”."""
    seconds = max(0, us) / SECOND_US
    unit, text = next((unit, text) for least, unit, text in _AGES if seconds >= least)
    digits = f"{seconds:.1f}" if seconds < 9.95 else f"{seconds / unit:.0f}"
    return _(text) % {"n": digits}


def period_text(us: int) -> str:
    """“20 ms”, “0.5 s”, “15 min”, “1 h”: two digits are enough."""
    seconds = us / SECOND_US
    unit, text = next(
        (unit, text) for least, unit, text in _PERIODS if seconds >= least
    )
    count = seconds / unit
    return _(text) % {"n": f"{count:.0f}" if count >= 9.95 else f"{count:.2g}"}
