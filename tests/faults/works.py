"""What the children of forks.py do: one function a piece of work, JSON in and out."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.models import Sum

from telemetry.devices.models import Device, Series
from telemetry.history import (
    blocks,
    journal,
    keeper,
    late,
    lease,
    rounds,
    seal,
    space,
    summary,
    watermarks,
)
from telemetry.history.heads import Heads
from telemetry.history.keeping import retention
from telemetry.history.lease import Held, LeaseLost
from telemetry.history.models import Block, Fault, Journal, Lease, Writer
from telemetry.history.queries.buckets import read_buckets
from telemetry.history.queries.query import read_sync
from telemetry.history.room import Room
from tests.history.model import BUCKET_US
from tests.history.rows import gathered

FOREVER = (-(2**62), 2**62)
# How long a claim is tried for: far longer than any lease here.
PATIENCE_SECONDS = 30.0

Readings = list[tuple[int, int, float]]
# The columns of a block that say what is in it, in the order of Summaries' fields.
SUMMARY = (
    *("start_us", "end_us", "count", "minimum", "maximum", "sum"),
    *("first", "last", "increase", "integral"),
)


# --- the database -------------------------------------------------------------------


def set_up(series: int) -> list[int]:
    """The tables, and so many series; their ids."""
    call_command("migrate", verbosity=0)
    device = Device.objects.create(slug="device", name="device")
    made = [
        Series.objects.create(device=device, name=f"series-{at}")
        for at in range(series)
    ]
    return [one.id for one in made]


def write(rows: list[Readings], writer: int | None = None) -> int:
    """Commit rows of a writer, a new one unless named, and fold them; its id."""
    now_us = time.time_ns() // 1_000
    if writer is None:
        writer = journal.open_writer(now_us).id
    number = Writer.objects.get(id=writer).folded_to
    heads = Heads()
    for readings in rows:
        number += 1
        made = gathered((int(s), int(t), float(v)) for s, t, v in readings)
        row = journal.Row(writer, number, now_us, made)
        row.write()
        heads.advance(
            row.columns(), (), writer=writer, number=number, received_us=now_us
        )
    moved = heads.take_changed()
    for step in watermarks.fold_steps({}, moved, writer, number, now_us, keep=8):
        step()
    return writer


def read(series: list[int]) -> dict[str, Any]:
    """What a reader sees, and what there is of it in journal and blocks."""
    found = read_sync(series, *FOREVER)
    return {
        "readings": {
            str(one): [times_us.tolist(), values.view(np.int64).tolist()]
            for one, (times_us, values) in found.items()
        },
        "journal": Journal.objects.count(),
        "blocks": Block.objects.count(),
    }


def read_by_buckets(series: list[int], from_us: int, to_us: int) -> dict[str, Any]:
    """(start, count, minimum, maximum, sum) of each 5 minutes, and the raw readings."""
    answer = read_buckets(series, from_us, to_us, 10_000, width_us=BUCKET_US)
    assert not answer.missing, answer.missing
    buckets = {
        str(one): [
            [start_us, *row]
            for start_us, *row in zip(
                found.starts_us.tolist(),
                found.summaries.count.tolist(),
                found.summaries.minimum.tolist(),
                found.summaries.maximum.tolist(),
                found.summaries.sum.tolist(),
                strict=True,
            )
        ]
        for one, found in answer.series.items()
    }
    return {"buckets": buckets, **read(series)}


def check_blocks(series: list[int]) -> list[str]:
    """What is wrong with the raw blocks; empty if nothing is."""
    wrong: list[str] = []
    for one in series:
        found = list(
            Block.objects.filter(series_id=one, resolution_seconds=0).order_by(
                "start_us", "part"
            )
        )
        seen: set[tuple[int, int]] = set()
        for before, block in zip([None, *found], found, strict=False):
            times_us, values = blocks.read(block)
            wrong += _wrong_summary(block, times_us, values)
            if before is not None and before.end_us > block.start_us:
                wrong.append(f"{one}: {before.end_us} overlaps {block.start_us}")
            here = set(
                zip(times_us.tolist(), values.view(np.int64).tolist(), strict=True)
            )
            if len(here) != len(times_us) or here & seen:
                wrong.append(f"{one}: a reading is there twice")
            seen |= here
        if found and not found[-1].is_open:
            wrong.append(f"{one}: the last block is closed")
    return wrong


def stored(series: list[int]) -> int:
    """How many readings raw blocks hold, each as often as it is there."""
    found = Block.objects.filter(series_id__in=series, resolution_seconds=0)
    total: int = found.aggregate(total=Sum("length"))["total"] or 0
    return total


def fingerprint() -> dict[str, str]:
    """What every row of the history's tables holds, by table."""
    prints: dict[str, str] = {}
    for model in (Block, Journal, Writer, Lease, Fault):
        rows = sorted(repr(_plain(row)) for row in model.objects.values_list())
        prints[model.__name__] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return prints


def _plain(row: tuple[Any, ...]) -> list[Any]:
    return [bytes(cell) if isinstance(cell, memoryview) else cell for cell in row]


def _wrong_summary(block: Block, times_us: Any, values: Any) -> Iterator[str]:
    if len(values) > blocks.CAP or not (np.diff(times_us) >= 0).all():
        yield f"{block.series_id}: {len(values)} readings, or not by time"
    columns = summary.of_all(times_us, values).columns()
    for name, column in zip(SUMMARY, columns, strict=True):
        if getattr(block, name) != column[0].item():
            yield f"{block.series_id}: {name} is not that of the readings"


def pages() -> int:
    """Pages of the SQLite file."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        count: int = cursor.fetchone()[0]
        return count


def give_back() -> int:
    """All free pages of the file, so that it is as small as it can be."""
    return space.give_back(1_000_000)


# --- the worker ---------------------------------------------------------------------


def seal_all(
    lease_seconds: float = lease.SECONDS,
    most_readings: int = 500,
    die_at: tuple[str, int, bool] | None = None,
    stop_at: int | None = None,
    cap: int = blocks.CAP,
) -> dict[str, Any]:
    """Claim the lease, and seal pass by pass until the journal is empty.

    die_at: (pattern of a statement, which of them, whether before or after it is
    run): SIGKILL there. stop_at: SIGSTOP before the n-th write transaction. cap:
    readings of a block, so that there are many of them.
    """
    _set_cap(cap)
    return _upkeep(_seal_work(most_readings), lease_seconds, die_at, stop_at)


def _seal_work(most_readings: int) -> Callable[[Held], None]:
    def work(held: Held) -> None:
        while seal.seal_pass(held, most_readings).rows:
            space.give_back(20)

    return work


def keep_up(seal_readings: int) -> None:
    """As a hub does it, until the fault "end" is on."""
    rounds.LOOK_SECONDS = 0.05
    room = Room(2**40, 0)
    stopping = threading.Event()
    keeping = keeper.Keeper(
        room,
        stopping,
        seal_readings=seal_readings,
        seal_seconds=1.0,
        sessions_per_device=8,
    )
    looking = rounds.Rounds("upkeep", stopping, room.measure, keeping.look)
    looking.start()
    while not (Path(os.environ["FAULTS_DIR"]) / "end").exists():
        time.sleep(0.01)
    looking.stop(PATIENCE_SECONDS)


def thin_all(
    now_us: int,
    lease_seconds: float = lease.SECONDS,
    die_at: tuple[str, int, bool] | None = None,
    stop_at: int | None = None,
) -> dict[str, Any]:
    """Claim the lease, and thin out what is older than the default of days."""

    def work(held: Held) -> None:
        for _ in retention.whole_pass(held, now_us=now_us, free_pages=0):
            pass

    return _upkeep(work, lease_seconds, die_at, stop_at)


def _set_cap(cap: int) -> None:
    blocks.CAP = cap
    for function in (blocks.pieces, blocks.halves, late.insert_late):
        function.__defaults__ = (cap,)


def _upkeep(
    work: Callable[[Held], None],
    lease_seconds: float,
    die_at: tuple[str, int, bool] | None,
    stop_at: int | None,
) -> dict[str, Any]:
    held = _claim(lease_seconds)
    with _dying(die_at), _stopping(stop_at):
        try:
            work(held)
        except LeaseLost:
            return {"end": "lost", "token": held.token}
        except DatabaseError as error:
            return {"end": "database", "error": str(error), "token": held.token}
    held.release()
    return {"end": "done", "token": held.token}


def _claim(seconds: float) -> Held:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        held = lease.claim(seconds)
        if held is not None:
            return held
        time.sleep(0.01)
    raise TimeoutError("the lease was not free")


@contextmanager
def _dying(die_at: tuple[str, int, bool] | None) -> Iterator[None]:
    if die_at is None:
        yield
        return
    statement, which, is_before = die_at
    pattern = re.compile(statement)
    seen = 0

    def execute_and_die(
        execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        nonlocal seen
        is_one = pattern.search(sql.replace('"', "")) is not None
        seen += is_one
        is_here = is_one and seen == which
        if is_here and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = execute(sql, params, many, context)
        if is_here:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with connection.execute_wrapper(execute_and_die):
        yield


@contextmanager
def _stopping(stop_at: int | None) -> Iterator[None]:
    """SIGSTOP between two transactions: within one, all others wait for it."""
    right = Held.transaction
    begun = 0

    def stop_first(held: Held) -> Any:
        nonlocal begun
        begun += 1
        if begun == stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        return right(held)

    Held.transaction = stop_first  # type: ignore[assignment]
    yield
