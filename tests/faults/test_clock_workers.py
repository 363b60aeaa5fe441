"""The clock of one worker, or of the whole machine, steps by an hour and back.

Two workers on PostgreSQL, under load; devices come and go between them meanwhile.
Whose clock is behind pauses, and the other goes on; nothing is lost or doubled.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import random
import socket
import time
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import pytest

from .cluster import WORKERS, Cluster, running
from .load import PATIENCE_SECONDS, Load, come_true, enrol
from .proxy import Proxy
from .stored import compare
from .viewers import Viewer, assert_right, following, offline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOUR_US = 3_600_000_000
DEVICES = 8
MORE = 300
# What is wrong, and whose clock that makes wrong.
ONE = ("clock_us-worker-1", WORKERS[:1])
ALL = ("clock_us", WORKERS)


class UnixConnection(http.client.HTTPConnection):
    """HTTP to one worker."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Stepped:
    """A cluster under load, whose clocks step."""

    def __init__(
        self, cluster: Cluster, proxy: Proxy, load: Load, viewers: list[Viewer]
    ) -> None:
        self.cluster, self.proxy = cluster, proxy
        self.load, self.viewers = load, viewers

    async def all_to(self, worker: str) -> None:
        """All devices come anew, to this worker."""
        before = self.load.connects
        self.proxy.target = str(self.cluster.socket_path(worker))
        assert self.proxy.cut_all() == DEVICES
        await come_true(
            lambda: self.load.connects >= before + DEVICES,
            f"all devices are at {worker}",
        )

    async def goes_on(
        self,
        what: str,
        on: Collection[str] = WORKERS,
        without: Collection[str] = (),
    ) -> None:
        """On each of these workers, with pages that are right.

        without: devices whose last values are not looked at.
        """
        for worker in on:
            where = f"{what}, all on {worker}"
            await self.all_to(worker)
            await self.load.more_acks(MORE, where)
            await self.is_kept(where)
            async with self.load.quiet(where):
                last = self.load.last_values
                shown = {slug: last[slug] for slug in last if slug not in without}
                await assert_right(self.viewers, shown, where)

    async def pauses(self, what: str, on: Collection[str]) -> None:
        """These workers say why, and their devices wait and are online."""
        for worker in WORKERS:
            await self._is_paused_or_not(worker, worker in on, what)
        for worker in on:
            where = f"{what}, all on {worker}"
            await self.all_to(worker)
            await come_true(lambda: self.load.are_paused, f"all wait: {where}")
            acked = self.load.acked_count
            await asyncio.sleep(2)
            assert self.load.acked_count == acked, where
            for viewer in self.viewers:
                await come_true(
                    lambda viewer=viewer: not offline(viewer.store, self.load.promises),
                    f"all are online at {viewer.worker}: {where}",
                )
            await self.is_kept(where)

    async def is_kept(self, what: str) -> None:
        promises = self.load.promises
        stored = await self.cluster.stored()
        compare(stored, promises, self.load.sent_values).assert_whole(what)

    async def _is_paused_or_not(self, worker: str, wanted: bool, what: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while await asyncio.to_thread(self.is_paused, worker) != wanted:
            assert time.monotonic() < until, f"{worker} pauses: {not wanted}, {what}"
            await asyncio.sleep(0.1)

    def is_paused(self, worker: str) -> bool:
        """Whether it says that its clock is an hour behind; ready if not."""
        connection = UnixConnection(self.cluster.socket_path(worker))
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert (b"clock is 3" in body) == (answer.status == 503), body
        return answer.status == 503


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, TELEMETRY_SEAL_READINGS="5000", TELEMETRY_SEAL_SECONDS="5")
    try:
        made.faults.on("hurry", 1)
        made.set_up()
        yield made
    finally:
        made.end()


@contextlib.asynccontextmanager
async def under_load(cluster: Cluster) -> AsyncIterator[Stepped]:
    """A hub that runs, with devices; in the end nothing is lost or doubled."""
    keys = enrol(cluster.hub, DEVICES)
    cookie = cluster.sign_in()
    async with (
        running(cluster),
        Proxy(cluster.hub.port, random.Random(1)) as proxy,
        following([Viewer(cluster, each, cookie) for each in WORKERS]) as viewers,
    ):
        load = Load(proxy.url, keys, pause_seconds=0.05, clockless=sorted(keys)[::2])
        stepped = Stepped(cluster, proxy, load, viewers)
        async with load.running():
            await load.more_acks(MORE, "the start")
            yield stepped
        assert not load.rejections, load.rejections[:3]
        await stepped.is_kept("all of it")
    print(
        f"\nclock steps of an hour: {load.acked_count} readings acked, 0 lost, "
        f"0 doubled; {load.connects} connections"
    )


async def test_whose_clock_steps_back_pauses_and_the_other_goes_on(cluster: Cluster):
    async with under_load(cluster) as stepped:
        for fault, wrong in (ONE, ALL):
            what = f"a step back of {' and '.join(wrong)}"
            cluster.faults.on(fault, -HOUR_US)
            await stepped.pauses(what, wrong)
            right = [each for each in WORKERS if each not in wrong]
            await stepped.goes_on(what, right)
            cluster.faults.off(fault)
            await stepped.goes_on(f"the end of {what}")


async def test_whose_clock_was_ahead_pauses_when_it_is_put_right(cluster: Cluster):
    async with under_load(cluster) as stepped:
        what = "a step ahead of worker-1"
        cluster.faults.on("clock_us-worker-1", HOUR_US)
        await stepped.goes_on(what, ["worker-1"])
        # Right again, and behind what it stamped.
        cluster.faults.off("clock_us-worker-1")
        await stepped.pauses(f"the end of {what}", ["worker-1"])
        # For that hour a reading that was stamped ahead stays the current one.
        stamped = stepped.load.clockless
        await stepped.goes_on(f"the end of {what}", ["worker-2"], stamped)
        cluster.faults.on("clock_us", HOUR_US)
        await stepped.goes_on(f"an hour after {what}")

        what = "a step ahead of both"
        cluster.faults.on("clock_us", 2 * HOUR_US)
        await stepped.goes_on(what)
        cluster.faults.on("clock_us", HOUR_US)
        await stepped.pauses(f"the end of {what}", WORKERS)
        cluster.faults.on("clock_us", 2 * HOUR_US)
        await stepped.goes_on(f"an hour after {what}")
