"""A database whose readings are known, worked on by processes that get hurt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tests.history.arrivals import EXTREMES, Arrivals
from tests.history.model import Bucket, Model, Reading, pairs
from tests.history.rows import NOW_US

from .forks import Forks

SERIES = 6
DAY_US = 86_400_000_000
KILLS = 20
# Long enough for a busy machine, short enough to wait for after each kill.
LEASE_SECONDS = 0.3


class Prepared:
    """Series, what arrived of them, and the model of that."""

    def __init__(
        self,
        forks: Forks,
        seed: int,
        series: int = SERIES,
        step_us: int = 10_000,
        values: Sequence[float] | None = EXTREMES,
    ) -> None:
        self.forks = forks
        self.rng = random.Random(seed)
        self.series: list[int] = forks.run("set_up", series=series)
        self.arrivals = Arrivals(self.rng, self.series, step_us, values)
        self.model = Model()
        self.writer: int | None = None

    def feed(self, rows: int = 10, readings: int = 100) -> None:
        """Let more arrive: committed, folded and not sealed."""
        made = [self.arrivals.readings(readings) for _ in range(rows)]
        self.write(made)

    def write(self, rows: list[list[Reading]]) -> None:
        self.writer = self.forks.run("write", rows=rows, writer=self.writer)
        for row in rows:
            self.model.arrive(row)

    def seal(self, **arguments: Any) -> None:
        """A sealer that nobody hurts."""
        ended = self.forks.run("seal_all", **arguments)
        assert ended["end"] == "done", ended

    def assert_as_model(self) -> dict[str, Any]:
        """A fresh process reads what the model says; returns what there is of it."""
        found: dict[str, Any] = self.forks.run("read", series=self.series)
        for series in self.series:
            read = pairs(*found["readings"][str(series)])
            assert read == self.model.raw(series), f"series {series}"
        return found

    def assert_as_model_by_buckets(self) -> dict[str, Any]:
        """The same where some was thinned out: each reading is in one of the two."""
        found: dict[str, Any] = self.forks.run(
            "read_by_buckets",
            series=self.series,
            from_us=NOW_US - DAY_US,
            to_us=NOW_US + 9 * DAY_US,
        )
        for series in self.series:
            read = pairs(*found["readings"][str(series)])
            expected = self.model.raw(series)
            assert set(read) <= set(expected), f"series {series}"
            self.model.thin(series, set(read))
            assert read == self.model.raw(series), f"series {series}"
            buckets = {
                start_us: Bucket(*row)
                for start_us, *row in found["buckets"][str(series)]
            }
            assert buckets == self.model.buckets(series), f"series {series}"
        return found

    def assert_sealed(self) -> None:
        """All is in blocks, each reading once, and every block is as it says."""
        assert self.assert_as_model()["journal"] == 0
        assert self.forks.run("check_blocks", series=self.series) == []
        assert self.forks.run("stored", series=self.series) == sum(
            len(self.model.raw(series)) for series in self.series
        )
