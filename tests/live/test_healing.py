"""A layer that loses messages, processes that come and go: the page ends up right.

Readings are on disk, by a real pipeline in each of two hubs of this process.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from django.db import OperationalError

from telemetry.bus import listening, membership, outgoing, publishing, switchboard
from telemetry.history.tail import Tail
from telemetry.history.watermarks import read_heads
from telemetry.ingest.batch import Batch
from telemetry.ingest.pipeline import Pipeline
from telemetry.live import healing
from telemetry.protocol import clock

from .conftest import LiveHub
from .tab import Tab, until

pytestmark = pytest.mark.django_db(transaction=True)


class Layer:
    """The way of one process to a layer that all share; it may be cut or bad."""

    def __init__(self, shared: InMemoryChannelLayer, seed: int = 0) -> None:
        self.shared = shared
        self.random = random.Random(seed)
        self.lost_part = 0.0
        self.is_cut = False
        # Of news alone.
        self.dropped = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shared, name)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if self.is_cut:
            raise ConnectionError("cut")
        if self.random.random() < self.lost_part:
            self.dropped += group.startswith("hub.t.")
            return
        await self.shared.group_send(group, message)


class Silent:
    """A sender that wants to hear nothing."""

    def committed(self, seq: int | None) -> None: ...
    def refused(self, seq: int | None, reason: str) -> None: ...
    def gave_up(self) -> None: ...
    def superseded(self) -> None: ...


class StoringHub(LiveHub):
    """One whose readings are on disk before anybody sees them."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.layer = layer
        self.pipeline = Pipeline(
            self.heads,
            Tail(10**6),
            gather_ms=0,
            commit_readings=20_000,
            held_bytes=2**26,
            sessions_per_device=8,
        )

    async def start(self) -> None:
        await self.pipeline.start()
        await super().start()
        self.pipeline.listen(self.feed.on_tick)

    async def stop(self) -> None:
        assert await self.pipeline.drain(20)
        await super().stop()

    async def store(self, *readings: tuple[int, float]) -> None:
        """(series, value), a microsecond apart, as one batch."""
        now = clock.now_us()
        self.pipeline.submit(
            Batch(
                [series for series, _ in readings],
                [now + at for at in range(len(readings))],
                [value for _, value in readings],
            ),
            Silent(),
        )
        await self.pipeline.flush()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module, name, seconds in [
        (switchboard, "ANNOUNCE_SECONDS", 0.2),
        (publishing, "TIP_SECONDS", 0.1),
        (listening, "GRACE_SECONDS", 0.05),
        (switchboard, "RETRY_SECONDS", 0.05),
        (switchboard, "LIVELY_SECONDS", 1.0),
        (listening, "LIVELY_SECONDS", 1.0),
        (listening, "SILENT_SECONDS", 2.0),
        # Longer than any machine is busy: who is there does answer.
        (switchboard, "DEAF_SECONDS", 20.0),
        (listening, "BEGIN_SECONDS", 20.0),
        (membership, "BARRIER_SECONDS", 0.5),
    ]:
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr(outgoing, "REST_SECONDS", 0.05)
    monkeypatch.setattr(healing, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(healing, "GATHER_SECONDS", 0.01)


@pytest.fixture
async def two():
    shared = InMemoryChannelLayer()
    hubs = [StoringHub(Layer(shared, seed)) for seed in (1, 2)]
    for hub in hubs:
        await hub.start()
    await until(lambda: all(hub.switchboard.has_others() for hub in hubs))
    yield hubs
    for hub in hubs:
        hub.layer.is_cut, hub.layer.lost_part = False, 0.0
        await hub.stop()


def shown(tab: Tab) -> dict[str, Any]:
    rows: dict[str, Any] = tab.rows("plant")
    return {key: row[1] for key, row in rows.items()}


async def shows(tab: Tab, expected: dict[int, float]) -> None:
    """Wait until the page holds these values and no others."""
    keyed = {str(series): value for series, value in expected.items()}
    await until(lambda: shown(tab) == keyed)


async def opened(hub: StoringHub) -> Tab:
    tab = Tab()
    await tab.watch(hub, "plant")
    return tab


class TestLossyLayer:
    async def test_page_equals_the_database_after_each_quiet_period(self, two, plant):
        a, b = two
        tabs = [await opened(a), await opened(b)]
        values = itertools.count(1.0)
        last: dict[int, float] = {}
        for hub in two:
            hub.layer.lost_part = 0.1
        for _ in range(12):
            for _ in range(15):
                for hub, series in ((a, plant.temp), (b, plant.pump_temp)):
                    last[series] = next(values)
                    await hub.store((series, last[series]))
                await asyncio.sleep(0.02)
            for tab in tabs:
                await shows(tab, last)
        assert a.layer.dropped and b.layer.dropped
        fresh = await opened(b)
        await until(lambda: fresh.rows("plant") == tabs[1].rows("plant"))

    async def test_page_that_was_told_of_no_gap_has_seen_every_reading(
        self, two, plant
    ):
        a, b = two
        for hub in two:
            hub.layer.lost_part = 0.05
        for round in range(8):
            tab = await opened(b)

            def is_complete(tab=tab):
                return "reset" in tab.types or tab.counts.get(plant.flow, 0) >= 10

            for value in range(10):
                await a.store((plant.flow, float(value)))
                await asyncio.sleep(0.02)
            await shows(tab, {plant.flow: 9.0})
            # A hole may be seen a moment after the value is right again.
            await until(is_complete)
            b.feed.unwatch(tab.subscriptions["plant"])
            if round % 2:
                b.feed._forget("plant")


class TestHoles:
    async def test_lost_message_is_seen_by_the_next_one(self, two, plant):
        a, b = two
        tab = await opened(b)
        await a.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        a.layer.lost_part = 1.0
        await a.store((plant.temp, 2.0), (plant.flow, 5.0))
        await until(lambda: a.layer.dropped)
        a.layer.lost_part = 0.0
        await a.store((plant.temp, 3.0))
        await shows(tab, {plant.temp: 3.0, plant.flow: 5.0})
        assert "reset" in tab.types

    async def test_lost_last_message_is_seen_by_the_tip(self, two, plant, caplog):
        a, b = two
        tab = await opened(b)
        await a.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        a.layer.lost_part = 1.0
        await a.store((plant.temp, 2.0))
        await until(lambda: a.layer.dropped)
        a.layer.lost_part = 0.0
        await shows(tab, {plant.temp: 2.0})
        await until(lambda: "reset" in tab.types)
        assert caplog.text.count("news of other processes may be missing") == 1

    async def test_nothing_is_missing_when_nothing_was_lost(self, two, plant):
        a, b = two
        tabs = [await opened(a), await opened(b)]
        for value in range(20):
            await a.store((plant.temp, float(value)))
            await b.store((plant.flow, float(value)))
            await asyncio.sleep(0.01)
        for tab in tabs:
            await shows(tab, {plant.temp: 19.0, plant.flow: 19.0})
        # As long as silence and tips would take to be noticed.
        await asyncio.sleep(3)
        assert [tab.types.count("reset") for tab in tabs] == [0, 0]

    async def test_readings_while_a_topic_is_opened_are_all_there(
        self, two, plant, monkeypatch
    ):
        """Between the database's answer and the other's beginning nothing slips."""
        # Nobody is late or silent here, however busy the machine is.
        monkeypatch.setattr(listening, "GRACE_SECONDS", 5.0)
        monkeypatch.setattr(listening, "LIVELY_SECONDS", 20.0)
        a, b = two
        for round in range(10):
            storing = asyncio.create_task(a.store((plant.temp, float(round))))
            tab = await opened(b)
            await storing
            await shows(tab, {plant.temp: float(round)})
            assert "reset" not in tab.types
            b.feed.unwatch(tab.subscriptions["plant"])
            b.feed._forget("plant")
            if round % 2:
                await until(lambda: not a.switchboard.wanted())

    async def test_process_that_answers_late_is_read_again(
        self, two, plant, monkeypatch
    ):
        a, b = two
        monkeypatch.setattr(listening, "BEGIN_SECONDS", 0.0)
        a.layer.lost_part = 1.0
        await a.store((plant.temp, 1.0))
        tab = await opened(b)
        await a.store((plant.temp, 2.0))
        assert shown(tab) == {str(plant.temp): 1.0}
        a.layer.lost_part = 0.0
        await shows(tab, {plant.temp: 2.0})
        await until(lambda: "reset" in tab.types)


class TestOutage:
    async def test_cut_line_is_made_good_and_local_readings_go_on(self, two, plant):
        a, b = two
        tab, local = await opened(b), await opened(a)
        await a.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        a.layer.is_cut = b.layer.is_cut = True
        for value in range(2, 12):
            await a.store((plant.temp, float(value)))
            await b.store((plant.flow, float(value)))
            await shows(local, {plant.temp: float(value)})
            await shows(tab, {plant.temp: 1.0, plant.flow: float(value)})
        a.layer.is_cut = b.layer.is_cut = False
        for each in (tab, local):
            await shows(each, {plant.temp: 11.0, plant.flow: 11.0})
            await until(lambda each=each: "reset" in each.types)

    async def test_interest_that_was_forgotten_meanwhile_leaves_a_hole(
        self, two, plant
    ):
        """As when a process stands still longer than its interest is kept."""
        a, b = two
        tab = await opened(b)
        await a.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        b.layer.lost_part = 1.0
        a.switchboard._publishing.want_no_more(b.switchboard.origin, ["plant"])
        await a.store((plant.temp, 2.0))
        b.layer.lost_part = 0.0
        await shows(tab, {plant.temp: 2.0})
        await until(lambda: "reset" in tab.types)

    async def test_topic_opened_while_redis_is_away_shows_what_others_wrote(
        self, two, plant, monkeypatch
    ):
        a, b = two
        await a.store((plant.temp, 1.0))
        b.layer.is_cut = True
        monkeypatch.setattr(type(b.switchboard._line), "is_in_memory", False)
        await until(lambda: not b.switchboard.has_others() or not b.switchboard.is_up)
        b.switchboard._others_at = b.switchboard._echo_at = -100.0
        assert b.switchboard.may_have_others()
        tab = await opened(b)
        await shows(tab, {plant.temp: 1.0})

    async def test_database_that_is_away_is_asked_again(self, two, plant, monkeypatch):
        a, b = two
        tab = await opened(b)
        await a.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        asked = []

        def away(series_ids):
            asked.append(series_ids)
            raise OperationalError("away")

        monkeypatch.setattr(healing, "read_heads", away)
        a.layer.lost_part = 1.0
        await a.store((plant.temp, 2.0))
        await until(lambda: a.layer.dropped)
        a.layer.lost_part = 0.0
        await until(lambda: len(asked) > 1)
        monkeypatch.setattr(healing, "read_heads", read_heads)
        await shows(tab, {plant.temp: 2.0})


class TestOtherProcess:
    async def test_one_that_dies_is_read_again_once(self, two, plant):
        a, b = two
        tab = await opened(b)
        await a.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        # Committed, and killed before it was told to anybody.
        a.layer.lost_part = 1.0
        await a.store((plant.temp, 2.0))
        await shows(tab, {plant.temp: 2.0})
        await asyncio.sleep(3)
        assert tab.types.count("reset") == 1

    async def test_one_that_ends_in_order_leaves_no_gap(self, two, plant):
        a, b = two
        late = StoringHub(Layer(a.layer.shared, 3))
        await late.start()
        tab = await opened(b)
        await until(lambda: "plant" in late.switchboard._publishing._offers)
        await late.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        await late.store((plant.temp, 2.0))
        await late.stop()
        await shows(tab, {plant.temp: 2.0})
        await asyncio.sleep(3)
        assert "reset" not in tab.types

    async def test_one_that_starts_is_followed_without_a_gap(self, two, plant):
        a, b = two
        tab = await opened(b)
        await a.store((plant.temp, 1.0))
        await shows(tab, {plant.temp: 1.0})
        late = StoringHub(Layer(a.layer.shared, 3))
        await late.start()
        await until(lambda: "plant" in late.switchboard._publishing._offers)
        await late.store((plant.temp, 2.0))
        await shows(tab, {plant.temp: 2.0})
        await late.stop()
        assert "reset" not in tab.types

    async def test_one_that_has_committed_before_it_knew_is_read(self, two, plant):
        a, b = two
        tab = await opened(b)
        late = StoringHub(Layer(a.layer.shared, 3))
        late.layer.is_cut = True
        await late.start()
        await late.store((plant.temp, 2.0))
        assert shown(tab) == {}
        late.layer.is_cut = False
        await shows(tab, {plant.temp: 2.0})
        await until(lambda: "reset" in tab.types)
        await late.stop()
