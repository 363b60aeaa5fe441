"""Sealers, writers, readers and hellos in any order: each sees what the model says.

All run in one process and from a seed. Between any two transactions of a sealer,
and between any two statements of a reader or a hello, the others may do anything:
as if every process were stopped there for as long as that takes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from telemetry.history import journal, lease, seal, watermarks, writing
from telemetry.history.heads import Heads
from telemetry.history.journal import Mark, SessionKey
from telemetry.history.lease import Held, LeaseLost
from telemetry.history.models import Block, DeviceSession, Journal, Lease, Writer
from telemetry.history.queries.query import read_sync
from telemetry.history.tail import Tail

from .arrivals import EXTREMES, Arrivals
from .model import FOREVER, Model, Reading, pairs
from .rows import NOW_US, columns_of, gathered
from .small import make_small

# Minutes with a real database: with the faults, not in every run.
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SCENARIOS = 120
GROUPS = 8
ACTIONS = 70
DEVICES = 3
SERIES_PER_DEVICE = 2
KEEP = 8
# Somebody is stopped, and of those who go on another one is.
MOST_DEPTH = 2


class Device:
    """Sends rows in sessions; its next number is known to itself alone."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.number = number
        self.session = "session-0"
        self.seq = 0
        first = number * SERIES_PER_DEVICE + 1
        self.series = list(range(first, first + SERIES_PER_DEVICE))
        # Of everything there is little: the largest have no exact sums.
        self.arrivals = Arrivals(rng, self.series, values=EXTREMES[:3])


class Process:
    """What one process of the hub has in its memory."""

    def __init__(self, now_us: int) -> None:
        self.writer = journal.open_writer(now_us).id
        self.heads = Heads()
        watermarks.recover(self.heads, self.writer, now_us, KEEP)
        self.tail = Tail(10_000)
        self.tail.load(self.writer)
        self.number = 0
        self.unfolded: dict[SessionKey, Mark] = {}
        self.folding: Iterator[None] | None = None
        self.sealer: Iterator[Any] | None = None
        self.held: Held | None = None
        self.is_sealing = False

    def fold(self, now_us: int) -> Iterator[None]:
        """As the pipeline folds, a transaction a step."""
        marks, moved, number = (
            dict(self.unfolded),
            self.heads.take_changed(),
            self.number,
        )
        steps = watermarks.fold_steps(marks, moved, self.writer, number, now_us, KEEP)
        for step in steps:
            step()
            yield
        for key, mark in marks.items():
            if self.unfolded.get(key) == mark:
                del self.unfolded[key]


class World:
    """Two processes, some devices, and the model of what they may see."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_us = NOW_US + 10**12
        self.model = Model()
        # series → time → the writers of its values.
        self.writers: dict[tuple[int, int], set[int]] = {}
        self.marks: dict[SessionKey, int] = {}
        self.devices = [Device(n, self.rng) for n in range(DEVICES)]
        self.processes = [Process(self.tick()) for _ in range(2)]
        self.owner = {device.number: self.rng.randrange(2) for device in self.devices}
        self.depth = 0
        self.log: list[str] = []

    def tick(self) -> int:
        self.now_us += 1_000
        return self.now_us

    # --- what may happen ----------------------------------------------------------

    def act(self) -> None:
        """One action of anybody."""
        actions: list[tuple[int, Callable[[], None]]] = [
            (20, self.commit),
            (14, self.fold),
            (40, self.seal),
            (8, self.let_go),
            (6, self.expire_lease),
            (3, self.move_device),
            (2, self.restart),
            (2, self.fold_dead),
            (3, self.new_session),
        ]
        if not self.depth:
            actions += [(10, self.read), (8, self.hello)]
        weights = [weight for weight, _ in actions]
        ((_, action),) = self.rng.choices(actions, weights)
        self.log.append("  " * self.depth + action.__name__)
        action()

    def interrupted(self, odds: float) -> None:
        """The caller is stopped here, and others go on."""
        if self.depth >= MOST_DEPTH or self.rng.random() >= odds:
            return
        self.depth += 1
        try:
            for _ in range(self.rng.randrange(1, 6)):
                self.act()
        finally:
            self.depth -= 1

    def commit(self) -> None:
        """A process commits what one or two devices sent."""
        process = self.rng.choice(self.processes)
        owned = [d for d in self.devices if self.process_of(d) is process]
        readings: list[Reading] = []
        marks: dict[SessionKey, Mark] = {}
        for device in self.rng.sample(owned, min(len(owned), 2)):
            device.seq += 1
            readings += device.arrivals.readings(self.rng.randrange(12))
            marks[(device.number, device.session)] = Mark(device.seq)
        process.number += 1
        row = journal.Row(
            process.writer, process.number, self.tick(), gathered(readings, marks=marks)
        )
        row.write()
        process.tail.add(row.writer, row.number, row.columns())
        for key, mark in marks.items():
            process.unfolded.pop(key, None)
            process.unfolded[key] = mark
            self.marks[key] = mark.last_seq
        process.heads.advance(
            columns_of(readings),
            (),
            writer=row.writer,
            number=row.number,
            received_us=row.received_us,
        )
        self.model.arrive(readings)
        for series, time_us, _ in readings:
            self.writers.setdefault((series, time_us), set()).add(row.writer)

    def fold(self) -> None:
        process = self.rng.choice(self.processes)
        if process.folding is None:
            process.folding = process.fold(self.tick())
        # Its last step takes the folded marks out of memory: with the one before it.
        if next(process.folding, self) is self:
            process.folding = None

    def seal(self) -> None:
        """A step of one process' sealer; it begins one if it can claim the lease."""
        process = self.rng.choice(self.processes)
        if process.is_sealing:
            return
        if process.sealer is None:
            process.held = lease.claim()
            if process.held is None:
                return
            process.sealer = seal.seal_steps(
                process.held, self.rng.choice((1, 20, 10_000))
            )
        process.is_sealing = True
        try:
            if next(process.sealer, self) is self:
                process.sealer = None
                assert process.held is not None
                process.held.release()
        except LeaseLost:
            process.sealer = None
        finally:
            process.is_sealing = False

    def let_go(self) -> None:
        process = self.rng.choice(self.processes)
        sealed = Writer.objects.filter(sealed_to__gt=0).values_list("id", "sealed_to")
        process.tail.drop_sealed(dict(sealed))

    def expire_lease(self) -> None:
        past = timezone.now() - timedelta(seconds=1)
        Lease.objects.update(expires_at=past)

    def move_device(self) -> None:
        """A device connects to the other process: nothing of it is on its way."""
        device = self.rng.choice(self.devices)
        self.owner[device.number] ^= 1

    def restart(self) -> None:
        """A process is killed, and another one starts."""
        at = self.rng.randrange(2)
        if not self.processes[at].is_sealing:
            self.processes[at] = Process(self.tick())

    def fold_dead(self) -> None:
        process = self.rng.choice(self.processes)
        held = process.held
        if held is None or process.sealer is not None:
            return
        alive = [one.writer for one in self.processes]
        later_us = self.tick() + watermarks.DEAD_US + 10**9
        Writer.objects.filter(id__in=alive).update(
            heartbeat_at=journal.from_us(later_us)
        )
        with suppress(LeaseLost):
            seal.fold_dead(held, later_us, KEEP)

    def new_session(self) -> None:
        """A device starts again."""
        device = self.rng.choice(self.devices)
        device.session = f"session-{int(device.session.split('-')[1]) + 1}"
        device.seq = 0

    # --- what anybody sees ---------------------------------------------------------

    def read(self) -> None:
        """A reader sees all that was there when it began, and nothing unheard of."""
        process = self.rng.choice(self.processes)
        tail = self.rng.choice((process.tail, None))
        series = [one for device in self.devices for one in device.series]
        before = {one: set(self.model.raw(one)) for one in series}
        with self.others_go_on():
            found = read_sync(series, *FOREVER, tail)
        for one in series:
            read = pairs(found[one][0], found[one][1].view("int64"))
            after = self.model.raw(one)
            assert before[one] <= set(read) <= set(after), f"series {one}"
            expected = [reading for reading in after if reading in set(read)]
            assert self.ordered(one, read) == self.ordered(one, expected)

    def hello(self) -> None:
        """A device hears how far it got, wherever that is kept just now."""
        device = self.rng.choice(self.devices)
        key = (device.number, device.session)
        before = self.marks.get(key, 0)
        process = self.process_of(device)
        # Its own memory first: a fold may empty that.
        own = process.unfolded.get(key, Mark(0))
        with self.others_go_on():
            stored = watermarks.last_mark(*key, process.writer) or Mark(0)
        mark = max(own.last_seq, stored.last_seq)
        assert before <= mark <= self.marks.get(key, 0)

    @contextmanager
    def others_go_on(self) -> Iterator[None]:
        """Between any two statements of the block the others may act."""

        def execute(
            run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
        ) -> Any:
            if self.depth == 0:
                self.interrupted(0.3)
            return run(sql, params, many, context)

        with connection.execute_wrapper(execute):
            yield

    def process_of(self, device: Device) -> Process:
        return self.processes[self.owner[device.number]]

    def ordered(
        self, series: int, readings: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Equal times of several writers have no order; of one, that of arrival."""
        times = sorted({time_us for time_us, _ in readings})
        by_time = {time_us: [] for time_us in times}
        for time_us, bits in readings:
            by_time[time_us].append((time_us, bits))
        assert [time_us for time_us, _ in readings] == sorted(
            time_us for time_us, _ in readings
        )
        return [
            reading
            for time_us in times
            for reading in (
                sorted(by_time[time_us])
                if len(self.writers[(series, time_us)]) > 1
                else by_time[time_us]
            )
        ]

    # --- the end --------------------------------------------------------------------

    def finish(self) -> None:
        """All is folded and sealed: each reading is in one block, and once."""
        # Undisturbed.
        self.depth = MOST_DEPTH
        for process in self.processes:
            for _ in process.fold(self.tick()):
                pass
        for writer in Writer.objects.all():
            watermarks.fold_for(writer, self.tick(), KEEP)
        self.expire_lease()
        with lease.claimed() as held:
            assert held is not None
            while seal.seal_pass(held, 10_000).rows:
                pass
        assert not Journal.objects.exists()
        self.read()
        stored = sum(Block.objects.values_list("length", flat=True))
        assert stored == sum(len(self.model.raw(one)) for one in self.model.series)
        for (device, session), seq in self.marks.items():
            row = DeviceSession.objects.filter(device_id=device, session=session)
            assert row.get().last_seq == seq


@pytest.mark.parametrize("group", range(GROUPS))
def test_everybody_sees_what_the_model_says(
    group: int, quick: None, monkeypatch: pytest.MonkeyPatch
):
    make_small(monkeypatch)
    for seed in range(group, SCENARIOS, GROUPS):
        for model in (Writer, Journal, Block, DeviceSession, Lease):
            model.objects.all().delete()
        run(seed, monkeypatch)


def run(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scenario."""
    world = World(seed)

    class Pace(writing.Pace):
        """By the seed, and not by the clock."""

        def __exit__(self, *error: object) -> None:
            self.count = world.rng.randrange(1, 4)

    right = Held.transaction

    def transaction(held: Held) -> Any:
        # A sealer that has read and compressed, and not yet begun to write.
        world.interrupted(0.3)
        return right(held)

    with monkeypatch.context() as patched:
        patched.setattr(seal, "Pace", Pace)
        patched.setattr(writing, "Pace", Pace)
        patched.setattr(Held, "transaction", transaction)
        try:
            for _ in range(ACTIONS):
                world.act()
            world.finish()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {world.log[-60:]}") from error
