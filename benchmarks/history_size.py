"""How many bytes a reading takes on disk, of the whole database. Needs Django.

Readings come in and are sealed as time passes, an hour of a series (or 2 million
readings) at once; then free pages go back to the disk, and the file is measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Length

from telemetry.history.models import Block, Journal

from . import history_store as store
from . import shapes
from .history_store import START_US, Commits, Spent
from .shapes import Readings

READINGS_A_PASS = 3_600
SHORT_READINGS_A_PASS = 600
SHOWN_SERIES = 20
SHORTEST, LONGEST = 500, 4_000


def run(job: dict[str, Any]) -> dict[str, Any]:
    """job: kind `shape`, `real`, `short` or `bloat`, and what those take."""
    empty = store.whole_bytes()
    spent = Spent()
    of = job["of"]
    if job["kind"] == "shape":
        shape = shapes.SHAPES[of["shape"]]
        _fill([shape.readings(1, START_US, of["readings"])], spent)
    elif job["kind"] == "real":
        _fill_set(shapes.real_sets()[of["name"]], of["readings"], spent)
    elif job["kind"] == "short":
        _fill_short(shapes.SHAPES[of["shape"]], of["series"], spent)
    else:
        return _bloat(**of)
    store.give_back()
    if Journal.objects.exists():
        raise SystemExit("expected an empty journal, got rows that were not sealed")
    found = Block.objects.aggregate(
        readings=Sum("count"), packed_bytes=Sum(Length("data"))
    )
    return {
        **found,
        "packed_a_series": _packed_a_series(),
        "blocks": Block.objects.count(),
        "whole_bytes": store.whole_bytes(),
        "empty_bytes": empty,
        "seconds": spent.seconds,
    }


def _packed_a_series() -> list[float]:
    """Packed bytes a reading of each of the first series."""
    rows = Block.objects.values("series_id").order_by("series_id")[:SHOWN_SERIES]
    found = rows.annotate(bytes=Sum(Length("data")), readings=Sum("count"))
    return [row["bytes"] / row["readings"] for row in found]


def _fill_set(series: dict[str, Readings], count: int, spent: Spent) -> None:
    """The series of a set, each repeated, so that there are `count` in all."""
    each = count // len(series)
    _fill([shapes.repeated(readings, each) for readings in series.values()], spent)


def _fill(series: list[Readings], spent: Spent) -> None:
    """Commit and seal an hour (at 1 Hz) of each of some equally long series."""
    ids = store.make_series(len(series))
    commits = Commits()
    for start in range(0, len(series[0][0]), READINGS_A_PASS):
        part = slice(start, start + READINGS_A_PASS)
        commits.write_rounds(ids, [(each[0][part], each[1][part]) for each in series])
        store.seal_all(spent)
        store.keep_house()


def _fill_short(shape: shapes.Shape, count: int, spent: Spent) -> None:
    ids = np.array(store.make_series(count))
    lengths = np.random.default_rng(5).integers(SHORTEST, LONGEST + 1, count)
    readings = [
        shape.readings(seed, START_US, int(length))
        for seed, length in enumerate(lengths)
    ]
    commits = Commits()
    for start in range(0, LONGEST, SHORT_READINGS_A_PASS):
        part = slice(start, start + SHORT_READINGS_A_PASS)
        times_us = np.concatenate([each[0][part] for each in readings])
        values = np.concatenate([each[1][part] for each in readings])
        series = np.repeat(ids, [len(each[0][part]) for each in readings])
        order = np.argsort(times_us, kind="stable")
        commits.write(series[order], times_us[order], values[order])
        store.seal_all(spent)
        store.keep_house()


def _bloat(series: int, new: int, passes: int) -> dict[str, Any]:
    """An hour of sealing: blocks and journal, then what a full vacuum leaves."""
    ids = store.make_series(series)
    readings = [
        shapes.REGULAR.readings(seed, START_US, new * passes) for seed in range(series)
    ]
    commits = Commits()
    most = 0
    for start in range(0, new * passes, new):
        part = slice(start, start + new)
        commits.write_rounds(ids, [(each[0][part], each[1][part]) for each in readings])
        store.seal_all()
        store.keep_house()
        most = max(most, store.table_bytes())
    after = store.table_bytes()
    with connection.cursor() as cursor:
        for model in (Block, Journal):
            cursor.execute(f'VACUUM FULL "{model._meta.db_table}"')
    return {
        "readings": series * new * passes,
        "most_bytes": most,
        "after_bytes": after,
        "full_vacuum_bytes": store.table_bytes(),
    }
