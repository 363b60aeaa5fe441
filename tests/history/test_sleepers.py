"""Whoever is stopped at any statement, and wakes after its lease, changes nothing.

Between two statements of one worker another one claims the lease, does all there is
to do and more, and ends; then the first goes on where it was. For every statement.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from telemetry.devices.models import Device, Series
from telemetry.history import journal, lease, seal
from telemetry.history.keeping import removal, retention
from telemetry.history.lease import Held, LeaseLost
from telemetry.history.models import (
    Block,
    DeviceSession,
    Fault,
    Journal,
    Lease,
    SeriesHead,
    Writer,
)

from .arrivals import Arrivals
from .rows import NOW_US, gathered
from .small import make_small

# Minutes with a real database: with the faults, not in every run.
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

MODELS: tuple[Any, ...] = (Writer, Journal, Block, SeriesHead, DeviceSession, Fault)
DAY_US = 86_400_000_000
# Half of what arrives is older than the days of raw readings by then.
STEP_US = DAY_US // 8
RETENTION_US = NOW_US + 37 * DAY_US
PAST = "2000-01-01T00:00:00Z"

Work = Callable[[Held], Iterator[Any]]


def sealing(held: Held) -> Iterator[Any]:
    for _ in range(2):
        yield from seal.seal_steps(held, 100)


def retaining(held: Held) -> Iterator[Any]:
    yield from retention.whole_pass(held, now_us=RETENTION_US)


def forgetting(held: Held) -> Iterator[Any]:
    """The first days are older than those of the tier: whole blocks, and parts."""
    for hour in range(0, 24, 3):
        now_us = NOW_US + 1_826 * DAY_US + hour * DAY_US // 24
        yield from retention.whole_pass(held, now_us=now_us)


def removing(held: Held) -> Iterator[Any]:
    yield from removal.steps(held)


def all_of_it(held: Held) -> Iterator[Any]:
    yield from sealing(held)
    yield from removing(held)
    yield from retaining(held)


class History:
    """Some sealed readings, some that are not, and a series that is dead."""

    def __init__(self) -> None:
        for model in (*MODELS, Lease):
            model.objects.all().delete()
        # Rows, not tombstones.
        Series.objects.all()._raw_delete(connection.alias)
        Device.objects.all()._raw_delete(connection.alias)
        device = Device.objects.create(slug="device", name="device")
        self.series = [
            Series.objects.create(device=device, name=name).id for name in "ab"
        ]
        self.arrivals = Arrivals(random.Random(5), self.series, STEP_US, values=())
        self.writer = journal.open_writer(NOW_US).id
        self.number = 0

    def arrive(self, rows: int) -> None:
        for _ in range(rows):
            self.number += 1
            readings = gathered(self.arrivals.readings(15))
            journal.Row(self.writer, self.number, NOW_US, readings).write()
        Writer.objects.filter(id=self.writer).update(folded_to=self.number)

    def bury(self) -> None:
        """A series is deleted."""
        Series.objects.filter(id=self.series[-1]).update(deleted_at=timezone.now())


def do(work: Work) -> None:
    """By somebody who is not stopped."""
    Lease.objects.filter(name=lease.NAME).update(expires_at=PAST)
    with lease.claimed() as held:
        assert held is not None
        for _ in work(held):
            pass


def rows() -> list[list[Any]]:
    """All rows of the history, and the lease's holder."""
    found = [sorted(map(repr, map(plain, m.objects.values_list()))) for m in MODELS]
    holders = Lease.objects.filter(name=lease.NAME).values_list("token", flat=True)
    return [*found, list(holders)]


def plain(row: tuple[Any, ...]) -> list[Any]:
    return [bytes(cell) if isinstance(cell, memoryview) else cell for cell in row]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    make_small(monkeypatch)


class Sleep:
    """Around statements: before the `at`-th that nobody waits for, others do it all."""

    def __init__(self, history: History, at: int) -> None:
        self._history = history
        self._left = at
        # What there was when the sleeper woke.
        self.woke_with: list[list[Any]] | None = None

    def __call__(
        self,
        run: Callable[..., Any],
        sql: str,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        # Within a transaction all others wait for it.
        self._left -= not connection.in_atomic_block
        if self._left == 0 and self.woke_with is None:
            self.woke_with = []
            self._history.arrive(1)
            do(all_of_it)
            self.woke_with = rows()
        return run(sql, params, many, context)


@pytest.mark.parametrize("work", [sealing, retaining, forgetting, removing])
def test_one_that_is_stopped_at_any_statement_changes_nothing_more(work: Work):
    for at in itertools.count(1):
        history = History()
        history.arrive(4)
        do(sealing)
        do(retaining)
        history.arrive(4)
        do(sealing)
        history.arrive(2)
        history.bury()
        Lease.objects.filter(name=lease.NAME).update(expires_at=PAST)
        held = lease.claim()
        assert held is not None
        sleep = Sleep(history, at)
        with connection.execute_wrapper(sleep), suppress(LeaseLost):
            for _ in work(held):
                pass
        if sleep.woke_with is None:
            # It has fewer statements.
            break
        assert rows() == sleep.woke_with, f"stopped at statement {at}"
    assert at > 5
