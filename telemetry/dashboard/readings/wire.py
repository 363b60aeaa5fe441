"""A read range as the JSON that charts load: columns, as short as they can be. Pure.

{from, to, width_ms, resolution, count, missing: [[series, from, to]…], series}: each
series is {times, values} where width_ms is null, else {starts, min, max, mean, count,
last}, and both with `before`: [time, value] of the last reading before the range. All
times are ms, UTC.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec
import numpy as np

from ...history.queries.buckets import Answer, SeriesBuckets
from ...history.tick import Floats, Int64s

# Of the range that a series' values have: finer is not seen in any chart.
MEAN_DIGITS = 7


def encode(answer: Answer, booleans: Container[int]) -> bytes:
    """The answer; of series in `booleans` the means are the share of time on."""
    body = {
        "from": _one_ms(answer.from_us),
        "to": _one_ms(answer.to_us),
        "width_ms": None if answer.width_us is None else _one_ms(answer.width_us),
        "resolution": answer.resolution_seconds,
        "count": answer.readings,
        "missing": [
            [gone.series, _one_ms(gone.start_us), _one_ms(gone.end_us)]
            for gone in answer.missing
        ],
        "series": {
            str(series): _columns(found, series in booleans)
            for series, found in answer.series.items()
            if _is_known(found)
        },
    }
    return msgspec.json.encode(body)


def _is_known(found: SeriesBuckets) -> bool:
    held = len(found.raw[0]) if found.raw is not None else len(found.summaries)
    return bool(held) or found.before is not None


def _columns(found: SeriesBuckets, is_boolean: bool) -> dict[str, Any]:
    before = found.before and [_one_ms(found.before[0]), found.before[1]]
    if found.raw is not None:
        times_us, values = found.raw
        return {"times": _ms(times_us), "values": short(values), "before": before}
    rows = found.summaries
    # A share is not bound by a bucket's readings: what was held before counts as well.
    means = (
        np.round(found.duty(), MEAN_DIGITS)
        if is_boolean
        else _rounded(rows.mean, rows.minimum, rows.maximum)
    )
    return {
        "starts": _ms(found.starts_us),
        "min": short(rows.minimum),
        "max": short(rows.maximum),
        "mean": short(means),
        "count": rows.count.tolist(),
        "last": [_one_ms(int(rows.last_us[-1])), float(rows.last[-1])]
        if len(rows)
        else before,
        "before": before,
    }


def _rounded(means: Floats, minima: Floats, maxima: Floats) -> Floats:
    """The means with as many digits as a chart of all these values can show."""
    if not len(means):
        return means
    with np.errstate(over="ignore"):
        spread = float(maxima.max() - minima.min())
    if not 1e-100 < spread < 1e100:
        return means
    decimals = MEAN_DIGITS - int(np.ceil(np.log10(spread)))
    rounded: Floats = np.clip(np.round(means, decimals), minima, maxima)
    return rounded


def short(values: Floats) -> list[int] | list[float]:
    """Whole numbers without “.0”, where all are."""
    if len(values) and (np.abs(values) < 1e15).all() and (values % 1 == 0).all():
        whole: list[int] = values.astype(np.int64).tolist()
        return whole
    floats: list[float] = values.tolist()
    return floats


def _one_ms(time_us: int) -> int | float:
    return time_us / 1000 if time_us % 1000 else time_us // 1000


def _ms(times_us: Int64s) -> list[int] | list[float]:
    """Milliseconds, as integers where all are whole: shorter, and the usual case."""
    if (times_us % 1000).any():
        fractions: list[float] = (times_us / 1000).tolist()
        return fractions
    whole: list[int] = (times_us // 1000).tolist()
    return whole
