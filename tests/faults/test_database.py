"""A locked or full database under load: no ack, a pause, then all is stored."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.processes import HubProcess, fetch

from .load import Load, assert_each_stored_once, come_true, enrol, rss_bytes
from .switches import Faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1024 * 1024
# `TELEMETRY_HELD_BYTES`, and what the sockets' buffers and Python add to it.
MOST_MORE_BYTES = (64 + 32) * MIB


@contextlib.contextmanager
def locked(hub: HubProcess) -> Iterator[None]:
    """Another process writes for longer than the hub waits for it."""
    path = hub.data_dir / "hub.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def flooding(hub: HubProcess, key: str) -> AsyncIterator[asyncio.Event]:
    """A device that sends as fast as it can, without numbers and without reading.

    After its first batch it waits for the event.
    """
    frame = json.dumps(
        {
            "type": "data",
            "base": 1_795_341_600_000,
            "columns": ["noise"],
            "rows": [[at, at / 7] for at in range(1_000)],
        }
    )

    async def send() -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await flood.send(frame)
                await may_flood.wait()

    may_flood = asyncio.Event()

    url = f"ws{hub.url.removeprefix('http')}/ws/device"
    headers = {"Authorization": f"Bearer {key}"}
    async with connect(
        url, additional_headers=headers, compression=None, proxy=None
    ) as flood:
        task = asyncio.ensure_future(send())
        try:
            yield may_flood
        finally:
            task.cancel()


async def assert_paused(load: Load, hub: HubProcess) -> None:
    """No ack, window 0, and the hub says why."""
    await come_true(lambda: load.are_paused, "all devices are told to wait")
    acked = load.acked_count
    status, _, body = await asyncio.to_thread(fetch, f"{hub.url}/readyz")
    assert status == 503
    assert "database takes no commits" in json.loads(body)["reasons"][0]
    assert (await asyncio.to_thread(fetch, f"{hub.url}/healthz"))[0] == 200
    await asyncio.sleep(1)
    assert load.acked_count == acked


async def assert_goes_on(load: Load, hub: HubProcess) -> None:
    await load.more_acks(1_000)
    assert (await asyncio.to_thread(fetch, f"{hub.url}/readyz"))[0] == 200
    assert not load.endings


async def test_a_locked_database_pauses_devices_and_loses_nothing(hub: HubProcess):
    keys = enrol(hub, 9)
    _, flood_key = keys.popitem()
    load = Load(hub.url, keys)
    await asyncio.to_thread(hub.start)
    async with load.running(), flooding(hub, flood_key) as may_flood:
        await load.more_acks(1_000)
        before = rss_bytes(hub.pid)
        most = before
        with locked(hub):
            may_flood.set()
            await assert_paused(load, hub)
            # Longer than the hub waits for a lock.
            for _ in range(120):
                await asyncio.sleep(0.1)
                most = max(most, rss_bytes(hub.pid))
            await assert_paused(load, hub)
            may_flood.clear()
        # What it was allowed to hold, it held: there was a flood.
        assert 40 * MIB < most - before < MOST_MORE_BYTES
        await assert_goes_on(load, hub)
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)


async def test_a_full_disk_pauses_devices_until_there_is_space(
    hub: HubProcess, faults: Faults
):
    load = Load(hub.url, enrol(hub, 8), rows=100)
    with contextlib.closing(sqlite3.connect(hub.data_dir / "hub.sqlite3")) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
    faults.on("most_pages", pages + 100)
    await asyncio.to_thread(hub.start)
    async with load.running():
        await assert_paused(load, hub)
        assert load.acked_count
        faults.off("most_pages")
        await assert_goes_on(load, hub)
    assert await asyncio.to_thread(hub.stop) == 0
    assert "full" in hub.output
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)


async def test_sigterm_while_the_database_is_locked_ends_in_time(hub: HubProcess):
    # Beside these it takes as long as one write waits for the lock: 10 s.
    hub.variables["TELEMETRY_DRAIN_SECONDS"] = "5"
    load = Load(hub.url, enrol(hub, 4))
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(100)
        with locked(hub):
            await come_true(lambda: load.are_paused, "all devices are told to wait")
            # `stop` fails the test after 30 s.
            assert await asyncio.to_thread(hub.stop) == 0
        await asyncio.to_thread(hub.start)
    hub.kill()
    assert_each_stored_once(load, hub.data_dir)
