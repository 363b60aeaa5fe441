"""The time column of a recording: which kind of time it is, by a stated rule.

Pure. The rule looks at one cell; every other cell must then be of the same kind:

- a date (`2016-02-15T00:30:00Z`, `2010/01/01 00:00`): ISO. Without a zone, the
  zone that the caller names;
- `0 days 00:00:01`, `01:13:10`: elapsed;
- a number from 0 below 946,684,800: elapsed seconds; from there below 10¹¹: epoch
  seconds; below 10¹⁴: epoch milliseconds; below 10¹⁷: µs; above: ns.
"""

from __future__ import annotations

import enum
import math
import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
# 2000-01-01 in epoch seconds: no recording that anybody replays is older.
FIRST_EPOCH_SECOND: Final = 946_684_800
MICROSECOND: Final = timedelta(microseconds=1)

_ISO = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?\Z"
)
_DURATION = re.compile(
    r"(?:(\d+) days?,? )?(\d+):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\Z"
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")


class TimeKind(enum.Enum):
    ISO = "iso"
    EPOCH_S = "epoch-s"
    EPOCH_MS = "epoch-ms"
    EPOCH_US = "epoch-us"
    EPOCH_NS = "epoch-ns"
    ELAPSED_S = "elapsed-s"
    ELAPSED_MS = "elapsed-ms"
    DURATION = "elapsed"

    @property
    def is_elapsed(self) -> bool:
        """Whether it counts from some start, not from the epoch."""
        return self in (TimeKind.ELAPSED_S, TimeKind.ELAPSED_MS, TimeKind.DURATION)


_US: Final = {
    TimeKind.EPOCH_S: 1_000_000.0,
    TimeKind.EPOCH_MS: 1_000.0,
    TimeKind.EPOCH_US: 1.0,
    TimeKind.EPOCH_NS: 0.001,
    TimeKind.ELAPSED_S: 1_000_000.0,
    TimeKind.ELAPSED_MS: 1_000.0,
}
EXPECTED: Final = {
    TimeKind.ISO: "a date and time such as 2016-02-15T00:30:00Z",
    TimeKind.DURATION: "elapsed time such as 01:13:10",
    TimeKind.EPOCH_S: "epoch seconds",
    TimeKind.EPOCH_MS: "epoch milliseconds",
    TimeKind.EPOCH_US: "epoch microseconds",
    TimeKind.EPOCH_NS: "epoch nanoseconds",
    TimeKind.ELAPSED_S: "elapsed seconds",
    TimeKind.ELAPSED_MS: "elapsed milliseconds",
}


def detect(cell: str) -> TimeKind:
    """The kind of time that `cell` is. Raises ValueError: expected, got."""
    cell = cell.strip()
    if _ISO.match(cell):
        return TimeKind.ISO
    if _DURATION.match(cell):
        return TimeKind.DURATION
    if _NUMBER.match(cell):
        number = float(cell)
        for kind, first, end in (
            (TimeKind.ELAPSED_S, 0.0, FIRST_EPOCH_SECOND),
            (TimeKind.EPOCH_S, FIRST_EPOCH_SECOND, 1e11),
            (TimeKind.EPOCH_MS, 1e11, 1e14),
            (TimeKind.EPOCH_US, 1e14, 1e17),
            (TimeKind.EPOCH_NS, 1e17, 1e20),
        ):
            if first <= number < end:
                return kind
    raise ValueError(
        f"expected {EXPECTED[TimeKind.ISO]}, epoch or elapsed time, got {_quoted(cell)}"
    )


def parse(kind: TimeKind, cell: str, zone: tzinfo) -> int:
    """`cell` in µs: since the epoch, or since the start where `kind.is_elapsed`.

    zone: that of a date without one. Raises ValueError: expected, got.
    """
    cell = cell.strip()
    parsed: int | None
    if kind is TimeKind.ISO:
        parsed = _iso_us(cell, zone)
    elif kind is TimeKind.DURATION:
        parsed = _duration_us(cell)
    else:
        parsed = _number_us(cell, _US[kind])
    if parsed is None:
        raise ValueError(f"expected {EXPECTED[kind]}, got {_quoted(cell)}")
    return parsed


def _number_us(cell: str, factor: float) -> int | None:
    if not _NUMBER.match(cell):
        return None
    us = float(cell) * factor
    # 10¹⁷ µs are the year 5138.
    return round(us) if math.isfinite(us) and abs(us) < 1e17 else None


def _iso_us(cell: str, zone: tzinfo) -> int | None:
    match = _ISO.match(cell)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    # Recorders write midnight at the end of a day as 24:00.
    is_end_of_day = hour == "24"
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            0 if is_end_of_day else int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=_offset(offset) if offset else zone,
        )
        if is_end_of_day:
            moment += timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return (moment - EPOCH) // MICROSECOND + _fraction_us(fraction)


def _duration_us(cell: str) -> int | None:
    match = _DURATION.match(cell)
    if match is None:
        return None
    days, hours, minutes, seconds, fraction = match.groups()
    whole = (
        int(days or 0) * 86_400
        + int(hours) * 3_600
        + int(minutes) * 60
        + int(seconds or 0)
    )
    return whole * 1_000_000 + _fraction_us(fraction)


def _fraction_us(fraction: str | None) -> int:
    return int((fraction or "").ljust(6, "0")[:6])


def _offset(text: str) -> timezone:
    if text in ("Z", "UTC"):
        return timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _quoted(cell: str) -> str:
    return f"“{cell[:60]}”"
