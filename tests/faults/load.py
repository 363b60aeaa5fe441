"""Devices that send under faults, and what the hub's file holds of them afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from telemetry.fleet.backoff import Ending
from telemetry.fleet.batch import batch_of
from telemetry.fleet.device import Account, Device, Silent, device_url
from telemetry.fleet.outbox import Sent
from telemetry.history.journal import decode_columns
from telemetry.history.pack import unpack
from telemetry.protocol.messages import Ack
from tests.processes import HubProcess

METRIC = "count"
# Far longer than anything here takes: only a hub that hangs meets it.
PATIENCE_SECONDS = 60.0


def enrol(hub: HubProcess, devices: int) -> dict[str, str]:
    """Make devices in one group; keys by slug."""
    names = [f"device-{n}" for n in range(1, devices + 1)]
    lines = hub.manage("createdevice", *names, "--group", "floor").splitlines()
    return dict(line.split("\t") for line in lines)


class Load(Silent):
    """Devices that count: each reading of one has the next number as its value."""

    def __init__(self, url: str, keys: Mapping[str, str], rows: int = 10) -> None:
        self.devices = [
            Device(Account(device_url(url), slug, key), observer=self)
            for slug, key in keys.items()
        ]
        self.rows = rows
        self.sent_values: dict[str, int] = dict.fromkeys(keys, 0)
        self.acked_values: defaultdict[str, list[int]] = defaultdict(list)
        self.rejections: list[Ack] = []
        self.endings: list[Ending] = []
        self.connects = 0
        self._started_us = int(time.time() * 1e6) - 60_000_000
        self._stop = asyncio.Event()

    def acked(self, device: Device, sent: Sent, seconds: float) -> None:
        for _, _, value in sent.batch.each():
            assert isinstance(value, int)
            self.acked_values[device.slug].append(value)

    def rejected(self, device: Device, ack: Ack) -> None:
        self.rejections.append(ack)

    def connected(self, device: Device) -> None:
        self.connects += 1

    def disconnected(self, device: Device, ending: Ending) -> None:
        self.endings.append(ending)

    @property
    def acked_count(self) -> int:
        return sum(map(len, self.acked_values.values()))

    @property
    def are_paused(self) -> bool:
        """Whether every device is connected, and told to wait."""
        return all(
            device.is_connected and not device.outbox.window for device in self.devices
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Send until the end of the context; then all that was sent is acked."""
        tasks = [asyncio.ensure_future(device.run()) for device in self.devices]
        tasks += [asyncio.ensure_future(self._feed(device)) for device in self.devices]
        try:
            yield self
            self._stop.set()
            await asyncio.gather(*tasks[len(self.devices) :])
            drained = [device.drained() for device in self.devices]
            await asyncio.wait_for(asyncio.gather(*drained), PATIENCE_SECONDS)
        finally:
            for device in self.devices:
                await device.close()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _feed(self, device: Device) -> None:
        while not self._stop.is_set():
            first = self.sent_values[device.slug]
            rows = [
                (self._started_us + value * 1_000, [value])
                for value in range(first, first + self.rows)
            ]
            self.sent_values[device.slug] += self.rows
            await device.send(batch_of([METRIC], rows))

    async def more_acks(self, readings: int) -> None:
        """Wait until so many more readings are acked."""
        until = self.acked_count + readings
        await come_true(lambda: self.acked_count >= until, f"{readings} more acked")


async def come_true(is_true: Callable[[], bool], what: str) -> None:
    """Return as soon as `is_true()`; fail the test if it does not come true."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        if time.monotonic() > until:
            pytest.fail(f"{what} within {PATIENCE_SECONDS} s")
        await asyncio.sleep(0.01)


def stored_values(data_dir: Path) -> dict[str, list[int]]:
    """What the journal holds of each device, in order of arrival, repeats included.

    With blocks: what is in them, and what of the journal is not, in order.
    """
    with contextlib.closing(sqlite3.connect(data_dir / "hub.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        slugs = dict(
            database.execute(
                "SELECT s.id, d.slug FROM telemetry_series s"
                " JOIN telemetry_device d ON d.id = s.device_id WHERE s.name = ?",
                [METRIC],
            )
        )
        in_journal = _in_journal(database)
        in_blocks = _in_blocks(database)
    found: defaultdict[str, list[int]] = defaultdict(list)
    for id_, slug in slugs.items():
        sealed = in_blocks[id_]
        # A pass that was killed leaves rows behind that are in blocks already.
        held = set(sealed)
        rest = [value for value in in_journal[id_] if value not in held]
        if sealed or rest:
            found[slug] = sorted(sealed + rest) if sealed else rest
    return found


def _in_journal(database: sqlite3.Connection) -> defaultdict[int, list[int]]:
    rows = database.execute(
        "SELECT columns FROM telemetry_journal ORDER BY writer_id, number"
    )
    found: defaultdict[int, list[int]] = defaultdict(list)
    for (columns,) in rows:
        series, _, values = decode_columns(columns)
        for id_, value in zip(series.tolist(), values.tolist(), strict=True):
            found[id_].append(int(value))
    return found


def _in_blocks(database: sqlite3.Connection) -> defaultdict[int, list[int]]:
    rows = database.execute(
        "SELECT series_id, length, data FROM telemetry_block"
        " WHERE resolution_seconds = 0 ORDER BY start_us, part"
    )
    found: defaultdict[int, list[int]] = defaultdict(list)
    for id_, length, data in rows:
        _, values = unpack(data, length)
        found[id_] += [int(value) for value in values.tolist()]
    return found


def assert_each_stored_once(load: Load, data_dir: Path) -> None:
    """All that was sent is stored, in order, each once; after `Load.running`."""
    stored = stored_values(data_dir)
    assert load.sent_values.keys() == stored.keys()
    for slug, sent in load.sent_values.items():
        assert load.acked_values[slug] == list(range(sent))
        assert stored[slug] == list(range(sent))


def rss_bytes(pid: int) -> int:
    """Memory that a process has in RAM."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4096
