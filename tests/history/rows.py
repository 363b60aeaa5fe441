"""Commits for tests of the history: columns from plain tuples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from telemetry.history.journal import Gathered, Mark, Row, SessionKey
from telemetry.history.tick import Columns, sort_columns

NOW_US = 1_795_341_600_000_000
Reading = tuple[int, int, float]


def gathered(
    readings: Iterable[Reading] = (),
    *,
    texts: Iterable[tuple[int, int, str]] = (),
    marks: Mapping[SessionKey, Mark] | None = None,
) -> Gathered:
    """(series, time µs, value) as a commit gathers them, in this order."""
    made = Gathered(texts=list(texts), marks=dict(marks or {}))
    for series, time_us, value in readings:
        made.series.append(series)
        made.times_us.append(time_us)
        made.values.append(value)
    return made


def write(
    writer: int, number: int, *readings: Reading, received_us: int = NOW_US, **more
) -> Row:
    """Commit one row to the journal."""
    row = Row(writer, number, received_us, gathered(readings, **more))
    row.write()
    return row


def columns_of(readings: Iterable[Reading]) -> Columns:
    """(series, time µs, value) by (series, time)."""
    rows = list(readings)
    return sort_columns(
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
    )


def bits(values: Iterable[float]) -> list[int]:
    """The bits of floats: 0.0 and −0.0 differ, and NaN equals itself."""
    return np.array(list(values), np.float64).view(np.int64).tolist()
