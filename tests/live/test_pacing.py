"""telemetry.live.pacing over real sockets: who acks slowly is sent less, never late."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import T0, watching

pytestmark = pytest.mark.django_db(transaction=True)
MS = T0 // 1000


class TestFlow:
    async def test_at_most_two_frames_without_an_ack_and_then_one_merged(
        self, live, staff, plant
    ):
        page, _ = await watching(live, staff, "plant")
        snapshot = await page.receive("snapshot")
        live.hub.commit((plant.temp, 1, 1.0))
        first = await page.receive("update")
        for ms in range(2, 12):
            live.hub.commit((plant.temp, ms, float(ms)))
            await asyncio.sleep(0.02)
        assert await page.is_silent()
        await page.ack(snapshot)
        merged = await page.receive("update")
        assert merged["rows"] == [[plant.temp, MS + 11, 11.0, 2.0, 11.0, 10]]
        live.hub.commit((plant.temp, 20, 0.0))
        assert await page.is_silent()
        await page.ack(first)
        assert (await page.receive("update"))["rows"] == [[plant.temp, MS + 20, 0.0]]

    async def test_ack_of_the_newest_covers_the_older(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.receive("snapshot")
        live.hub.commit((plant.temp, 1, 1.0))
        await page.ack(await page.receive("update"))
        for ms in (2, 3):
            live.hub.commit((plant.temp, ms, 1.0))
            await page.receive("update")

    async def test_acks_of_nothing_do_nothing(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.receive("snapshot")
        for revision in (-1, 0, 2**80):
            await page.send(type="ack", group="nothing", revision=revision)
        await page.send(type="ack", group="plant", revision=0)
        live.hub.commit((plant.temp, 1, 1.0))
        await page.receive("update")
        live.hub.commit((plant.temp, 2, 1.0))
        assert await page.is_silent()

    async def test_page_that_never_acks_is_closed_with_4408(
        self, live, staff, plant, settings
    ):
        settings.TELEMETRY_LIVE_ACK_SECONDS = 1
        page, _ = await watching(live, staff, "plant")
        code, bye = await page.closed()
        assert code == 4408
        assert bye is not None

    async def test_past_the_ring_is_a_gap_and_a_snapshot(
        self, live, staff, plant, settings
    ):
        settings.TELEMETRY_LIVE_RING_BYTES = 65_536
        page, _ = await watching(live, staff, "plant")
        snapshot = await page.receive("snapshot")
        live.hub.commit((plant.temp, 1, 1.0))
        await page.receive("update")
        for ms in range(2, 400):
            live.hub.commit((plant.temp, ms, float(ms)))
        await page.ack(snapshot)
        assert await page.receive() == {
            "type": "reset",
            "group": "plant",
            "reason": "gap",
        }
        again = await page.receive()
        assert again["type"] == "snapshot"
        assert [plant.temp, MS + 399, 399.0] in again["rows"]

    async def test_each_interval_gets_its_own_pace(self, live, staff, plant):
        slow, _ = await watching(live, staff, "plant", interval_ms=1000)
        fast, _ = await watching(live, staff, "plant", interval_ms=100)
        counts = {}
        for name, page in (("slow", slow), ("fast", fast)):
            await page.ack(await page.receive("snapshot"))
            counts[name] = 0

        async def read(name, page):
            while True:
                await page.ack(await page.receive("update"))
                counts[name] += 1

        readers = [
            asyncio.ensure_future(read(name, page))
            for name, page in (("slow", slow), ("fast", fast))
        ]
        for ms in range(120):
            live.hub.commit((plant.temp, ms, 1.0))
            await asyncio.sleep(0.02)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert counts["fast"] > 3 * counts["slow"] > 0

    async def test_reader_that_stalls_holds_up_nobody(
        self, live, staff, plant, monkeypatch
    ):
        stalled, _ = await watching(live, staff, "plant")
        stalled.socket.transport.pause_reading()
        page, _ = await watching(live, staff, "plant")
        await page.ack(await page.receive("snapshot"))
        for ms in range(1, 30):
            live.hub.commit((plant.temp, ms, 1.0))
            await page.ack(await page.receive("update"))
        # So that its end needs no time-out.
        stalled.socket.transport.resume_reading()
