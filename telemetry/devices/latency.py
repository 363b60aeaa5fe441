"""Round trips counted in buckets that grow by a quarter, and their percentiles. Pure.

Bucket 0 holds what took up to 1 ms; each next one reaches 1.25 times as far. So a
percentile is right to within that factor, and a day of pings takes a few numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

STEP = 1.25
# It ends at 36 s; a ping that is not answered for 20 s ends the socket.
LAST = 47
# Where each bucket ends, itself included.
ENDS_MS = tuple(STEP**bucket for bucket in range(LAST + 1))


def bucket_of(round_trip_ms: float) -> int:
    """The bucket that a round trip is counted in; the last one takes all longer."""
    return min(bisect_left(ENDS_MS, round_trip_ms), LAST)


def add(counts: dict[int, int], more: Mapping[int, int]) -> None:
    """Count in `counts` what `more` has counted."""
    for bucket, count in more.items():
        counts[bucket] = counts.get(bucket, 0) + count


def percentile_ms(counts: Mapping[int, int], percent: int) -> float | None:
    """So many percent of the round trips took at most this long; None without any.

    Estimated within its bucket: as if what it holds were spread evenly.
    """
    rank = max(1, -(-percent * sum(counts.values()) // 100))
    before = 0
    for bucket in sorted(counts):
        count = counts[bucket]
        if count and rank <= before + count:
            start_ms = ENDS_MS[bucket - 1] if bucket else 0.0
            share = (rank - before - 0.5) / count
            return start_ms + share * (ENDS_MS[bucket] - start_ms)
        before += count
    return None
