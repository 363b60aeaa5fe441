"""HubSocket: its own receive loop, and an outbox that no slow reader fills."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from telemetry import counters
from telemetry.bus.socket import (
    AHEAD_BYTES,
    EVENT_BYTES,
    FRAMES_A_TURN,
    OUTBOX_BYTES,
    HubSocket,
)
from telemetry.protocol.codec import JSON, MSGPACK
from telemetry.protocol.errors import BadRequest
from telemetry.protocol.messages import Pong


class Echo(HubSocket):
    """Answers each frame; `bad` is an error of the sender, `crash` one of ours."""

    ends = 0

    async def opened(self) -> None:
        self.coding = JSON
        await self.accept()

    async def on_frame(self, frame: Any) -> None:
        if frame == "bad":
            raise BadRequest("expected a good frame, got a bad one")
        if frame == "crash":
            raise RuntimeError("ours")
        if frame == "bye":
            self.bye(4409, after_ms=5)
        self.post_frame(frame)

    def closed(self) -> None:
        self.ends += 1


class Peer:
    """The other end: what it got, and whether it reads."""

    def __init__(self, consumer: Echo) -> None:
        self.consumer = consumer
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.events: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.is_dead = False
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(
            consumer({"type": "websocket"}, self.incoming.get, self.take)
        )

    async def take(self, event: dict[str, Any]) -> None:
        await self.reads.wait()
        if self.is_dead:
            raise OSError("the peer is gone")
        self.events.append(event)

    def say(self, *frames: str | bytes) -> None:
        for frame in frames:
            key = "text" if isinstance(frame, str) else "bytes"
            self.incoming.put_nowait({"type": "websocket.receive", key: frame})

    async def end(self, code: int = 1000) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": code})
        await asyncio.wait([self.task])

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    def frames(self) -> list[Any]:
        sent = [e for e in self.events if e["type"] == "websocket.send"]
        return [event.get("text") or event.get("bytes") for event in sent]

    def types(self) -> list[str]:
        return [event["type"].removeprefix("websocket.") for event in self.events]


async def test_frames_go_in_order_and_in_their_kind():
    peer = Peer(Echo())
    peer.say(*[str(at) for at in range(100)], b"\x01")
    await peer.settle()
    assert peer.frames() == [*[str(at) for at in range(100)], b"\x01"]
    await peer.end(1001)
    assert (peer.consumer.ends, peer.consumer.close_code) == (1, 1001)


async def test_error_of_the_sender_is_told_and_the_socket_goes_on():
    peer = Peer(Echo())
    peer.say("bad", "good")
    await peer.settle()
    error, good = peer.frames()
    assert json.loads(error) == {
        "type": "error",
        "code": "bad_request",
        "message": "expected a good frame, got a bad one",
        "retryable": False,
    }
    assert good == "good"
    await peer.end()


async def test_fault_of_ours_is_logged_and_closes_with_4500(caplog):
    peer = Peer(Echo())
    with caplog.at_level(logging.ERROR):
        peer.say("crash", "more")
        await asyncio.wait([peer.task])
    assert peer.types() == ["accept", "send", "close"]
    assert json.loads(peer.frames()[0])["code"] == 4500
    assert peer.events[-1]["code"] == 4500
    assert peer.consumer.ends == 1
    assert "RuntimeError: ours" in caplog.text


async def test_after_bye_nothing_is_sent_and_nothing_is_heard():
    before = counters.CLOSED.labels(code="4409")._value.get()
    peer = Peer(Echo())
    peer.say("one", "bye", "two", "bad", "bye")
    await peer.settle()
    assert peer.types() == ["accept", "send", "send", "close"]
    assert json.loads(peer.frames()[1]) == {
        "type": "bye",
        "code": 4409,
        "reason": "superseded",
        "after_ms": 5,
    }
    assert counters.CLOSED.labels(code="4409")._value.get() == before + 1
    # Whatever the peer answers: the code is the hub's.
    await peer.end(1005)
    assert peer.consumer.close_code == 4409


async def test_reader_that_does_not_read_is_dropped_at_the_bound():
    before = counters.SLOW_READERS._value.get()
    peer = Peer(Echo())
    await peer.settle()
    peer.reads.clear()
    frame = "x" * 65_536
    count = OUTBOX_BYTES // len(frame)
    peer.say(*[frame] * count)
    await peer.settle()
    assert not peer.task.done()
    assert peer.consumer.outbox_bytes == OUTBOX_BYTES
    peer.say("one byte more")
    await asyncio.wait([peer.task])
    assert peer.consumer.ends == 1
    assert not peer.task.cancelled()  # A server would log that with a traceback.
    assert counters.SLOW_READERS._value.get() == before + 1


async def test_slow_reader_holds_up_nobody():
    slow, quick = Peer(Echo()), Peer(Echo())
    await slow.settle()
    slow.reads.clear()
    slow.say(*["x" * 1_000] * 100)
    quick.say("quick")
    await slow.settle()
    assert quick.frames() == ["quick"]
    slow.reads.set()
    await slow.settle()
    await slow.settle()
    assert len(slow.frames()) == 100
    assert slow.consumer.outbox_bytes == 0
    await slow.end()
    await quick.end()


async def test_flood_gives_others_a_turn():
    flood, quiet = Peer(Echo()), Peer(Echo())
    await flood.settle()
    flood.say(*["x"] * 10_000)
    quiet.say("quiet")
    for _ in range(10):
        await asyncio.sleep(0)
    assert quiet.frames() == ["quiet"]
    assert len(flood.frames()) <= 10 * FRAMES_A_TURN
    await flood.end()
    await quiet.end()


async def test_dead_peer_is_no_error(caplog):
    peer = Peer(Echo())
    await peer.settle()
    peer.is_dead = True
    peer.say("one", "two")
    await peer.settle()
    await peer.end(1006)
    assert peer.consumer.ends == 1
    assert not caplog.records


async def test_messages_go_in_the_coding_of_the_socket():
    peer = Peer(Echo())
    await peer.settle()
    peer.consumer.post(Pong(time=1))
    peer.consumer.coding = MSGPACK
    peer.consumer.post(Pong(time=1))
    await peer.settle()
    text, binary = peer.frames()
    assert json.loads(text) == {"type": "pong", "time": 1}
    assert isinstance(binary, bytes)
    await peer.end()


@pytest.mark.parametrize("when", ["opening", "open"])
async def test_cancelled_socket_leaves_every_map(when: str):
    peer = Peer(Echo())
    if when == "open":
        await peer.settle()
    else:
        await asyncio.sleep(0)
    peer.task.cancel()
    await asyncio.wait([peer.task])
    assert peer.consumer.ends == 1


class Held(Echo):
    """Holds itself at the frame `hold` until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def on_frame(self, frame: Any) -> None:
        if frame == "hold":
            await self.hold(self.let_go.wait())
        await super().on_frame(frame)


@pytest.mark.parametrize("text", ["", "x"])
async def test_a_flood_of_empty_frames_stays_with_the_peer_while_the_socket_is_held(
    text: str,
):
    consumer = Held()
    peer = Peer(consumer)
    sent = 2 * AHEAD_BYTES // EVENT_BYTES
    for each in ["hold", *[text] * sent]:
        peer.incoming.put_nowait({"type": "websocket.receive", "text": each})
    left = -1
    while left != peer.incoming.qsize():
        left = peer.incoming.qsize()
        for _ in range(50):
            await asyncio.sleep(0)
    # About half of them, whatever they hold: each counts as an event.
    assert sent // 2 - 2 <= left <= sent // 2 + sent // 50
    consumer.let_go.set()
    for _ in range(500):
        if len(peer.events) == sent + 2:
            break
        await asyncio.sleep(0.01)
    # Nothing was lost of it, and in order.
    answers = [event["text"] for event in peer.events[1:]]
    assert answers == ["hold", *[text] * sent]
    peer.task.cancel()


async def test_an_idle_socket_holds_neither_a_dict_nor_an_empty_queue():
    class Silent(HubSocket):
        __slots__ = ()

    peer = Peer(Silent())
    await peer.settle()
    socket: Any = peer.consumer
    assert vars(socket) == {}
    for _ in range(3):
        socket.post_frame("a")
        await peer.settle()
        assert (socket._outbox, socket._ahead) == ((), ())
    assert peer.frames() == ["a"] * 3
    await peer.end()
