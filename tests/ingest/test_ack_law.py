"""The law of acknowledgements, whatever devices and the disk do.

A cumulative `ack` never goes back and never covers a batch that is neither stored
nor listed as refused. The real consumer and the real door run here, on a disk in
memory that commits when it is told to.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.devices.entries import DeviceEntry, SeriesEntry
from telemetry.devices.presence import Presence
from telemetry.history.heads import Heads
from telemetry.history.journal import Mark, SessionKey
from telemetry.history.room import Room
from telemetry.ingest.batch import Batch
from telemetry.ingest.consumers import DeviceConsumer
from telemetry.ingest.door import Door
from telemetry.protocol.limits import Limits

T = 1_795_000_000_000
DEVICE = DeviceEntry(
    id=1,
    slug="boiler",
    name="Boiler",
    is_enabled=True,
    is_paused=False,
    auto_create=True,
    series={"n": SeriesEntry(1, "n", "number", "", "", None)},
)


class Disk:
    """A pipeline whose commits are decided by the test."""

    is_stalled = False
    has_room = True

    def __init__(self) -> None:
        self.queue: deque[tuple[Batch, Any, int | None, Any, Mark | None]] = deque()
        self.stored: list[float] = []
        self.marks: dict[SessionKey, Mark] = {}

    def submit(
        self,
        batch: Batch,
        sender: Any,
        seq: int | None = None,
        session: Any = None,
        mark: Mark | None = None,
    ) -> None:
        self.queue.append((batch, sender, seq, session, mark))

    def commit(self, count: int) -> None:
        told: dict[Any, int] = {}
        for _ in range(min(count, len(self.queue))):
            batch, sender, seq, session, mark = self.queue.popleft()
            self.stored.extend(batch.values)
            if mark is not None and seq is not None:
                before = self.marks.get(session)
                assert before is None or before.last_seq < mark.last_seq
                self.marks[session] = mark
                told[sender] = seq
        for sender, seq in told.items():
            sender.committed(seq)

    def fail(self) -> None:
        """All that waits is lost, and its senders are told."""
        lost, self.queue = self.queue, deque()
        for _, sender, *_ in lost:
            sender.gave_up()

    async def flush(self) -> None:
        await asyncio.sleep(0)
        self.commit(len(self.queue))

    async def watermark(self, device_id: int, session: str) -> Mark | None:
        return self.marks.get((device_id, session))


class Registry:
    """Knows one device, for every key; some keys take longer to check."""

    async def authenticate(self, key: str) -> DeviceEntry:
        for _ in range(int(key)):
            await asyncio.sleep(0)
        return DEVICE


@dataclass
class Socket:
    """The device's end of one connection, in memory."""

    door: Door
    incoming: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    messages: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None
    task: asyncio.Task[None] | None = None
    welcome: int | None = None
    sent: set[int] = field(default_factory=set)

    def open(self, slowness: int) -> None:
        scope = {
            "type": "websocket",
            "headers": [(b"authorization", b"Bearer %d" % slowness)],
            "subprotocols": [],
            "client": ("127.0.0.1", 1),
            "telemetry.hub": self,
        }
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.say(type="hello", session="s")
        self.task = asyncio.get_running_loop().create_task(
            DeviceConsumer()(scope, self.incoming.get, self.take)
        )

    async def take(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.close":
            self.close_code = event["code"]
        elif event["type"] == "websocket.send":
            message = json.loads(event["text"])
            self.messages.append(message)
            if message["type"] == "welcome":
                self.welcome = message["acked"]

    def say(self, **message: Any) -> None:
        self.say_raw(json.dumps(message))

    def say_raw(self, text: str) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    def acks(self) -> list[dict[str, Any]]:
        return [each for each in self.messages if each["type"] == "ack"]


KINDS = ("good",) * 8 + ("refused", "gateway", "rejected", "cut")


def batch_text(seq: int, kind: str) -> str:
    """Batch `seq` of the device: always the same content."""
    content: dict[str, Any] = {"type": "data", "seq": seq, "time": T + seq}
    content["values"] = {"n": seq}
    if kind == "refused":
        content["values"] = {"n": {}}
    elif kind == "gateway":
        content["device"] = "other"
    elif kind == "rejected":
        content["values"] = {"n": "no number"}
    text = json.dumps(content)
    return text[:-1] if kind == "cut" else text


# Mostly the newest connection sends; an older one is heard now and then.
which = st.sampled_from([0, 0, 0, 1, 2])
steps = st.one_of(
    *[st.tuples(st.just("send"), which, st.integers(1, 4))] * 4,
    st.tuples(st.just("resend"), which, st.integers(1, 6)),
    st.tuples(st.just("skip"), which, st.integers(1, 3)),
    st.tuples(st.just("commit"), st.integers(1, 10), st.just(0)),
    st.tuples(st.just("fail"), st.just(0), st.just(0)),
    st.tuples(st.just("connect"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("close"), which, st.just(0)),
)


class Law:
    """One run: a device with several connections, and what must hold all along."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = kinds
        self.disk = Disk()
        registry: Any = Registry()
        disk: Any = self.disk
        limits = Limits(device_rate=0, connects_per_minute=1_000)
        self.door = Door(registry, Presence(), Heads(), disk, Room(10**9, 0), limits)
        self.sockets: list[Socket] = []
        self.skipped: set[int] = set()
        self.next: dict[int, int] = {}

    async def run(self, script: Sequence[tuple[str, int, int]]) -> None:
        await self.connect(0, 0)
        for name, first, second in script:
            await getattr(self, name)(first, second)
            await self.settle()
            self.check()
        self.disk.commit(1_000)
        await self.settle()
        self.check()
        for socket in self.sockets:
            await self.end(socket)

    async def settle(self) -> None:
        for _ in range(40):
            await asyncio.sleep(0)

    async def connect(self, slowness: int, _: int) -> None:
        socket = Socket(self.door)
        self.sockets.append(socket)
        socket.open(slowness)

    async def close(self, which: int, _: int) -> None:
        if which < len(self.sockets):
            await self.end(self.sockets[-1 - which])

    async def end(self, socket: Socket) -> None:
        socket.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        assert socket.task is not None
        await asyncio.wait_for(asyncio.shield(socket.task), 10)

    def ready(self, which: int) -> Socket | None:
        """One of the connections, newest first, if it was welcomed."""
        if which >= len(self.sockets):
            return None
        socket = self.sockets[-1 - which]
        return socket if socket.welcome is not None else None

    async def send(self, which: int, count: int) -> None:
        """The next batches, in order, as a device does after its welcome."""
        socket = self.ready(which)
        if socket is None or socket.welcome is None:
            return
        for _ in range(count):
            seq = self.next.setdefault(id(socket), socket.welcome + 1)
            self.next[id(socket)] = seq + 1
            self.put(socket, seq)

    async def resend(self, which: int, back: int) -> None:
        socket = self.ready(which)
        if socket is not None and id(socket) in self.next:
            self.put(socket, max(1, self.next[id(socket)] - back))

    async def skip(self, which: int, count: int) -> None:
        """The device overwrote some batches that it had not sent."""
        socket = self.ready(which)
        if socket is not None and id(socket) in self.next:
            first = self.next[id(socket)]
            self.next[id(socket)] = first + count
            self.skipped.update(range(first, first + count))

    def put(self, socket: Socket, seq: int) -> None:
        socket.sent.add(seq)
        socket.say_raw(batch_text(seq, self.kinds[seq % len(self.kinds)]))

    async def commit(self, count: int, _: int) -> None:
        self.disk.commit(count)

    async def fail(self, _: int, __: int) -> None:
        self.disk.fail()

    def check(self) -> None:
        stored = set(self.disk.stored)
        on_disk = max((mark.last_seq for mark in self.disk.marks.values()), default=0)
        assert len(self.disk.stored) == len(stored), "stored twice"
        for socket in self.sockets:
            acked = socket.welcome or 0
            listed: set[int] = set()
            for ack in socket.acks():
                assert ack["seq"] >= acked, "an ack went back"
                acked = ack["seq"]
                listed |= {each["seq"] for each in ack.get("rejected", [])}
                assert not listed or max(listed) <= acked
            assert acked <= on_disk, "acked before it was on disk"
            for seq in socket.sent:
                kind = self.kinds[seq % len(self.kinds)]
                if seq > acked or seq <= (socket.welcome or 0) or kind == "cut":
                    continue
                if kind == "good":
                    assert seq in stored or seq in self.skipped, "covered, but lost"
                else:
                    assert seq in listed or seq in self.skipped, "refused silently"
            cut = {s for s in socket.sent if self.kinds[s % len(self.kinds)] == "cut"}
            # A frame that cannot be read ends the socket before a later ack covers it.
            assert all(acked < seq for seq in cut if seq > (socket.welcome or 0))


@settings(max_examples=300, deadline=None)
@given(
    script=st.lists(steps, min_size=4, max_size=25),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=9),
)
def test_no_ack_covers_what_was_not_stored_or_refused(
    script: list[tuple[str, int, int]], kinds: list[str]
):
    asyncio.run(Law(kinds).run(script))


def test_newest_connection_wins_even_if_its_key_is_checked_sooner():
    async def run() -> None:
        law = Law(["good"])
        await law.connect(5, 0)
        await law.connect(0, 0)
        await law.settle()
        older, newer = law.sockets
        assert (older.close_code, newer.close_code) == (4409, None)
        for socket in law.sockets:
            await law.end(socket)

    asyncio.run(run())


def test_what_the_disk_refuses_is_listed_before_later_refusals():
    async def run() -> None:
        law = Law(["rejected", "good"])
        await law.connect(0, 0)
        await law.settle()
        await law.send(0, 2)
        await law.settle()
        _, sender, seq, *_ = law.disk.queue[0]
        sender.refused(seq, "bad_request")
        law.disk.commit(1)
        law.disk.commit(1)
        await law.settle()
        (socket,) = law.sockets
        told = [
            (ack["seq"], [each["seq"] for each in ack["rejected"]])
            for ack in socket.acks()
        ]
        assert told == [(1, [1]), (2, [2])]
        await law.end(socket)

    asyncio.run(run())


def test_an_open_socket_forgets_its_key_and_holds_no_dict():
    async def run() -> None:
        law = Law(["good"])
        await law.connect(0, 0)
        await law.settle()
        await law.send(0, 1)
        await law.settle()
        law.disk.commit(1)
        await law.settle()
        (consumer,) = law.door._sockets
        assert isinstance(consumer, DeviceConsumer)
        assert consumer.acked == 1
        assert consumer.scope["headers"] == []
        assert vars(consumer) == {}
        assert (consumer.unacked, consumer.refusals) == ([], [])
        await law.end(law.sockets[0])

    asyncio.run(run())
