"""Moments as people and files write them ↔ µs since the epoch. Pure.

What is written is always ISO 8601, UTC, with six digits: `2026-11-22T16:05:00.000000Z`.
What is read may have any zone, but has one: a local time without a zone names a
different moment for each reader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import numpy as np

from ..tick import Int64s

EXPECTED = "a time such as 2026-11-22T16:05:00Z"
# Longer than any moment: what is longer is not looked at.
MOST_CHARACTERS = 40

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?"
    # A plus that came through an address unquoted has become a space.
    r" ?(?:([Zz])|([+ -])(\d\d):?(\d\d)?)",
    re.ASCII,
)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def parse(text: str) -> int:
    """An ISO 8601 date and time with a zone (or Z) as µs since the epoch, UTC.

    Finer than a µs is cut off. Raises ValueError with a sentence.
    """
    found = _ISO.fullmatch(text.strip()) if len(text) <= MOST_CHARACTERS else None
    if found is None:
        raise ValueError(f"expected {EXPECTED}, with a zone or Z")
    date, minutes, seconds, fraction, _zulu, sign, hours, rest = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}+00:00")
    except ValueError as error:
        raise ValueError(f"expected {EXPECTED}: {error}") from None
    us = (moment - _EPOCH) // _MICROSECOND + int((fraction or "0").ljust(6, "0")[:6])
    if hours is None:
        return us
    if int(hours) > 23 or int(rest or 0) > 59:
        raise ValueError("expected a zone from -23:59 to +23:59")
    offset_us = (int(hours) * 60 + int(rest or 0)) * 60_000_000
    return us + offset_us if sign == "-" else us - offset_us


def parse_all(texts: Sequence[str], invalid_us: int) -> Int64s:
    """`parse` of each; `invalid_us` where a text is none.

    What this module has written is read in one go.
    """
    if texts and all(map(_WRITTEN.fullmatch, texts)):
        try:
            written = np.array([text[:26] for text in texts], "datetime64[us]")
        except ValueError:
            pass
        else:
            return written.astype(np.int64)
    return np.fromiter((_or(text, invalid_us) for text in texts), np.int64, len(texts))


def _or(text: str, invalid_us: int) -> int:
    try:
        return parse(text)
    except ValueError:
        return invalid_us


def write(time_us: int) -> str:
    """µs since the epoch (years 1 to 9999) as ISO 8601, always with six digits."""
    return write_all(np.array([time_us], np.int64))[0]


def write_all(times_us: Int64s) -> list[str]:
    """`write` of each."""
    texts = np.datetime_as_string(times_us.view("datetime64[us]"), "us")
    written: list[str] = np.strings.add(texts, "Z").tolist()
    return written


_RELATIVE = re.compile(r"now(?:([+ -])(\d{1,9})([smhdw]))?", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MS = re.compile(r"-?\d{1,15}(?:\.\d{1,3})?", re.ASCII)
ASKED = (
    "a time such as 2026-11-22T16:05:00Z, milliseconds since 1970, now or now-6h "
    "(s, m, h, d, w)"
)


def parse_asked(text: str, now_us: int) -> int:
    """A moment as people ask for it, in µs: ISO 8601, milliseconds, or from now on.

    A day is 24 hours, a week seven of them. Raises ValueError with a sentence.
    """
    text = text.strip()
    if text[:3] == "now" and (found := _RELATIVE.fullmatch(text)):
        sign, count, unit = found.groups()
        if count is None:
            return now_us
        us = int(count) * _UNIT_SECONDS[unit] * 1_000_000
        return now_us - us if sign == "-" else now_us + us
    if _MS.fullmatch(text):
        whole, _point, fraction = text.partition(".")
        us = int(whole) * 1000
        rest = int(fraction.ljust(3, "0") or 0)
        return us - rest if text[0] == "-" else us + rest
    try:
        return parse(text)
    except ValueError:
        raise ValueError(f"expected {ASKED}") from None
