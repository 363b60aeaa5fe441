"""A primary that does not answer: pages do not wait for it, and its standby takes over.

The process stands still while its kernel answers, or the whole machine is silent.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.processes import HubProcess

from .cluster import signed_in
from .load import Load, enrol
from .pair import Pair, machine, pair
from .stored import compare, stored_on
from .system import send

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DEVICES = 6
MORE = 300
STATEMENT_SECONDS = "3"
# Twice what the slowest takes: TCP's patience, and then a new connection.
ANSWER_SECONDS = 60
ROUNDS = 20
# Each asks the database, the first one on the thread of sockets.
READINGS = "/api/v1/readings?device=device-1&metric=count"
PATHS = ("/readyz", "/g/floor", READINGS)


def new_hub(tmp_path: Path, set_up_data_dir: Path, servers: Pair) -> HubProcess:
    """One with all that a page needs, and tables on the primary."""
    shutil.copytree(set_up_data_dir, tmp_path / "var")
    hub = HubProcess(
        tmp_path / "var",
        "serve",
        variables={
            "DATABASE_URL": servers.url,
            "TELEMETRY_DEVICE_RATE": "0",
            "TELEMETRY_CONNECTS_PER_MINUTE": "6000",
            "TELEMETRY_STATEMENT_SECONDS": STATEMENT_SECONDS,
        },
    )
    hub.manage("migrate", "--verbosity", "0")
    return hub


@pytest.fixture
def servers() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture
def hub(tmp_path: Path, set_up_data_dir: Path, servers: Pair) -> Iterator[HubProcess]:
    process = new_hub(tmp_path, set_up_data_dir, servers)
    yield process
    process.end()


@dataclass(frozen=True)
class Visitor:
    """Somebody with a browser and a script, who may see all."""

    hub: HubProcess
    headers: dict[str, str]

    @classmethod
    def of(cls, hub: HubProcess) -> Visitor:
        script = ("createtoken", "script", "--user", "viewer", "--kind", "script")
        cookie = signed_in(hub)
        token = hub.manage(*script).strip()
        return cls(hub, {"Cookie": cookie, "Authorization": f"Bearer {token}"})

    async def statuses(self) -> list[int]:
        """Of an answer to each path; one that does not come fails the test."""
        return await asyncio.gather(
            *(asyncio.to_thread(self._status, path) for path in PATHS)
        )

    def _status(self, path: str) -> int:
        request = Request(self.hub.url + path, headers=self.headers)
        try:
            with urlopen(request, timeout=ANSWER_SECONDS) as answer:
                status: int = answer.status
        except HTTPError as error:
            with error:
                status = error.code
        return status


async def assert_failed_over(
    visitor: Visitor, servers: Pair, load: Load, what: str
) -> None:
    """From the moment at which the primary does not answer."""
    for _ in range(2):
        # Those of the second round find connections that were given up.
        statuses = await visitor.statuses()
        assert statuses == [503] * len(PATHS), f"{what}: {statuses}"
    await asyncio.to_thread(servers.standby.promote)
    await load.more_acks(MORE, what)
    for _ in range(ROUNDS):
        statuses = await visitor.statuses()
        if statuses == [200] * len(PATHS):
            return
        # Somebody else's call may have waited for the primary until now.
        await asyncio.sleep(1)
    pytest.fail(f"{what}: {statuses}")


async def test_a_primary_that_stands_still_is_given_up(
    hub: HubProcess, servers: Pair
) -> None:
    what = "SIGSTOP of the primary for good"
    load = Load(hub.url, enrol(hub, DEVICES), pause_seconds=0.02)
    visitor = Visitor.of(hub)
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(MORE, "the start")
        send(servers.primary.pids, signal.SIGSTOP)
        await assert_failed_over(visitor, servers, load, what)
    assert await asyncio.to_thread(hub.stop) == 0
    stored = await asyncio.to_thread(stored_on, servers.standby.url())
    compare(stored, load.promises, load.sent_values).assert_whole(what)
    assert not load.rejections


async def test_a_primary_whose_machine_falls_silent_is_given_up(
    tmp_path: Path, set_up_data_dir: Path
) -> None:
    what = "a silent machine"
    with machine() as other, pair(other.address, other.run) as servers:
        hub = new_hub(tmp_path, set_up_data_dir, servers)
        # Long enough for TCP to notice first.
        hub.variables["TELEMETRY_STATEMENT_SECONDS"] = "600"
        load = Load(hub.url, enrol(hub, DEVICES), pause_seconds=0.02)
        visitor = Visitor.of(hub)
        try:
            await asyncio.to_thread(hub.start)
            async with load.running():
                await load.more_acks(MORE, "the start")
                other.fall_silent()
                await assert_failed_over(visitor, servers, load, what)
            assert await asyncio.to_thread(hub.stop) == 0
            stored = await asyncio.to_thread(stored_on, servers.standby.url())
        finally:
            hub.end()
    compare(stored, load.promises, load.sent_values).assert_whole(what)
    assert not load.rejections
