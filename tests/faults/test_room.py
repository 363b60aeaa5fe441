"""A disk that runs full and a journal that nobody seals: a pause, and no loss."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from websockets.asyncio.client import connect

from telemetry.history.journal import READING_BYTES, encode_columns
from tests.processes import HubProcess, fetch

from .load import PATIENCE_SECONDS, Load, assert_each_stored_once, come_true, enrol
from .switches import Faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1_048_576
RESERVE_BYTES = 100 * MIB
JOURNAL_BYTES = 64 * MIB
# Of a series that there is not.
STRANGER = 1_000_000
ROW_READINGS = 20_000


class Refusal(NamedTuple):
    """An answer by HTTP that lets nobody in."""

    status: int
    retry_after: str | None
    message: str


def post(hub: HubProcess, key: str) -> Refusal:
    """One reading by HTTP, which has to be refused."""
    body = json.dumps({"values": {"by_http": 1}}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(f"{hub.url}/api/v1/ingest", body, headers), timeout=30)
    with refused.value as answer:
        message = json.loads(answer.read())["message"]
        return Refusal(answer.code, answer.headers["Retry-After"], message)


async def why_not_ready(hub: HubProcess) -> str:
    status, _, body = await asyncio.to_thread(fetch, f"{hub.url}/readyz")
    assert status == 503
    return "; ".join(json.loads(body)["reasons"])


async def assert_paused(load: Load, hub: HubProcess, key: str, why: str) -> None:
    """Window 0 for every device, no ack, and each door says why."""
    await come_true(lambda: load.are_paused, "all devices are told to wait")
    until = time.monotonic() + PATIENCE_SECONDS
    while why not in (reasons := await why_not_ready(hub)):
        assert time.monotonic() < until, reasons
        await asyncio.sleep(0.1)
    refusal = await asyncio.to_thread(post, hub, key)
    assert refusal.status == 503
    assert refusal.retry_after
    assert why in refusal.message
    # What came before is on its way to the disk still.
    await asyncio.sleep(0.5)
    acked = load.acked_count
    await asyncio.sleep(1)
    assert load.acked_count == acked


async def assert_goes_on(load: Load, hub: HubProcess) -> None:
    await load.more_acks(1_000)
    assert (await asyncio.to_thread(fetch, f"{hub.url}/readyz"))[0] == 200
    assert not load.endings


async def sends_all_the_same(hub: HubProcess, key: str) -> asyncio.Task[dict]:
    """A device that does not know `flow`: its ack, when it comes."""
    url = f"ws{hub.url.removeprefix('http')}/ws/device"
    header = {"Authorization": f"Bearer {key}"}

    async def send() -> dict:
        async with connect(url, additional_headers=header, proxy=None) as socket:
            await socket.send(json.dumps({"type": "hello", "session": "deaf"}))
            await socket.send(
                json.dumps({"type": "data", "seq": 1, "values": {"deaf": 1}})
            )
            sent.set()
            while True:
                message: dict = json.loads(await socket.recv())
                if message["type"] == "ack":
                    return message

    sent = asyncio.Event()
    task = asyncio.ensure_future(send())
    await sent.wait()
    return task


async def test_a_disk_that_is_nearly_full_pauses_devices(
    hub: HubProcess, faults: Faults
):
    hub.variables["TELEMETRY_DISK_RESERVE_BYTES"] = str(RESERVE_BYTES)
    keys = enrol(hub, 9)
    _, key = keys.popitem()
    load = Load(hub.url, keys)
    faults.on("free_bytes", RESERVE_BYTES)
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(1_000)
        faults.on("free_bytes", RESERVE_BYTES - 1)
        await assert_paused(load, hub, key, "the disk has 99 MiB free")
        deaf = await sends_all_the_same(hub, key)
        # Less than a tenth more: it would soon be full again.
        faults.on("free_bytes", RESERVE_BYTES + MIB)
        await assert_paused(load, hub, key, "the disk has 101 MiB free")
        assert not deaf.done()
        faults.on("free_bytes", 2 * RESERVE_BYTES)
        await assert_goes_on(load, hub)
        assert (await asyncio.wait_for(deaf, 30))["seq"] == 1
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)


async def test_a_hub_that_starts_on_a_full_disk_waits(hub: HubProcess, faults: Faults):
    hub.variables["TELEMETRY_DISK_RESERVE_BYTES"] = str(RESERVE_BYTES)
    keys = enrol(hub, 3)
    _, key = keys.popitem()
    load = Load(hub.url, keys)
    faults.on("free_bytes", 0)
    await asyncio.to_thread(hub.start)
    async with load.running():
        await assert_paused(load, hub, key, "the disk has 0 MiB free")
        assert not load.acked_count
        faults.off("free_bytes")
        await assert_goes_on(load, hub)
    assert await asyncio.to_thread(hub.stop) == 0
    assert_each_stored_once(load, hub.data_dir)


def online(hub: HubProcess) -> int:
    with database(hub) as opened:
        (count,) = opened.execute(
            "SELECT COUNT(*) FROM telemetry_devicepresence WHERE is_online"
        ).fetchone()
    return int(count)


async def test_who_leaves_while_the_doors_are_closed_is_not_online(
    hub: HubProcess, faults: Faults
):
    hub.variables["TELEMETRY_PRESENCE_SECONDS"] = "0.1"
    keys = enrol(hub, 2)
    faults.on("free_bytes", 0)
    await asyncio.to_thread(hub.start)
    waiting = [await sends_all_the_same(hub, key) for key in keys.values()]
    await come_true(lambda: online(hub) == 2, "both are online")
    # Its socket was held with a batch that nobody takes.
    waiting[0].cancel()
    await come_true(lambda: online(hub) == 1, "one has gone")
    # Nor does such a batch keep a hub from stopping.
    assert await asyncio.to_thread(hub.stop) == 0
    await asyncio.gather(*waiting, return_exceptions=True)


@contextlib.contextmanager
def database(hub: HubProcess) -> Iterator[sqlite3.Connection]:
    path = hub.data_dir / "hub.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as opened, opened:
        yield opened


def fill(hub: HubProcess, readings: int) -> None:
    """Another process's journal rows that are not sealed."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    with database(hub) as opened:
        (writer,) = opened.execute(
            "INSERT INTO telemetry_writer"
            " (started_at, heartbeat_at, ended_at, sealed_to, folded_to)"
            " VALUES (?, ?, ?, 0, ?) RETURNING id",
            [now, now, now, -(-readings // ROW_READINGS)],
        ).fetchone()
        for number, start in enumerate(range(0, readings, ROW_READINGS), 1):
            count = min(ROW_READINGS, readings - start)
            row = encode_columns(
                np.full(count, STRANGER, np.int32),
                np.arange(start, start + count) + 1_795_000_000_000_000,
                np.zeros(count),
            )
            opened.execute(
                "INSERT INTO telemetry_journal"
                " (writer_id, number, received_at, count, marks, columns)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [writer, number, now, count, b"\x90", row],
            )


def hold_lease(hub: HubProcess) -> None:
    """Another worker may change blocks for as long as it likes, and does nothing."""
    with database(hub) as opened:
        opened.execute(
            "INSERT INTO telemetry_lease (name, token, expires_at)"
            " VALUES ('history', 1000, '2100-01-01')"
        )
        opened.execute(
            "CREATE TRIGGER held BEFORE UPDATE ON telemetry_lease"
            " BEGIN SELECT RAISE(IGNORE); END"
        )


def release_lease(hub: HubProcess) -> None:
    with database(hub) as opened:
        opened.execute("DROP TRIGGER held")
        opened.execute("UPDATE telemetry_lease SET expires_at = '2000-01-01'")


async def test_a_journal_that_nobody_seals_pauses_devices(hub: HubProcess):
    hub.variables["TELEMETRY_JOURNAL_BYTES"] = str(JOURNAL_BYTES)
    keys = enrol(hub, 9)
    _, key = keys.popitem()
    load = Load(hub.url, keys)
    hold_lease(hub)
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(1_000)
        await asyncio.to_thread(fill, hub, JOURNAL_BYTES // READING_BYTES)
        await assert_paused(load, hub, key, "the journal holds 6")
        deaf = await sends_all_the_same(hub, key)
        await asyncio.sleep(1)
        assert not deaf.done()
        # The sealer makes room by itself.
        await asyncio.to_thread(release_lease, hub)
        await assert_goes_on(load, hub)
        assert (await asyncio.wait_for(deaf, 30))["seq"] == 1
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections
    assert_each_stored_once(load, hub.data_dir)
