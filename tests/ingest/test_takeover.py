"""A device goes from process to process: what is acked is stored, and nothing twice.

On a real PostgreSQL, with a connection for each process' commits and one for each
process' database thread. Between any two statements of one the others may go on.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar

import pytest
from django.db import InternalError, OperationalError, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.history import owners, watermarks
from telemetry.history.heads import Heads
from telemetry.history.journal import (
    Mark,
    Row,
    SessionKey,
    decode_columns,
    open_writer,
    rows_after,
)
from telemetry.history.models import Journal
from telemetry.history.owners import Superseded
from telemetry.ingest import takeover as takeovers
from telemetry.ingest.batch import Batch
from telemetry.ingest.gathering import Gathering
from telemetry.ingest.takeover import Takeover
from telemetry.protocol import clock
from tests.postgresql import as_default, new_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WINDOW = 3
DEVICES = 2
SESSION = "s"
KEEP = 8
device_ids = itertools.count(1)
at_work: ContextVar[Process] = ContextVar("at_work")


@pytest.fixture(scope="module")
def database_url(postgres_url, tmp_path_factory) -> str:
    return new_database(postgres_url, tmp_path_factory.mktemp("takeover") / "var")


@pytest.fixture
def postgresql(database_url, monkeypatch, django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock(), as_default(database_url, monkeypatch):
        yield
        Connection.close_all()


class Gate:
    """Where a thread waits until the scenario lets it go on."""

    current = threading.local()

    def __init__(self) -> None:
        self.arrived: str | None = None
        self._may_go = threading.Event()
        self._fault: Exception | None = None

    @classmethod
    def stop(cls, place: str) -> None:
        """On the thread that is to wait; nothing on others."""
        gate: Gate | None = getattr(cls.current, "gate", None)
        if gate is not None:
            gate.wait(place)

    def wait(self, place: str) -> None:
        self.arrived = place
        self._may_go.wait()
        self._may_go.clear()
        if self._fault is not None:
            raise self._fault

    def go(self, fault: Exception | None = None) -> None:
        self.arrived, self._fault = None, fault
        self._may_go.set()


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit waits before its lock, behind it, and before COMMIT."""
    lost, create = owners.lost, Journal.objects.bulk_create

    def gated_lost(*args: Any) -> set[int]:
        Gate.stop("lock")
        found = lost(*args)
        Gate.stop("locked")
        return found

    def gated_create(*args: Any, **options: Any) -> Any:
        made = create(*args, **options)
        Gate.stop("written")
        return made

    monkeypatch.setattr(owners, "lost", gated_lost)
    monkeypatch.setattr(Journal.objects, "bulk_create", gated_create)
    monkeypatch.setattr(owners, "WAIT_MS", 5)
    monkeypatch.setattr(takeovers, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(takeovers, "AWAY_SECONDS", 0.0)


@dataclass(eq=False)
class Device:
    """Sends the same batch under the same number, whichever process it is at."""

    id: int
    # Numbers that it has given; and of these, acked.
    sent: int = 0
    acked: int = 0


@dataclass(eq=False)
class Socket:
    """One connection of a device, as the pipeline's sender."""

    device: Device
    process: Process
    submitted: int = 0
    acked: int = 0
    is_open: bool = True
    is_greeted: bool = False

    def committed(self, seq: int | None) -> None:
        assert seq is not None and seq > self.acked
        self.acked = seq
        self.device.acked = max(self.device.acked, seq)

    def superseded(self) -> None:
        self.is_open = False

    def refused(self, seq: int | None, reason: str) -> None:
        raise AssertionError(reason)

    def gave_up(self) -> None:
        raise AssertionError("nobody gives up here")


class Connection:
    """A thread with its connection; one that is free is used again."""

    all_: ClassVar[list[Connection]] = []

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Try, Row] | None] = SimpleQueue()
        self.is_free = True
        # A daemon: a scenario that fails leaves it at its gate.
        threading.Thread(target=self._run, daemon=True).start()

    @classmethod
    def free(cls) -> Connection:
        for each in cls.all_:
            if each.is_free:
                return each
        cls.all_.append(Connection())
        return cls.all_[-1]

    def write(self, attempt: Try, row: Row) -> None:
        self.is_free = False
        self._work.put((attempt, row))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            attempt, row = work
            Gate.current.gate = attempt.gate
            error: Exception | None = None
            try:
                row.write()
            except Exception as raised:
                error = raised
            self.is_free = True
            if error is None:
                attempt.result.set_result(None)
            else:
                attempt.result.set_exception(error)
        connections.close_all()

    @classmethod
    def close_all(cls) -> None:
        for each in cls.all_:
            each._work.put(None)
        cls.all_.clear()


class Try:
    """One try of a commit, on a thread and a connection of its own."""

    def __init__(self, row: Row) -> None:
        self.gate = Gate()
        self.result: Future[None] = Future()
        Connection.free().write(self, row)

    @property
    def is_waiting(self) -> bool:
        return self.gate.arrived is not None

    async def settle(self) -> None:
        """Until it waits, is done, or has waited for a lock for a moment."""
        for _ in range(20):
            if self.is_waiting or self.result.done():
                return
            await asyncio.sleep(0.001)


class Process:
    """The pipeline of one process, a step at a time, and its real `Takeover`."""

    is_stopping = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.writer = open_writer(clock.now_us()).id
        self.takeover = Takeover(self)  # type: ignore[arg-type]
        self.takeover.tell_with(world.tell)
        self.database = ThreadPoolExecutor(1)
        self.sockets: dict[int, Socket] = {}
        self.gathering = Gathering()
        self.current: Gathering | None = None
        self.row: Row | None = None
        self.attempt: Try | None = None
        # Tries whose client is gone: their end is nobody's news.
        self.ghosts: list[Try] = []
        self.number = 0
        self.marks: dict[SessionKey, Mark] = {}

    def unfolded(self, session: SessionKey) -> Mark | None:
        return self.marks.get(session)

    async def flush(self) -> None:
        """Until all that has been submitted so far is done with."""
        last = self.gathering if self.gathering.records else self.current
        while last is not None and (last is self.current or last is self.gathering):
            await asyncio.sleep(0)

    def submit(self, socket: Socket) -> None:
        socket.submitted += 1
        seq = socket.submitted
        socket.device.sent = max(socket.device.sent, seq)
        batch = Batch([socket.device.id], [seq], [float(seq)])
        key = (socket.device.id, SESSION)
        self.gathering.add(batch, socket, seq, key, Mark(seq))

    def begin(self) -> None:
        self.current, self.gathering = self.gathering, Gathering()
        self._begin(self.current)

    def _begin(self, gathering: Gathering) -> None:
        self.part = gathering
        now = clock.now_us()
        self.row = Row(self.writer, self.number + 1, now, gathering.columns)
        self.attempt = Try(self.row)

    def again(self) -> None:
        assert self.row is not None
        self.attempt = Try(self.row)

    def take(self) -> None:
        """What became of the try that has ended."""
        assert self.attempt is not None and self.current is not None
        error = self.attempt.result.exception()
        if error is None:
            self.number += 1
            self.marks |= self.part.columns.marks
            last = {record.sender: record.seq for record in self.part.records}
            for sender, seq in last.items():
                sender.committed(seq)
        elif isinstance(error, Superseded):
            kept = []
            for at, record in enumerate(self.part.records):
                assert record.session is not None
                if record.session[0] in error.devices:
                    record.sender.superseded()
                else:
                    kept.append(at)
            if kept:
                self._begin(self.part.only(kept))
                return
        else:
            assert isinstance(error, OperationalError), error
            self.again()
            return
        self.attempt = self.current = None

    def fold(self) -> None:
        self.database.submit(self._fold).result()

    def _fold(self) -> None:
        marks = dict(self.marks)
        for step in watermarks.fold_steps(
            marks, Heads().take_changed(), self.writer, self.number, 1, KEEP
        ):
            step()
        self.marks = {}


class World:
    """Two processes and some devices; `choose` says who goes on next."""

    def __init__(self, choices: list[int]) -> None:
        self._choices = iter(choices)
        self.operations: list[tuple[asyncio.Event, list[Exception]]] = []
        self.processes = [Process(self) for _ in range(2)]
        self.devices = [Device(next(device_ids)) for _ in range(DEVICES)]
        # Of those that the scenario has let go.
        self.running: list[asyncio.Future[Any]] = []
        self.sockets: list[Socket] = []
        self.hellos: dict[asyncio.Task[None], Device] = {}
        self.told: list[tuple[int, int]] = []
        self.log: list[str] = []

    def tell(self, writer: int, kind: str, device_id: int) -> None:
        # It may get lost: here it always is. Commits alone have to be right.
        self.told.append((writer, device_id))

    async def on_database_thread(
        self, process: Process, function: Callable[..., Any], *args: Any
    ) -> Any:
        """As threads.py does, once the scenario says so; its answer may be lost."""
        may_go = asyncio.Event()
        faults: list[Exception] = []
        self.operations.append((may_go, faults))
        await may_go.wait()
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(process.database, partial(function, *args))
        self.running.append(work)
        found = await work
        if faults:
            raise faults[0]
        return found

    # --- what may happen ----------------------------------------------------------

    def actions(self) -> list[tuple[str, Callable[[], Any]]]:
        found: list[tuple[str, Callable[[], Any]]] = []
        for at, process in enumerate(self.processes):
            if process.attempt is None and process.gathering.records:
                found.append((f"begin {at}", process.begin))
            if process.attempt is not None:
                found += self._of_try(at, process, process.attempt)
            for ghost in process.ghosts:
                if ghost.is_waiting:
                    found.append((f"ghost of {at} goes on", ghost.gate.go))
                    away = partial(ghost.gate.go, OperationalError("gone"))
                    found.append((f"ghost of {at} ends", away))
            if process.attempt is None and process.marks:
                found.append((f"fold {at}", process.fold))
        found += self._of_devices()
        for may_go, faults in self.operations:
            found += [("database", may_go.set)] * 4
            found.append(("database, answer lost", partial(self._lose, may_go, faults)))
        return found

    def _of_devices(self) -> list[tuple[str, Callable[[], Any]]]:
        found: list[tuple[str, Callable[[], Any]]] = []
        for socket in self.sockets:
            is_free = socket.submitted < socket.acked + WINDOW
            # One number ahead of all that it knows of: late frames, and new ones.
            is_known = socket.submitted <= socket.device.acked + WINDOW
            if socket.is_open and socket.is_greeted and is_free and is_known:
                name = f"send {socket.device.id} #{socket.submitted + 1}"
                found += [(name, partial(socket.process.submit, socket))] * 3
        waiting = list(self.hellos.values())
        for device in self.devices:
            for process in self.processes:
                if waiting.count(device) > 1:
                    continue
                name = f"connect {device.id} to {self.processes.index(process)}"
                found.append((name, partial(self.connect, device, process)))
        return found

    def _of_try(
        self, at: int, process: Process, attempt: Try
    ) -> list[tuple[str, Callable[[], Any]]]:
        if attempt.result.done():
            if attempt.result.exception() is None:
                return [
                    (f"answer {at}", process.take),
                    (f"answer lost {at}", process.again),
                ]
            return [(f"answer {at}", process.take)]
        if not attempt.is_waiting:
            return []
        place = attempt.gate.arrived
        found: list[tuple[str, Callable[[], Any]]] = [
            (f"{place} {at}", attempt.gate.go),
            (f"{place} {at}", attempt.gate.go),
            (f"{place} fails {at}", partial(attempt.gate.go, OperationalError("x"))),
        ]
        # Its COMMIT may be under way; whatever else it had to do it never will.
        if place == "written" and len(process.ghosts) < 2:
            found.append((f"{place} abandoned {at}", partial(self._abandon, process)))
        return found

    def _lose(self, may_go: asyncio.Event, faults: list[Exception]) -> None:
        # Internal: PostgreSQL ended the transaction of a process that was stopped.
        kinds = (OperationalError, InternalError)
        faults.append(kinds[len(self.operations) % 2]("the answer is lost"))
        may_go.set()

    def _abandon(self, process: Process) -> None:
        """The connection breaks, and the server does not know it yet."""
        assert process.attempt is not None
        process.ghosts.append(process.attempt)
        process.again()

    def connect(self, device: Device, process: Process) -> None:
        socket = Socket(device, process)
        before = process.sockets.get(device.id)
        if before is not None:
            before.is_open = False
        process.sockets[device.id] = socket
        self.sockets.append(socket)
        task = asyncio.ensure_future(self._hello(socket))
        self.hellos[task] = socket.device

    async def _hello(self, socket: Socket) -> None:
        process = socket.process
        # Also of all that the hello has others do for it.
        at_work.set(process)
        await process.flush()
        known = socket.device.acked
        mark = await process.takeover.watermark(socket.device.id, SESSION)
        seq = mark.last_seq if mark else 0
        # What was acked before is on disk, so no welcome may say less.
        assert seq >= known
        socket.device.acked = max(socket.device.acked, seq)
        socket.submitted = socket.acked = seq
        socket.is_greeted = True

    # --- the course ---------------------------------------------------------------

    async def run(self) -> None:
        for device in self.devices:
            self.connect(device, self.processes[0])
        for choice in self._choices:
            # None: all wait for locks that are about to be let go.
            actions = self.actions() or [("nothing", lambda: None)]
            name, action = actions[choice % len(actions)]
            self.log.append(name)
            action()
            await self._settle()
        await self._finish()

    async def _settle(self) -> None:
        self.operations = [each for each in self.operations if not each[0].is_set()]
        for _ in range(3):
            await asyncio.sleep(0)
        if self.running:
            # A moment; one may wait for a commit that does not go on yet.
            await asyncio.wait(self.running, timeout=0.05)
            self.running = [work for work in self.running if not work.done()]
            for _ in range(5):
                await asyncio.sleep(0)
        for process in self.processes:
            for attempt in [process.attempt, *process.ghosts]:
                if attempt is not None:
                    await attempt.settle()
            process.ghosts = [one for one in process.ghosts if not one.result.done()]
        for task in [task for task in self.hellos if task.done()]:
            del self.hellos[task]
            task.result()

    async def _calm(self) -> None:
        """Everybody goes on until nothing is under way."""
        while self.hellos or any(
            process.attempt or process.ghosts or process.gathering.records
            for process in self.processes
        ):
            for may_go, _ in self.operations:
                may_go.set()
            for process in self.processes:
                for attempt in [process.attempt, *process.ghosts]:
                    if attempt is not None and attempt.is_waiting:
                        attempt.gate.go()
                if process.attempt is None and process.gathering.records:
                    process.begin()
                elif process.attempt is not None and process.attempt.result.done():
                    process.take()
            await self._settle()

    async def _finish(self) -> None:
        await self._calm()
        for device in self.devices:
            self.connect(device, self.processes[1])
        await self._calm()
        for device in self.devices:
            socket = self.processes[1].sockets[device.id]
            while socket.submitted < device.sent:
                socket.process.submit(socket)
        await self._calm()
        for process in self.processes:
            process.database.submit(watermarks.end_writer, process.writer, 1).result()
            process.database.submit(connections.close_all).result()
            process.database.shutdown()

    def stored(self) -> dict[int, list[int]]:
        """The numbers of each device that are on disk."""
        found: dict[int, list[int]] = {device.id: [] for device in self.devices}
        for process in self.processes:
            for _, _, row in rows_after(process.writer, 0):
                series, _, values = decode_columns(row)
                for id_, value in zip(series.tolist(), values.tolist(), strict=True):
                    found[id_].append(int(value))
        return found


def run(choices: list[int], monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(choices)

    async def scenario() -> None:
        async def on_database_thread(function: Any, *args: Any) -> Any:
            return await world.on_database_thread(at_work.get(), function, *args)

        with monkeypatch.context() as patch:
            patch.setattr(takeovers, "on_database_thread", on_database_thread)
            try:
                await asyncio.wait_for(world.run(), 60)
            except asyncio.TimeoutError:
                pytest.fail(f"it does not end: {world.log}")

    asyncio.run(scenario())
    return world


class TestTakeover:
    @pytest.mark.usefixtures("postgresql", "gates")
    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
        ],
    )
    @given(st.lists(st.integers(0, 10_000), min_size=20, max_size=80))
    def test_what_is_acked_is_stored_and_nothing_twice(
        self, monkeypatch, choices: list[int]
    ):
        check(choices, monkeypatch)

    @pytest.mark.usefixtures("postgresql", "gates")
    def test_the_same_from_seeds(self, monkeypatch):
        # Hypothesis likes short and similar ones.
        for seed in range(20):
            rng = random.Random(seed)
            check([rng.randrange(10_000) for _ in range(100)], monkeypatch)


def check(choices: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    world = run(choices, monkeypatch)
    for device in world.devices:
        numbers = world.stored()[device.id]
        assert sorted(numbers) == list(range(1, device.sent + 1)), world.log
        assert device.acked == device.sent, world.log
