"""Many readings → few points that keep every spike. Pure."""

from __future__ import annotations

import numpy as np

from .tick import Floats, Int64s


def thin(times_us: Int64s, values: Floats, points: int) -> tuple[Int64s, Floats]:
    """At most `points` readings: the lowest and the highest of each bucket.

    times_us: ascending. Real readings are kept, none is made up; the first and the
    last are always among them when points ≥ 4. Raises ValueError if points < 2.
    """
    if points < 2:
        raise ValueError(f"expected at least 2 points, got {points}")
    if len(times_us) <= points:
        return times_us, values
    has_ends = points >= 4
    buckets = (points - 2) // 2 if has_ends else points // 2
    width = max(1, -(-(int(times_us[-1]) - int(times_us[0]) + 1) // buckets))
    bucket = (times_us - times_us[0]) // width
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    # Sorted by (bucket, value), the ends of each bucket are its extremes.
    order = np.lexsort((values, bucket))
    stops = np.append(starts[1:], len(times_us)) - 1
    kept = np.concatenate([order[starts], order[stops]])
    if has_ends:
        kept = np.concatenate([kept, [0, len(times_us) - 1]])
    kept = np.unique(kept)
    return times_us[kept], values[kept]
