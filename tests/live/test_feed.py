"""Topics that open, follow their members, end; and processes that tell each other."""

from __future__ import annotations

import asyncio
import threading

import pytest
from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.db import OperationalError, connections

from telemetry.devices.models import Series
from telemetry.history.watermarks import read_heads
from telemetry.live import feed as module
from telemetry.live import healing
from telemetry.protocol.errors import Busy

from .conftest import T0, LiveHub, do
from .tab import Tab, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def hub():
    made = LiveHub(InMemoryChannelLayer())
    await made.start()
    yield made
    await made.stop()


class TestOpen:
    async def test_many_that_open_at_once_share_one_state(self, hub, plant):
        opened = await asyncio.gather(*(hub.feed.open("plant") for _ in range(20)))
        assert len({id(each) for each in opened}) == 1

    async def test_nothing_is_none(self, hub, plant):
        assert await hub.feed.open("nothing") is None
        assert await hub.feed.open("device:nobody") is None

    async def test_one_who_gives_up_takes_nothing_from_the_others(self, hub, plant):
        first = asyncio.ensure_future(hub.feed.open("plant"))
        second = asyncio.ensure_future(hub.feed.open("plant"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is not None

    async def test_database_that_is_away_is_busy_and_then_it_works(
        self, hub, plant, monkeypatch
    ):
        async def away(slug):
            raise OperationalError("away")

        monkeypatch.setattr(hub.registry, "group", away)
        with pytest.raises(Busy):
            await hub.feed.open("plant")
        monkeypatch.undo()
        assert await hub.feed.open("plant") is not None

    async def test_ticks_while_opening_are_neither_lost_nor_doubled(self, hub, plant):
        tab = Tab()
        for round in range(30):
            opening = asyncio.ensure_future(tab.watch(hub, "plant"))
            for ms in range(round * 10, round * 10 + 10):
                hub.commit((plant.temp, ms, float(ms)))
                await asyncio.sleep(0)
            await opening
            last = round * 10 + 9
            await until(
                lambda last=last: (
                    tab.rows("plant")[str(plant.temp)]
                    == [T0 / 1000 + last, float(last)]
                )
            )
            hub.feed.unwatch(tab.subscriptions["plant"])
            if round % 3 == 0:
                hub.feed._forget("plant")

    async def test_every_reading_is_counted_once(self, hub, plant):
        tab = Tab()
        await tab.watch(hub, "plant")
        for ms in range(200):
            hub.commit((plant.temp, ms, 1.0), (plant.temp, ms, 2.0))
            await asyncio.sleep(0.002)
        await until(lambda: tab.counts.get(plant.temp) == 400)


class TestKeeping:
    async def test_topic_is_dropped_some_time_after_its_last_viewer(
        self, hub, plant, monkeypatch
    ):
        tab = Tab()
        await tab.watch(hub, "plant")
        hub.feed.unwatch(tab.subscriptions["plant"])
        assert "plant" in hub.feed._topics
        monkeypatch.setattr(module, "KEPT_SECONDS", 0.0)
        await until(lambda: not hub.feed._topics)
        assert not hub.switchboard._listening.topics()

    async def test_series_made_while_readings_flow_lose_none(self, hub, plant):
        tab = Tab()
        await tab.watch(hub, "plant")
        for number in range(5):
            series = await do(
                Series.objects.create, device=plant.pump, name=f"new{number}"
            )
            refresh = asyncio.ensure_future(hub.registry.refresh())
            for ms in range(10):
                hub.commit((series.pk, ms, float(ms)))
                await asyncio.sleep(0.003)
            await refresh
            await until(
                lambda key=str(series.pk): (
                    tab.rows("plant").get(key) == [T0 / 1000 + 9, 9.0]
                )
            )
        assert "reset" not in tab.types

    async def test_tick_that_nobody_watches_is_nothing(self, hub, plant):
        hub.commit((plant.temp, 1, 1.0))
        tab = Tab()
        await tab.watch(hub, "device:pump-1")
        hub.commit((plant.temp, 2, 1.0), (2_000_000, 2, 1.0))
        assert hub.feed._topics["device:pump-1"].state.revision == 1


@pytest.fixture(params=["memory", "redis"])
async def two(request):
    """Two processes' live parts over one layer."""
    if request.param == "memory":
        layer = InMemoryChannelLayer()
        layers = [layer, layer]
    else:
        url = request.getfixturevalue("redis_url")
        layers = [
            RedisPubSubChannelLayer(hosts=[url], prefix="telemetry-feed")
            for _ in range(2)
        ]
    hubs = [LiveHub(layer) for layer in layers]
    for hub in hubs:
        await hub.start()
    await until(lambda: all(hub.switchboard._membership.has_channel for hub in hubs))
    yield hubs
    for hub in hubs:
        await hub.stop()
    for layer in layers:
        await layer.flush()


class TestTwoProcesses:
    async def test_page_sees_what_the_other_process_commits(self, two, plant):
        a, b = two
        tab = Tab()
        await tab.watch(b, "plant")
        await until(lambda: "plant" in a.switchboard.wanted())
        await until(lambda: "plant" in a.feed._topics)
        for ms in range(100):
            a.commit(
                (plant.temp, ms, float(ms)),
                (plant.door, ms, float(ms % 2)),
                (plant.state, ms, f"state {ms}"),
            )
            b.commit((plant.pump_temp, ms, float(-ms)))
            await asyncio.sleep(0.005)
        newest = T0 / 1000 + 99
        await until(
            lambda: (
                tab.rows("plant")
                == {
                    str(plant.temp): [newest, 99.0],
                    str(plant.door): [newest, True],
                    str(plant.state): [newest, "state 99"],
                    str(plant.pump_temp): [newest, -99.0],
                }
            )
        )
        assert tab.counts[plant.temp] == 100
        assert tab.counts[plant.pump_temp] == 100

    async def test_processes_do_not_keep_each_other_interested(
        self, two, plant, monkeypatch
    ):
        a, b = two
        tab = Tab()
        await tab.watch(b, "plant")
        await until(lambda: "plant" in a.feed._topics)
        assert not b.switchboard.wanted()
        monkeypatch.setattr(module, "KEPT_SECONDS", 0.5)
        b.feed.unwatch(tab.subscriptions["plant"])
        await until(lambda: not a.feed._topics and not b.feed._topics)

    async def test_reading_what_others_wrote_holds_up_no_hello(
        self, two, plant, monkeypatch
    ):
        reading, go_on = threading.Event(), threading.Event()
        used = []

        def slowly(series_ids):
            found = read_heads(series_ids)
            used.append(connections["default"])
            reading.set()
            assert go_on.wait(20)
            return found

        await until(lambda: two[0].switchboard.has_others())
        monkeypatch.setattr(healing, "read_heads", slowly)
        opening = asyncio.ensure_future(two[0].feed.open("plant"))
        try:
            assert await asyncio.to_thread(reading.wait, 20)
            assert await asyncio.wait_for(do(Series.objects.count), 20)
        finally:
            go_on.set()
        assert await opening is not None
        # Each read on a thread of its own, which keeps no connection.
        assert {each.connection for each in used} == {None}

    async def test_both_processes_show_the_same(self, two, plant):
        tabs = [Tab(), Tab()]
        for tab, hub in zip(tabs, two, strict=True):
            await tab.watch(hub, "plant")
        for hub in two:
            await until(lambda hub=hub: "plant" in hub.switchboard.wanted())
        for ms in range(60):
            two[ms % 2].commit((plant.temp, ms, float(ms)))
            await asyncio.sleep(0.01)
        await until(
            lambda: all(
                tab.rows("plant") == {str(plant.temp): [T0 / 1000 + 59, 59.0]}
                for tab in tabs
            )
        )

    async def test_what_one_knows_of_periods_the_other_tells_its_pages(
        self, two, plant
    ):
        a, b = two
        tab = Tab()
        await tab.watch(b, "plant")
        await until(lambda: "plant" in a.feed._topics)
        for second in range(1, 7):
            a.commit(
                (plant.temp, 2000 * second, 1.0), (plant.state, 2000 * second, "on")
            )
        store = tab.stores.groups["plant"]
        await until(
            lambda: (
                [store.series[each][4] for each in (plant.temp, plant.state)] == [2, 2]
            )
        )
        assert store.devices["boiler-7"][6:] == [2, True]
        assert store.series[plant.flow][4] is None

    async def test_nothing_is_published_that_nobody_elsewhere_watches(self, two, plant):
        a, b = two
        tab = Tab()
        await tab.watch(a, "plant")
        sent = a.switchboard._publishing._offers.tips
        a.commit((plant.temp, 1, 1.0))
        await asyncio.sleep(0.3)
        assert not sent() and not a.feed._topics["plant"].news.rows


@pytest.mark.parametrize(
    ("topics", "seconds"), [(0, 0.1), (300, 0.1), (330, 0.11), (3_000, 1.0)]
)
def test_interval_stretches_where_more_is_watched_than_redis_carries(topics, seconds):
    assert module.publish_seconds(topics) == pytest.approx(seconds)
