"""Ingest while the hub seals: the burst, half of it, and a rate that goes on.

A real hub, 1,000 devices with one series each, batches of 100. Beside the load the
journal is looked at every second.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from .databases import Database
from .ingest import Figures, Plan, run_load
from .processes import Hub, Usage, allow_many_sockets, usage

BATCH = 100
LOOK_SECONDS = 1.0
WARMUP_SECONDS = 3.0
# A saw: it fills up to a pass and is emptied. Grown is what holds this much more.
GROWN = 1.25

JOURNAL = "SELECT COALESCE(SUM(count), 0) FROM telemetry_journal"
BLOCKS = (
    "SELECT COALESCE(SUM(count), 0), COUNT(*) FROM telemetry_block"
    " WHERE resolution_seconds = 0"
)


@dataclass(frozen=True)
class Look:
    """The hub at one moment of a load."""

    seconds: float
    journal_readings: int
    sealed_readings: int
    database_bytes: int
    usage: Usage


@dataclass
class Watched:
    """What was seen during a load."""

    looks: list[Look] = field(default_factory=list)

    @property
    def peak_rss_bytes(self) -> int:
        return max(look.usage.rss_kib for look in self.looks) * 1_024

    @property
    def has_grown(self) -> bool:
        """Whether the journal held more in the second half than in the first."""
        half = len(self.looks) // 2
        first, second = (
            fmean([look.journal_readings for look in looks] or [0])
            for looks in (self.looks[:half], self.looks[half:])
        )
        return second > GROWN * first

    def rows(self, count: int = 10) -> list[tuple[str, ...]]:
        """Some of the looks for a table, the last among them."""
        step = max(1, len(self.looks) // count)
        return [
            (
                f"{look.seconds:,.0f}",
                f"{look.journal_readings / 1e6:.2f}",
                f"{look.journal_readings * 20 / 1e6:,.0f}",
                f"{look.sealed_readings / 1e6:.1f}",
                f"{look.database_bytes / 1e6:,.0f}",
                f"{look.usage.rss_kib / 1024:,.0f}",
            )
            for look in self.looks[step - 1 :: step]
        ]


HEADER = ("s", "journal, M readings", "MB", "in blocks, M", "database, MB", "RSS, MiB")


@dataclass(frozen=True)
class Found:
    """All loads of one hub."""

    burst: Figures
    half: Figures
    sustained: Figures
    watched: dict[str, Watched]
    acked: int
    stored: int


def measure(
    running: Hub, database: Database, devices: int, seconds: dict[str, float], rate: int
) -> Found:
    """Put `burst`, `half` and `sustained` loads (so many seconds) on a hub."""
    allow_many_sockets(devices)
    job: dict[str, Any] = {
        "url": running.device_url,
        "keys": running.create_devices(devices, "bench"),
        "batch": BATCH,
    }
    watched: dict[str, Watched] = {}

    def load(name: str, readings_per_second: float | None) -> Figures:
        plan = Plan(devices, 0, seconds[name], WARMUP_SECONDS, 1)
        paced = readings_per_second and readings_per_second / BATCH
        with _watched(running, database) as watched[name]:
            return run_load(
                name, running.pid, plan, {**job, "frames_per_second": paced}
            )

    burst = load("burst", None)
    half = load("half", burst.readings_per_second / 2)
    sustained = load("sustained", rate)
    acked = sum(each.acked for each in (burst, half, sustained))
    return Found(burst, half, sustained, watched, acked, running.stored(database.query))


@contextmanager
def _watched(running: Hub, database: Database) -> Iterator[Watched]:
    """Look at the hub every second while the body runs."""
    seen, has_ended = Watched(), threading.Event()
    began = usage(running.pid).at

    def look() -> None:
        while not has_ended.wait(LOOK_SECONDS):
            ((sealed, _blocks),) = database.query(BLOCKS)
            ((journal,),) = database.query(JOURNAL)
            now = usage(running.pid)
            size = database.size_bytes()
            seen.looks.append(
                Look(now.at - began, int(journal), int(sealed), size, now)
            )

    thread = threading.Thread(target=look, name="look", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        has_ended.set()
        thread.join()
