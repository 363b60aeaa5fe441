"""For comparison: readings as rows of an ordinary Django model. Needs Django.

Series, time and value with an index on (series, time): what one would write first.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import numpy as np
from django.db import connection, models
from django.db.models import Avg, Count, F, Func, Max, Min

from . import history_store as store
from . import shapes
from .history_store import START_US, Spent

ROWS_AT_ONCE = 1_000
SERIES = 100
POINTS = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Reading(models.Model):
    """One reading as one row."""

    series_id = models.IntegerField()
    time = models.DateTimeField()
    value = models.FloatField()

    objects: ClassVar[Any] = models.Manager()

    class Meta:
        app_label = "benchmarks"
        indexes: ClassVar = [models.Index(fields=["series_id", "time"])]

    def __str__(self) -> str:
        return f"{self.series_id} {self.time} {self.value}"


class Seconds(Func):
    """A moment as whole seconds since 1970."""

    output_field = models.BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "CAST(strftime('%%s', %(expressions)s) AS INTEGER)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint"
        return self.as_sql(compiler, connection, template=template, **context)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """job: rows (of one series, 1 Hz), arriving (of many at once, in turn), times."""
    with connection.schema_editor() as editor:
        editor.create_model(Reading)
    empty = store.whole_bytes()
    spent = Spent()
    values = shapes.REGULAR.readings(1, START_US, job["rows"])[1].tolist()
    with spent.measured():
        _insert(
            [(at, 1 + at % SERIES, at // SERIES) for at in range(job["arriving"])],
            values,
        )
    inserted = job["arriving"]
    _insert([(at, SERIES + 1, at) for at in range(job["rows"])], values)
    store.give_back()
    rows = inserted + job["rows"]
    return {
        "bytes_a_reading": (store.whole_bytes() - empty) / rows,
        "inserted_per_second": inserted / spent.seconds,
        "rows": rows,
        "asked": job["rows"],
        "sql_ms": _timed(_by_sql, job["rows"], job["times"]),
        "fetch_ms": _timed(_by_fetching, job["rows"], job["times"]),
        "peak_rss_bytes": store.peak_rss_bytes(),
    }


def _insert(rows: list[tuple[int, int, int]], values: list[float]) -> None:
    """Rows of (which value, series, second), ROWS_AT_ONCE in a transaction."""
    start = _moment(START_US)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        Reading.objects.bulk_create(
            Reading(
                series_id=series,
                time=start + timedelta(seconds=second),
                value=values[at % len(values)],
            )
            for at, series, second in rows[first : first + ROWS_AT_ONCE]
        )


def _timed(ask: Any, seconds: int, times: int) -> list[float]:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        ask(seconds)
        found.append((time.perf_counter() - began) * 1_000)
    return found


def _range(seconds: int) -> Any:
    start = _moment(START_US)
    return Reading.objects.filter(
        series_id=SERIES + 1,
        time__gte=start,
        time__lt=start + timedelta(seconds=seconds),
    )


def _by_sql(seconds: int) -> list[Any]:
    width = -(-seconds // POINTS)
    buckets = _range(seconds).annotate(bucket=Seconds(F("time")) / width)
    return list(
        buckets.values("bucket")
        .annotate(Min("value"), Max("value"), Avg("value"), Count("value"))
        .order_by("bucket")
    )


def _by_fetching(seconds: int) -> np.ndarray:
    width = -(-seconds // POINTS)
    rows = list(_range(seconds).order_by("time").values_list("time", "value"))
    slots = np.array([int(moment.timestamp()) for moment, _ in rows]) // width
    values = np.array([value for _, value in rows])
    starts = np.flatnonzero(np.diff(slots, prepend=-1))
    return np.stack(
        [reduce.reduceat(values, starts) for reduce in (np.minimum, np.maximum, np.add)]
    )


def _moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)
