"""Ranges of readings to buckets, and last values, as pages ask for them. Needs Django.

Each question is asked in a process of its own: first with nothing in memory, then
again and again. What the first one costs beside reading (opening the database,
building statements) is in its figure.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from telemetry.history.queries.buckets import read_buckets
from telemetry.history.watermarks import read_heads

from . import history_store as store
from . import shapes
from .history_store import START_US, Commits

DAY_SECONDS = 86_400
POINTS = 1_000
# 1 Hz for so long, of a few series for one day, and 0.1 Hz.
MONTH_DAYS, SOME_SERIES, YEAR_DAYS, YEAR_STEP_SECONDS = 30, 10, 365, 10
HEADS = 10_000
READINGS_A_PASS = 21_600

# (first series, how many, seconds) of each question about a range.
RANGES = {
    "month": (0, 1, MONTH_DAYS * DAY_SECONDS),
    "day": (1, SOME_SERIES, DAY_SECONDS),
    "year": (1 + SOME_SERIES, 1, YEAR_DAYS * DAY_SECONDS),
}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """job: kind `fill`; or `ask` with what, scale, ids and how often."""
    return _fill(job["scale"]) if job["kind"] == "fill" else _ask(**job["of"])


def _fill(scale: float) -> dict[str, Any]:
    """Everything that is asked for, `scale` times as long."""
    count = 2 + SOME_SERIES
    ids = store.make_series(max(count, int(HEADS * scale)))
    commits = Commits()
    readings = 0
    for first, several, seconds in RANGES.values():
        step, length = _steps(first, seconds, scale)
        made = [
            shapes.REGULAR.readings(first + at, START_US, length, step * 1_000_000)
            for at in range(several)
        ]
        some = ids[first : first + several]
        readings += several * length
        for start in range(0, length, READINGS_A_PASS):
            part = slice(start, start + READINGS_A_PASS)
            commits.write_rounds(
                some, [(each[0][part], each[1][part]) for each in made]
            )
            store.seal_all()
    # Of every series one more, before all ranges.
    times_us = np.full(len(ids), START_US - 1_000_000)
    commits.write(np.array(ids), times_us, np.full(len(ids), 21.5), fold=False)
    commits.fold_heads()
    store.seal_all()
    store.give_back()
    return {"ids": ids, "readings": readings}


def _steps(first: int, seconds: int, scale: float) -> tuple[int, int]:
    """Seconds between the readings of a question's series, and how many there are."""
    step = YEAR_STEP_SECONDS if first > SOME_SERIES else 1
    return step, int(seconds * scale / step)


def _ask(what: str, scale: float, ids: list[int], times: int) -> dict[str, Any]:
    """Ask `times` times; the milliseconds of each, and how much came back."""
    found_ms: list[float] = []
    size = readings = 0
    expected = len(ids)
    for _ in range(times):
        began = time.perf_counter()
        if what == "heads":
            size = readings = len(read_heads(ids))
        else:
            first, several, seconds = RANGES[what]
            expected = several * _steps(first, seconds, scale)[1]
            answer = read_buckets(
                ids[first : first + several],
                START_US,
                START_US + int(seconds * scale) * 1_000_000,
                POINTS,
                raw_if_few=False,
                # Minimum, maximum, mean and count, as a chart asks for them.
                with_area=False,
            )
            size = max(len(each.starts_us) for each in answer.series.values())
            readings = sum(
                int(each.summaries.count.sum()) for each in answer.series.values()
            )
        found_ms.append((time.perf_counter() - began) * 1_000)
        if readings != expected:
            raise SystemExit(f"{what}: expected {expected} readings, got {readings}")
    return {
        "ms": found_ms,
        "buckets": size,
        "readings": readings,
        "peak_rss_bytes": store.peak_rss_bytes(),
    }
