"""Readings from a file on their way in: what a file says, and what of it is good.

A file is read in slices of some thousand lines, by the series that they name. Here
each line is held against its series, as a device's message is at the door: what
cannot be stored is refused with its line, a reason and a sentence, the rest goes on.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...devices.models import Kind
from ...protocol import names
from ...protocol.clock import INVALID_US
from ...protocol.errors import quoted
from ...protocol.limits import MAX_SAFE_INTEGER, MIN_TIME_US
from ..raw_from import RawFrom
from ..tick import Floats, Int64s
from . import moments

# At most this many refused lines are listed; all are counted.
LISTED = 20
# The same words as at the doors (ingest.batch), which stand above this room.
UNKNOWN_METRIC = "unknown_metric"
# Of a command's files alone: at the doors the key says whose a reading is.
UNKNOWN_DEVICE = "unknown_device"
BAD_TYPE = "bad_type"
BAD_TIME = "bad_time"
TOO_LONG = "too_long"
BAD_REQUEST = "bad_request"

_BOOLEANS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
Bools = npt.NDArray[np.bool_]


class BadFile(Exception):
    """No line of the file can be read: a sentence says what was expected."""


class TooLong(BadFile):
    """The file holds, or opens to, more than is allowed."""


class Key(NamedTuple):
    """What a line says of its series; nothing (`""`) where the file is silent."""

    device: str
    metric: str
    kind: str
    unit: str


@dataclass(frozen=True, slots=True)
class Refused:
    """One line that is not stored. line: counted from 1, the header included."""

    line: int
    reason: str
    message: str


@dataclass(slots=True)
class Refusals:
    """Lines that are not stored: the first few of the file listed, all counted."""

    listed: list[Refused] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.reasons.values())

    def add(self, line: int, reason: str, message: str) -> None:
        """Note a line."""
        self.add_all([line], reason, lambda at: message, 1)

    def add_all(
        self,
        lines: Sequence[int],
        reason: str,
        message: Callable[[int], str],
        count: int,
    ) -> None:
        """Note `count` lines, of which `lines` (ascending) are the first LISTED.

        Messages, by place in `lines`, are made for those that are listed.
        """
        self.reasons[reason] = self.reasons.get(reason, 0) + count
        for at, line in enumerate(lines[:LISTED]):
            if not self._is_among_first(line):
                return
            self._list(Refused(line, reason, message(at)))

    def merge(self, other: Refusals) -> None:
        """Take over what `other` has noted."""
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        for each in other.listed:
            if self._is_among_first(each.line):
                self._list(each)

    def _is_among_first(self, line: int) -> bool:
        return len(self.listed) < LISTED or line < self.listed[-1].line

    def _list(self, refused: Refused) -> None:
        # Lines come by series, so not in the order of the file.
        bisect.insort(self.listed, refused, key=lambda each: each.line)
        del self.listed[LISTED:]


@dataclass(slots=True)
class Part:
    """Lines of one series, in their order. All columns have one length.

    times_us: INVALID_US where there was none. moments: what came as times, if that
    was text. values: as text, or as numbers (NaN where there was none).
    """

    key: Key
    lines: Sequence[int]
    times_us: Int64s
    moments: Sequence[str] | None
    values: list[str] | Floats

    @property
    def kind(self) -> str:
        """What the series is, as the file says or its first value shows."""
        if self.key.kind:
            return self.key.kind
        if not isinstance(self.values, list):
            return Kind.NUMBER.value
        first = self.values[0].strip().casefold()
        if first in ("true", "false"):
            return Kind.BOOLEAN.value
        return Kind.TEXT.value if math.isnan(_number(first)) else Kind.NUMBER.value


@dataclass(slots=True)
class Slice:
    """What some lines hold, and which of them are none at all."""

    parts: list[Part] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)

    def refuse(self, line: int, message: str) -> None:
        self.refusals.add(line, BAD_REQUEST, message)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a reading may be. latest_us: the latest time, µs since the epoch."""

    latest_us: int
    raw_from: RawFrom
    text_characters: int


@dataclass(frozen=True, slots=True)
class Target:
    """The series that lines go to."""

    id: int
    kind: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Readings of one series that are good: numbers, or texts."""

    series: int
    times_us: Int64s
    values: Floats
    texts: list[tuple[int, int, str]]

    def __len__(self) -> int:
        return len(self.times_us) + len(self.texts)


def wrong_name(key: Key) -> str | None:
    """Why no series can be made for these lines, whatever is allowed; or None."""
    if not names.is_metric_name(key.metric):
        return (
            "expected a metric's name (a letter, then up to 63 letters, digits or "
            f"_ . : / -), got {quoted(key.metric)}"
        )
    if key.kind and key.kind not in Kind.values:
        return f"expected the kind {', '.join(Kind.values)}, got {quoted(key.kind)}"
    return None


def refuse_all(part: Part, refusals: Refusals, reason: str, message: str) -> None:
    """Refuse every line of a part for one reason."""
    refusals.add_all(part.lines, reason, lambda at: message, len(part.lines))


def check(part: Part, target: Target, bounds: Bounds, refusals: Refusals) -> Accepted:
    """Which readings of a part its series can store; the others are noted."""
    if part.key.kind and part.key.kind != target.kind:
        message = f"expected values of kind {target.kind}, got kind {part.key.kind}"
        refuse_all(part, refusals, BAD_TYPE, message)
        return _accepted(target, part, np.zeros(len(part.lines), np.bool_))
    is_good = _are_good_times(part, target, bounds, refusals)
    if target.kind == Kind.TEXT:
        return _texts(part, target, bounds, is_good, refusals)
    values, is_value = _numbers(part, target.kind)
    _refuse(
        refusals,
        part,
        is_good & ~is_value,
        BAD_TYPE,
        lambda at: f"expected {_EXPECTED[target.kind]}, got {_came(part, at)}",
    )
    return _accepted(target, part, is_good & is_value, values)


_EXPECTED = {
    Kind.NUMBER.value: "a finite number",
    Kind.BOOLEAN.value: "true or false",
    Kind.TEXT.value: "a text",
}


def _accepted(
    target: Target, part: Part, is_good: Bools, values: Floats | None = None
) -> Accepted:
    if values is None:
        values = np.zeros(len(is_good))
    return Accepted(target.id, part.times_us[is_good], values[is_good], [])


def _are_good_times(
    part: Part, target: Target, bounds: Bounds, refusals: Refusals
) -> Bools:
    times_us = part.times_us
    is_plausible: Bools = (times_us >= MIN_TIME_US) & (times_us <= bounds.latest_us)

    def expected(at: int) -> str:
        is_none = times_us[at] == INVALID_US
        if part.moments is not None:
            came = part.moments[at]
        else:
            came = "" if is_none else moments.write(int(times_us[at]))
        if is_none:
            return f"expected {moments.EXPECTED}, with a zone or Z, got {quoted(came)}"
        return (
            f"expected a time from the year 2000 to {moments.write(bounds.latest_us)}, "
            f"got {quoted(came)}"
        )

    _refuse(refusals, part, ~is_plausible, BAD_TIME, expected)
    series = np.full(len(times_us), target.id, np.int64)
    is_old = is_plausible & bounds.raw_from.too_old(series, times_us)
    if is_old.any():
        raw_from_us = bounds.raw_from.floor_of([target.id])
        message = (
            f"expected a time from {moments.write(raw_from_us)} on, before which this "
            "series keeps summaries alone"
        )
        _refuse(refusals, part, is_old, BAD_TIME, lambda at: message)
    return is_plausible & ~is_old


def _refuse(
    refusals: Refusals,
    part: Part,
    is_bad: Bools,
    reason: str,
    message: Callable[[int], str],
) -> None:
    """Note the lines of a part that are bad; messages are made for those listed."""
    bad = np.flatnonzero(is_bad).tolist()
    if bad:
        first = [part.lines[at] for at in bad[:LISTED]]
        refusals.add_all(first, reason, lambda at: message(bad[at]), len(bad))


def _texts(
    part: Part, target: Target, bounds: Bounds, is_good: Bools, refusals: Refusals
) -> Accepted:
    if not isinstance(part.values, list):
        _refuse(
            refusals,
            part,
            is_good,
            BAD_TYPE,
            lambda at: f"expected a text, got {_came(part, at)}",
        )
        return _accepted(target, part, np.zeros(len(is_good), np.bool_))
    is_text = np.array([_is_text(value) for value in part.values], np.bool_)
    is_short = np.array(
        [len(value) <= bounds.text_characters for value in part.values], np.bool_
    )
    _refuse(
        refusals,
        part,
        is_good & ~is_text,
        BAD_TYPE,
        lambda at: f"expected a text in UTF-8 without NUL, got {_came(part, at)}",
    )
    most = bounds.text_characters
    _refuse(
        refusals,
        part,
        is_good & is_text & ~is_short,
        TOO_LONG,
        lambda at: f"expected at most {most} characters, got {_came(part, at)}",
    )
    texts = [
        (target.id, int(part.times_us[at]), part.values[at])
        for at in np.flatnonzero(is_good & is_text & is_short).tolist()
    ]
    nothing = np.zeros(0)
    return Accepted(target.id, nothing.astype(np.int64), nothing, texts)


def _is_text(value: str) -> bool:
    if value.isascii():
        return "\0" not in value
    # A lone surrogate stands for a byte that is no UTF-8.
    return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def _numbers(part: Part, kind: str) -> tuple[Floats, Bools]:
    """Values as numbers, and which of them are some that a series may hold."""
    if isinstance(part.values, list):
        if kind == Kind.BOOLEAN:
            cells = (_BOOLEANS.get(v.strip().casefold(), math.nan) for v in part.values)
            values = np.fromiter(cells, np.float64, len(part.values))
        else:
            values = _parsed(part.values)
    else:
        values = part.values
        if kind == Kind.BOOLEAN:
            values = np.where((values == 0) | (values == 1), values, math.nan)
    return values, np.isfinite(values)


def _parsed(cells: list[str]) -> Floats:
    """Numbers of texts; NaN where a text is none."""
    joined = "".join(cells)
    if joined.isascii() and "_" not in joined:
        try:
            values = np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            pass
        else:
            # Above it a whole number may have lost its last digits.
            if (np.abs(values) < MAX_SAFE_INTEGER).all():
                return values
    return np.fromiter(map(_number, cells), np.float64, len(cells))


def _number(cell: str) -> float:
    """A text as a number; NaN if it is none, or whole and beyond ±2⁵³."""
    try:
        value = float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        return math.nan
    if not math.isfinite(value) or abs(value) < MAX_SAFE_INTEGER:
        return value
    if cell.strip().lstrip("+-").isdigit():
        return value if abs(int(cell)) <= MAX_SAFE_INTEGER else math.nan
    return value


def _came(part: Part, at: int) -> str:
    value = part.values[at]
    return quoted(value) if isinstance(value, str) else quoted(repr(float(value)))
