"""What the parts of the history benchmark share: readings go in as in the product.

Readings become journal rows of a writer, as a commit would write them; the sealer
turns the rows into blocks; free pages go back to the disk. Needs Django.
"""

from __future__ import annotations

import resource
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from django.utils import timezone

from telemetry.devices.models import Device, Series
from telemetry.history import keeper, lease, seal, space, watermarks
from telemetry.history.journal import Gathered, Row, open_writer
from telemetry.history.models import Block, Journal, Writer

from .shapes import Floats, Int64s, Readings

# As the product's commits: TELEMETRY_COMMIT_READINGS.
COMMIT_READINGS = 20_000
# As the product's passes: TELEMETRY_SEAL_READINGS.
SEAL_READINGS = 1_000_000
SERIES_A_DEVICE = 200
# Readings begin here: 2026-01-01, UTC, at the start of a 5-minute bucket.
START_US = 1_767_225_600_000_000
MICRO = 1_000_000


@dataclass
class Spent:
    """Time that something took: by the clock, and of this process on a core."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add what the body takes."""
        began, cpu_began = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu_began


def make_series(count: int) -> list[int]:
    """New series of some devices; their ids, ascending."""
    devices = Device.objects.bulk_create(
        Device(slug=f"bench-{at}", name=f"Bench {at}")
        for at in range(-(-count // SERIES_A_DEVICE))
    )
    Series.objects.bulk_create(
        (
            Series(device=devices[at // SERIES_A_DEVICE], name=f"m{at}")
            for at in range(count)
        ),
        batch_size=2_000,
    )
    return list(Series.objects.order_by("id").values_list("id", flat=True))[-count:]


class Commits:
    """A writer whose rows hold readings in the order given, and are folded."""

    def __init__(self) -> None:
        self._writer: int = open_writer(_now_us()).id
        self._number = 0

    def write(
        self, series: np.ndarray, times_us: Int64s, values: Floats, fold: bool = True
    ) -> None:
        """Commit readings, COMMIT_READINGS at once; fold says that they may be sealed.

        Their last values are left out: see `fold_heads`.
        """
        for start in range(0, len(series), COMMIT_READINGS):
            stop = start + COMMIT_READINGS
            self._number += 1
            gathered = Gathered(
                _array("i", series[start:stop].astype(np.int32)),
                _array("q", times_us[start:stop]),
                _array("d", values[start:stop]),
            )
            Row(self._writer, self._number, _now_us(), gathered).write()
        if fold:
            self._rows().update(folded_to=self._number, heartbeat_at=timezone.now())

    def write_rounds(self, ids: Sequence[int], readings: Sequence[Readings]) -> None:
        """Commit some series' readings, as many of each, as they would arrive."""
        times_us = np.stack([each[0] for each in readings], axis=1).ravel()
        values = np.stack([each[1] for each in readings], axis=1).ravel()
        series = np.tile(np.array(ids, np.int32), len(readings[0][0]))
        self.write(series, times_us, values)

    def fold_heads(self) -> None:
        """Write the last values of what is in the journal and not folded yet."""
        watermarks.fold_for(self._rows().get(), _now_us(), 8)
        self._rows().update(folded_to=self._number)

    def _rows(self) -> Any:
        return Writer.objects.filter(id=self._writer)


def seal_all(spent: Spent | None = None, most_readings: int = SEAL_READINGS) -> int:
    """Seal until the journal has nothing more; how many readings that were."""
    spent = spent or Spent()
    readings = 0
    with spent.measured(), lease.claimed() as held:
        if held is None:
            raise SystemExit("expected the lease to be free, got another holder")
        while (sealed := seal.seal_pass(held, most_readings)).readings:
            readings += sealed.readings
    return readings


def is_sqlite() -> bool:
    return bool(connection.vendor == "sqlite")


def give_back() -> None:
    """Free pages go back to the disk, and the write-ahead log into the file."""
    with connection.cursor() as cursor:
        if is_sqlite():
            # Through execute() it would free a single page.
            connection.connection.executescript("PRAGMA incremental_vacuum")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            for model in (Block, Journal, Writer):
                cursor.execute(f'VACUUM "{model._meta.db_table}"')
            cursor.execute("CHECKPOINT")


def keep_house() -> None:
    """What the product does after a pass, so that PostgreSQL's tables do not grow."""
    if is_sqlite():
        return
    with connection.cursor() as cursor:
        # What is dead is told once a second, and passes here follow each other at once.
        cursor.execute("SELECT pg_stat_force_next_flush()")
    space.give_back(keeper.PAGES)


def whole_bytes() -> int:
    """The whole database: SQLite's file and log, or all of PostgreSQL's."""
    if not is_sqlite():
        return _scalar("SELECT pg_database_size(current_database())")
    name = str(settings.DATABASES["default"]["NAME"])
    files = (Path(name), Path(f"{name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def table_bytes() -> int:
    """Blocks and journal with their indexes, on PostgreSQL."""
    tables = " + ".join(
        f"pg_total_relation_size('{model._meta.db_table}')"
        for model in (Block, Journal)
    )
    return _scalar(f"SELECT {tables}")


def peak_rss_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


def _scalar(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _array(kind: str, column: np.ndarray) -> Any:
    made = array(kind)
    made.frombytes(np.ascontiguousarray(column).tobytes())
    return made


def _now_us() -> int:
    return time.time_ns() // 1_000
