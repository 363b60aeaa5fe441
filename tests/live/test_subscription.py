from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from telemetry.live.frames import Frames
from telemetry.live.members import Members
from telemetry.live.rows import single
from telemetry.live.state import GroupState
from telemetry.live.subscription import AHEAD_BYTES, HEARTBEAT_SECONDS, Subscription
from telemetry.live.topic_rows import SeriesRow
from telemetry.live.watched import Watched

T0 = 1_795_341_600_000_000
ACK_SECONDS = 30.0


class Tab:
    """A viewer whose outbox the test empties."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.outbox_bytes = 0
        self.code: int | None = None

    def post_frame(self, frame: str) -> None:
        self.frames.append(frame)
        self.outbox_bytes += len(frame)

    def bye(self, code: int) -> None:
        self.code = code

    def lose(self, topic: str, reason: str) -> None:
        raise AssertionError("nothing is taken away here")

    def read(self) -> list[Any]:
        read = [json.loads(frame) for frame in self.frames]
        self.frames.clear()
        self.outbox_bytes = 0
        return read


@pytest.fixture
def room():
    """A topic of 3,000 series, a viewer of it, and readings at a time."""
    series = [SeriesRow(n, "boiler-7", f"m{n}", "°C") for n in range(1, 3_001)]
    state = GroupState(series, [], {}, ring_bytes=1 << 20)
    watched = Watched("plant", state, Frames("plant", 1_000), Members({}, ()))

    def commit(count: int = 1) -> None:
        places = np.arange(count, dtype=np.int32)
        times = np.full(count, T0)
        state.apply(single(places, times, np.full(count, 1.0)), T0)

    def subscribe(resume: int | None = None) -> tuple[Subscription, Tab]:
        tab = Tab()
        made = Subscription(tab, watched, None, resume, ACK_SECONDS)
        return made, tab

    return SimpleNamespace(state=state, commit=commit, subscribe=subscribe)


def test_snapshot_larger_than_the_outbox_waits_for_its_reader(room):
    room.commit(3_000)
    for each in room.state.series:
        # Long names: each page is larger than what may be ahead.
        object.__setattr__(each, "metric", "m" * 400)
    subscription, tab = room.subscribe()
    subscription.advance(0.0, T0)
    assert tab.outbox_bytes > AHEAD_BYTES
    assert len(tab.frames) == 1
    room.commit()
    subscription.advance(1.0, T0)
    assert len(tab.frames) == 1
    kinds = []
    for second in range(2, 7):
        kinds += [(each["type"], each.get("more")) for each in tab.read()]
        subscription.advance(float(second), T0)
    assert kinds == [
        ("snapshot", True),
        ("snapshot", True),
        ("snapshot", False),
        ("update", None),
    ]


def test_nothing_is_made_for_a_reader_that_is_behind(room):
    subscription, tab = room.subscribe()
    subscription.advance(0.0, T0)
    tab.outbox_bytes = AHEAD_BYTES + 1
    before = len(tab.frames)
    room.commit()
    subscription.advance(1.0, T0)
    assert len(tab.frames) == before
    tab.read()
    subscription.advance(2.0, T0)
    assert [each["type"] for each in tab.read()] == ["update"]


def test_heartbeat_comes_after_silence_and_only_then(room):
    subscription, tab = room.subscribe()
    subscription.advance(0.0, T0)
    (*_, snapshot) = tab.read()
    subscription.ack(snapshot["revision"], 0.1)
    subscription.keep_alive(HEARTBEAT_SECONDS - 0.1, T0)
    assert not tab.read()
    subscription.keep_alive(HEARTBEAT_SECONDS, T0 + 1500)
    assert tab.read() == [
        {
            "type": "update",
            "group": "plant",
            "revision": snapshot["revision"],
            "time": T0 / 1000 + 1.5,
            "rows": [],
        }
    ]
    subscription.keep_alive(HEARTBEAT_SECONDS + 1, T0)
    assert not tab.read()


def test_viewer_that_never_acks_ends_with_4408(room):
    subscription, tab = room.subscribe()
    subscription.advance(0.0, T0)
    subscription.keep_alive(ACK_SECONDS, T0)
    assert tab.code is None
    subscription.keep_alive(ACK_SECONDS + 1, T0)
    assert tab.code == 4408


def test_viewer_that_acks_slowly_lives(room):
    subscription, tab = room.subscribe()
    subscription.advance(0.0, T0)
    revision = tab.read()[-1]["revision"]
    room.commit()
    subscription.advance(1.0, T0)
    subscription.ack(revision, 25.0)
    subscription.keep_alive(50.0, T0)
    assert tab.code is None
    subscription.keep_alive(56.0, T0)
    assert tab.code == 4408


def test_viewer_with_nothing_to_ack_lives_for_ever(room):
    subscription, tab = room.subscribe()
    subscription.advance(0.0, T0)
    subscription.ack(tab.read()[-1]["revision"], 0.1)
    for minute in range(1, 100):
        subscription.keep_alive(minute * 60.0, T0)
        for message in tab.read():
            subscription.ack(message["revision"], minute * 60.0)
    assert tab.code is None


def test_acks_out_of_order_free_what_they_cover(room):
    subscription, tab = room.subscribe()
    subscription.advance(0.0, T0)
    room.commit()
    subscription.advance(0.1, T0)
    first, second = tab.read()[-2:]
    subscription.ack(second["revision"], 0.2)
    subscription.ack(first["revision"], 0.3)
    for tick in range(2):
        room.commit()
        subscription.advance(0.4 + tick, T0)
    assert len(tab.read()) == 2


def test_resume_gets_only_the_changes(room):
    before = room.state.revision
    room.commit()
    subscription, tab = room.subscribe(resume=before)
    subscription.advance(0.0, T0)
    (update,) = tab.read()
    assert update["type"] == "update"


def test_resume_with_nothing_new_gets_nothing(room):
    subscription, tab = room.subscribe(resume=room.state.revision)
    subscription.advance(0.0, T0)
    assert not tab.frames
