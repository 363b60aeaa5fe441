from __future__ import annotations

import asyncio

import pytest

from telemetry.bus import outgoing as module
from telemetry.bus.envelope import Publication
from telemetry.bus.outgoing import Outgoing


def publication(topic: str, n: int) -> Publication:
    return Publication("me", topic, n, 1, n, b"")


class Layer:
    """Takes publications of all topics but those that fail or wait."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.sent: list[tuple[str, int]] = []
        self.fails: set[str] = set()
        self.waits: dict[str, asyncio.Event] = {}
        self.outgoing = Outgoing(self.send, self.note)

    async def send(self, publication: Publication) -> bool:
        if publication.topic in self.waits:
            await self.waits[publication.topic].wait()
        await asyncio.sleep(0)
        if publication.topic in self.fails:
            return False
        self.taken.append((publication.topic, publication.n))
        return True

    def note(self, publication: Publication) -> None:
        self.sent.append((publication.topic, publication.n))

    def put(self, topic: str, *numbers: int) -> None:
        for n in numbers:
            self.outgoing.put(publication(topic, n))


async def test_each_topic_in_its_order():
    layer = Layer()
    layer.put("a", *range(50))
    layer.put("b", *range(50))
    assert len(layer.outgoing) == 100
    await asyncio.wait_for(layer.outgoing.drain(), 20)
    for topic in "ab":
        assert [n for t, n in layer.taken if t == topic] == list(range(50))
    assert len(layer.outgoing) == 0


async def test_topic_that_hangs_holds_up_no_other():
    layer = Layer()
    layer.waits["a"] = asyncio.Event()
    layer.put("a", 1, 2)
    layer.put("b", 1, 2)
    while len(layer.taken) < 2:
        await asyncio.sleep(0)
    assert layer.taken == [("b", 1), ("b", 2)]
    layer.waits["a"].set()
    await asyncio.wait_for(layer.outgoing.drain(), 20)
    assert layer.taken[2:] == [("a", 1), ("a", 2)]


async def test_what_waits_behind_a_failure_is_lost_and_later_news_are_not(monkeypatch):
    monkeypatch.setattr(module, "REST_SECONDS", 0.05)
    layer = Layer()
    layer.fails.add("a")
    layer.put("a", 1, 2, 3)
    while len(layer.outgoing):
        await asyncio.sleep(0)
    layer.fails.clear()
    layer.put("a", 4)
    await asyncio.wait_for(layer.outgoing.drain(), 20)
    assert layer.taken == [("a", 4)]
    # Those that were lost count as sent: the tip has to be ahead of who listens.
    assert {n for _, n in layer.sent} == {1, 2, 3, 4}


@pytest.mark.parametrize(("more", "first"), [(0, 0), (1, 1)])
async def test_beyond_the_limit_the_oldest_goes(monkeypatch, more, first):
    monkeypatch.setattr(module, "QUEUED_PUBLICATIONS", 10)
    layer = Layer()
    layer.put("a", *range(10 + more))
    assert len(layer.outgoing) == 10
    await asyncio.wait_for(layer.outgoing.drain(), 20)
    assert [n for _, n in layer.taken] == list(range(first, 10 + more))
    assert {n for _, n in layer.sent} == set(range(10 + more))


async def test_stop_waits_for_nobody():
    layer = Layer()
    layer.waits["a"] = asyncio.Event()
    layer.put("a", 1, 2)
    await asyncio.sleep(0)
    await asyncio.wait_for(layer.outgoing.stop(), 20)
    assert len(layer.outgoing) == 0 and not layer.taken
