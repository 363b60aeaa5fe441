"""Clock arithmetic: milliseconds on the wire, microseconds within the hub.

All hub times are integers, µs since the Unix epoch, UTC.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from .limits import MIN_TIME_US

DAY_US = 86_400_000_000
# An uptime clock's offset is fixed anew only when it has moved by more than this.
ANCHOR_TOLERANCE_US = 2_000_000
# Beyond this two times of milliseconds no longer add up in int64 microseconds.
_CASTABLE_MS = 4.0e15
# What NaN and nonsense become: implausible, and so after any addition.
INVALID_US = -(1 << 62)


def now_us() -> int:
    """The hub's wall clock."""
    return time.time_ns() // 1000


def to_us(ms: float) -> int:
    """Milliseconds with a fraction → µs; NaN and what cannot be a time → INVALID_US."""
    if not -_CASTABLE_MS < ms < _CASTABLE_MS:
        return INVALID_US
    return round(ms * 1000)


def to_ms(us: int) -> float | int:
    """µs → milliseconds, an integer where there is no fraction."""
    ms, rest = divmod(us, 1000)
    return us / 1000 if rest else ms


def row_times_us(
    origin_us: int, offsets_ms: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Origin + each row's offset; an offset that cannot be a time: INVALID_US."""
    castable = np.abs(offsets_ms) < _CASTABLE_MS
    if castable.all():
        return np.rint(offsets_ms * 1000).astype(np.int64) + origin_us
    safe = np.where(castable, offsets_ms, 0.0)
    times = np.rint(safe * 1000).astype(np.int64) + origin_us
    return np.where(castable, times, INVALID_US)


def is_plausible(time_us: int, now: int, future_seconds: int) -> bool:
    """Whether a reading may have this time: from the year 2000 to a little ahead."""
    return MIN_TIME_US <= time_us <= now + future_seconds * 1_000_000


def anchor(uptime_ms: float, now: int, kept_offset_us: int | None) -> int:
    """The offset of an uptime clock at `hello`: hub time − uptime, in µs.

    The kept offset holds while the clock agrees with it to 2 s, so that a batch
    sent again gets the same times.
    """
    offset = now - to_us(uptime_ms)
    if kept_offset_us is None or abs(offset - kept_offset_us) > ANCHOR_TOLERANCE_US:
        return offset
    return kept_offset_us
