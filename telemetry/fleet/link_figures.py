"""The figures of a link check, of round trips in milliseconds. Pure.

The same definitions as in static/telemetry/js/link_figures.js; both are tested by
tests/golden/link_figures.json.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

# How the data rate is measured: one message to guess it by, then so many at once,
# of a size that should take about so long.
GUESS_BYTES = 8_192
BURST_MESSAGES = 16
BURST_MS = 1_500.0
LEAST_BYTES, MOST_BYTES = 2_048, 65_536

# Half of the round trips are below: what they are where. Documented in
# docs/howto/check-a-link.md.
LOCAL_MS, INTERNET_MS, MOBILE_MS = 10.0, 120.0, 400.0
# The slowest hundredth may be so many times the median, or so much above it.
STEADY_FACTOR, STEADY_MS = 4.0, 30.0


class Kind(str, Enum):
    """What kind of link has such round trips."""

    LOCAL = "local"
    INTERNET = "internet"
    MOBILE = "mobile"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a number of round trips says of a link."""

    round_trips: int
    p50_ms: float
    p99_ms: float
    jitter_ms: float
    kind: Kind
    is_steady: bool


def figures(round_trips_ms: Sequence[float]) -> Figures | None:
    """The figures of round trips in the order in which they were sent; None: none."""
    if not round_trips_ms:
        return None
    ordered = sorted(round_trips_ms)
    p50, p99 = percentile(ordered, 0.5), percentile(ordered, 0.99)
    return Figures(
        round_trips=len(ordered),
        p50_ms=p50,
        p99_ms=p99,
        jitter_ms=jitter(round_trips_ms),
        kind=kind_of(p50),
        is_steady=p99 <= max(STEADY_FACTOR * p50, p50 + STEADY_MS),
    )


def percentile(ordered: Sequence[float], part: float) -> float:
    """The least value that `part` (above 0, to 1) of all are not above.

    ordered: ascending, not empty. Always one of the values (the nearest rank), so
    with fewer than 100 of them p99 is the greatest.
    """
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def jitter(round_trips_ms: Sequence[float]) -> float:
    """By how much a round trip differs from the one before it, on average."""
    pairs = list(zip(round_trips_ms, round_trips_ms[1:], strict=False))
    return sum(abs(b - a) for a, b in pairs) / len(pairs) if pairs else 0.0


def kind_of(p50_ms: float) -> Kind:
    """Which kind of link usually has this median."""
    if p50_ms < LOCAL_MS:
        return Kind.LOCAL
    if p50_ms < INTERNET_MS:
        return Kind.INTERNET
    return Kind.MOBILE if p50_ms < MOBILE_MS else Kind.SLOW


def burst_bytes(guess_ms: float, p50_ms: float) -> int:
    """How long the messages of the burst should be.

    guess_ms: how long a message of GUESS_BYTES took there and back.
    """
    own_ms = max(0.1, guess_ms - p50_ms)
    fitting = GUESS_BYTES * BURST_MS / BURST_MESSAGES / own_ms
    return int(min(MOST_BYTES, max(LEAST_BYTES, fitting)))


def bits_per_second(size_bytes: int, span_ms: float) -> float:
    """The data rate of `size_bytes` that went there and came back in `span_ms`.

    The span includes a round trip: a fast link far away is faster than this says.
    """
    return size_bytes * 8_000 / max(0.1, span_ms)
