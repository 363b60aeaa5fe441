"""Sealing in steady state, a large slow fleet, and a backlog. Needs Django.

A pass is sealing alone: the journal's rows are written before the clock runs. Before
the passes that count, each series gets readings of a random number, so that series
are at different places of their block, and then some passes like those measured.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from telemetry.history.models import Block

from . import history_store as store
from . import shapes
from .history_store import START_US, Commits, Spent

BASE_READINGS = 1 << 20
# Before the passes, a series has at most so many.
MOST_BEFORE = 2_048
PREPARED_AT_ONCE = 2_000_000
BACKLOG_READINGS_AT_ONCE = 200_000


class Fleet:
    """Series with 2 decimals at a steady rate, each at its own phase."""

    def __init__(self, count: int, step_us: int) -> None:
        self.ids = np.array(store.make_series(count), np.int32)
        self._step_us = step_us
        self._values = shapes.REGULAR.readings(1, START_US, BASE_READINGS)[1]
        self._phase_us = np.arange(count) * 37_000 % step_us
        self._from = np.random.default_rng(2).integers(0, BASE_READINGS, count)
        self._done = np.zeros(count, np.int64)
        self._commits = Commits()

    def send(self, counts: np.ndarray) -> None:
        """Commit so many new readings of each series, in order of their times."""
        which = np.repeat(np.arange(len(counts)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        at = self._done[which] + np.arange(len(which)) - before
        times_us = START_US + self._phase_us[which] + at * self._step_us
        values = self._values[(self._from[which] + at) % BASE_READINGS]
        order = np.argsort(times_us, kind="stable")
        self._commits.write(self.ids[which][order], times_us[order], values[order])
        self._done += counts

    def send_each(self, count: int) -> None:
        """Commit `count` new readings of every series."""
        self.send(np.full(len(self.ids), count, np.int64))

    def prepare(self, most: int) -> None:
        """Give each series a random number of readings, 1 to `most`, in blocks."""
        counts = np.random.default_rng(3).integers(1, most + 1, len(self.ids))
        at_once = max(1, PREPARED_AT_ONCE // most)
        for start in range(0, len(counts), at_once):
            some = np.zeros_like(counts)
            some[start : start + at_once] = counts[start : start + at_once]
            self.send(some)
            store.seal_all()


def run(job: dict[str, Any]) -> dict[str, Any]:
    """job: kind `steady` or `backlog`, and what those take."""
    found = _backlog(**job["of"]) if job["kind"] == "backlog" else _steady(**job["of"])
    return {**found, "peak_rss_bytes": store.peak_rss_bytes()}


def _steady(
    series: int, new: int, passes: int, warmup: int, step_us: int, most_before: int
) -> dict[str, Any]:
    """`passes` passes with `new` readings of each of `series` series in each."""
    fleet, spent, readings = Fleet(series, step_us), Spent(), 0
    fleet.prepare(most_before)
    for _ in range(warmup):
        fleet.send_each(new)
        store.seal_all()
    for _ in range(passes):
        fleet.send_each(new)
        readings += store.seal_all(spent)
    return {"readings": readings, **dataclasses.asdict(spent)}


def _backlog(series: int, readings: int) -> dict[str, Any]:
    """Drain `readings` of `series` series from the journal."""
    fleet, spent = Fleet(series, 1_000_000), Spent()
    each = max(1, BACKLOG_READINGS_AT_ONCE // series)
    for _ in range(max(1, readings // (each * series))):
        fleet.send_each(each)
    before = store.peak_rss_bytes()
    sealed = store.seal_all(spent)
    return {
        "readings": sealed,
        "rss_before_bytes": before,
        "blocks": Block.objects.count(),
        **dataclasses.asdict(spent),
    }
