"""Devices that send under faults and know what they were promised."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from telemetry.fleet.backoff import Ending
from telemetry.fleet.batch import Batch, batch_of
from telemetry.fleet.device import Account, Device, Silent, device_url
from telemetry.fleet.outbox import Sent
from telemetry.protocol.messages import Ack, Data
from tests.processes import HubProcess

from .stored import METRIC, compare, stored_values

# Far longer than anything here takes: only a hub that hangs meets it.
PATIENCE_SECONDS = 60.0


def enrol(hub: HubProcess, devices: int) -> dict[str, str]:
    """Make devices in one group; keys by slug."""
    names = [f"device-{n}" for n in range(1, devices + 1)]
    lines = hub.manage("createdevice", *names, "--group", "floor").splitlines()
    return dict(line.split("\t") for line in lines)


@dataclass(frozen=True, slots=True)
class Timeless(Batch):
    """One reading that the hub stamps: only its `seq` keeps it from being doubled."""

    def message(self, seq: int) -> Data:
        ((_, values),) = self.rows
        return Data(seq=seq, values=dict(zip(self.columns, values, strict=True)))


class Load(Silent):
    """Devices that count: each reading of one has the next number as its value.

    rows: readings a batch. pause_seconds: between two batches of a device.
    clockless: slugs of devices that send one reading a batch, without a time.
    """

    def __init__(
        self,
        url: str,
        keys: Mapping[str, str],
        rows: int = 10,
        *,
        pause_seconds: float = 0.0,
        clockless: Collection[str] = (),
    ) -> None:
        self.devices = [
            Device(Account(device_url(url), slug, key), observer=self)
            for slug, key in keys.items()
        ]
        self.rows = rows
        self.pause_seconds = pause_seconds
        self.clockless = frozenset(clockless)
        self.sent_values: dict[str, int] = dict.fromkeys(keys, 0)
        self.acked_values: defaultdict[str, list[int]] = defaultdict(list)
        self.rejections: list[Ack] = []
        self.endings: list[Ending] = []
        self.connects = 0
        self._started_us = int(time.time() * 1e6) - 60_000_000
        self._stop = asyncio.Event()
        self._may_send = asyncio.Event()
        self._may_send.set()
        # Feeders that have nothing to do, because they are asked to be quiet.
        self._waiting = 0

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
    def promises(self) -> dict[str, int]:
        """How far each device was told that it is on disk."""
        return {slug: len(self.acked_values[slug]) for slug in self.sent_values}

    @property
    def are_paused(self) -> bool:
        """Whether every device is connected, and told to wait."""
        return all(
            device.is_connected and not device.outbox.window for device in self.devices
        )

    def rows_of(self, slug: str) -> int:
        """Readings in a batch of this device."""
        return 1 if slug in self.clockless else self.rows

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Send until the end of the context; then all that was sent is acked."""
        tasks = [asyncio.ensure_future(device.run()) for device in self.devices]
        tasks += [asyncio.ensure_future(self._feed(device)) for device in self.devices]
        try:
            yield self
            self._stop.set()
            await asyncio.gather(*tasks[len(self.devices) :])
            await self.drained()
        finally:
            await asyncio.gather(*(device.close() for device in self.devices))
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def last_values(self) -> dict[str, int]:
        """The newest reading of each device."""
        return {slug: count - 1 for slug, count in self.sent_values.items()}

    @contextlib.asynccontextmanager
    async def quiet(self, after: str) -> AsyncIterator[None]:
        """Nothing is sent in here, and all that was sent before is acked."""
        self._may_send.clear()
        try:
            # A feeder that was not waiting hands over its batch.
            await come_true(
                lambda: self._waiting == len(self.devices), f"silence after {after}"
            )
            await self.drained(after)
            yield
        finally:
            self._may_send.set()

    async def drained(self, after: str = "") -> None:
        """Wait until all that was sent is acked."""
        waiting = asyncio.gather(*(device.drained() for device in self.devices))
        try:
            await asyncio.wait_for(waiting, PATIENCE_SECONDS)
        except asyncio.TimeoutError:
            held = {
                each.slug: (len(each.outbox), each.is_connected)
                for each in self.devices
                if len(each.outbox)
            }
            pytest.fail(f"not all is acked, after {after or 'the load'}: {held}")

    async def _feed(self, device: Device) -> None:
        count = self.rows_of(device.slug)
        while not self._stop.is_set():
            if not self._may_send.is_set():
                self._waiting += 1
                await self._may_send.wait()
                self._waiting -= 1
            first = self.sent_values[device.slug]
            rows = [
                (self._started_us + value * 1_000, [value])
                for value in range(first, first + count)
            ]
            batch = batch_of([METRIC], rows)
            if device.slug in self.clockless:
                batch = Timeless(batch.base_ms, batch.columns, batch.rows)
            self.sent_values[device.slug] += count
            await device.send(batch)
            if self.pause_seconds:
                await asyncio.sleep(self.pause_seconds)

    async def more_acks(self, readings: int, after: str = "") -> None:
        """Wait until so many more readings are acked."""
        until = self.acked_count + readings
        what = f"{readings} more acked{after and f' after {after}'}"
        await come_true(lambda: self.acked_count >= until, what)


class Resumed(Load):
    """The same devices after a cut: they go on from what the hub says it has."""

    def __init__(self, url: str, keys: Mapping[str, str], before: Load) -> None:
        super().__init__(url, keys, before.rows, clockless=before.clockless)
        self._started_us = before._started_us
        for device, old in zip(self.devices, before.devices, strict=True):
            device.session = old.session

    async def _feed(self, device: Device) -> None:
        await device.welcomed()
        has = device.outbox.acked * self.rows_of(device.slug)
        self.sent_values[device.slug] = has
        # Told by `welcome`: nothing of it is sent again.
        self.acked_values[device.slug] = list(range(has))
        await super()._feed(device)


async def come_true(is_true: Callable[[], bool], what: str | Callable[[], str]) -> None:
    """Return as soon as `is_true()`; fail the test if it does not come true.

    what: is to be so; a function says it when it has not come true.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        if time.monotonic() > until:
            said = what if isinstance(what, str) else what()
            pytest.fail(f"{said} within {PATIENCE_SECONDS} s")
        await asyncio.sleep(0.01)


def assert_each_stored_once(
    load: Load, data_dir: Path, what: str = "the faults"
) -> None:
    """All that was sent is stored, in order, each once; after `Load.running`."""
    stored = stored_values(data_dir)
    compare(stored, load.promises, load.sent_values).assert_whole(what)
    assert load.sent_values.keys() == stored.keys()
    for slug, sent in load.sent_values.items():
        assert load.acked_values[slug] == list(range(sent))
        assert stored[slug] == list(range(sent))


def rss_bytes(pid: int) -> int:
    """Memory that a process has in RAM."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4096
