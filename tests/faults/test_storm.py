"""Two thousand devices whose hub restarts come back all at once; none is lost."""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.fleet import backoff
from telemetry.fleet.device import Device

from .cluster import WORKERS, Cluster, running
from .load import Load, come_true, enrol
from .stored import compare
from .system import send

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DEVICES = 2_000
# Sockets of the devices, and of a worker that has to take all of them.
FILES = 2 * DEVICES + 500
# Of each device between two readings.
PAUSE_SECONDS = 5.0


class Storm(Load):
    """Knows who has come back."""

    def __init__(self, url: str, keys: dict[str, str]) -> None:
        super().__init__(url, keys, rows=1, pause_seconds=PAUSE_SECONDS)
        self.back: set[str] = set()

    def connected(self, device: Device) -> None:
        super().connected(device)
        self.back.add(device.slug)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.fail(f"expected {FILES} open files (ulimit -n), got {hard} at most")
    # As devices wait in earnest: at first within a second.
    monkeypatch.setattr(backoff, "BASE_SECONDS", 1.0)
    monkeypatch.setattr(backoff, "LONGEST_SECONDS", 8.0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    made = Cluster(tmp_path)
    # An idle device pings once in 24 s.
    made.hub.variables["TELEMETRY_HEARTBEAT_SECONDS"] = "30"
    try:
        made.set_up()
        yield made
    finally:
        made.end()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_two_thousand_devices_come_back_after_a_restart(cluster: Cluster):
    keys = await asyncio.to_thread(enrol, cluster.hub, DEVICES)
    async with running(cluster):
        storm = Storm(cluster.hub.url, keys)
        began = time.monotonic()
        async with storm.running():
            await all_back(storm, "the start")
            first_seconds = time.monotonic() - began
            await come_true(
                lambda: all(storm.promises.values()), "each has an acked reading"
            )
            storm.back.clear()
            began = time.monotonic()
            send([cluster.wait_for(each)[0] for each in WORKERS], signal.SIGKILL)
            await all_back(storm, "kill -9 of both workers")
            back_seconds = time.monotonic() - began
            held = storm.acked_count
            await storm.more_acks(DEVICES, "the restart")
        what = f"{DEVICES} devices came back at once, with {held} readings acked before"
        promises = storm.promises
        stored = await cluster.stored()
        compare(stored, promises, storm.sent_values).assert_whole(what)
        assert not storm.rejections, storm.rejections[:3]
    print(
        f"\n{DEVICES} devices: all connected after {first_seconds:.1f} s; both workers "
        f"killed, all back after {back_seconds:.1f} s (devices on the same machine); "
        f"{storm.acked_count} readings acked, 0 lost, 0 doubled"
    )


async def all_back(storm: Storm, after: str) -> None:
    """However slow the machine is, a tenth of them comes within the patience."""
    for count in range(DEVICES // 10, DEVICES + 1, DEVICES // 10):
        await come_true(
            lambda count=count: len(storm.back) >= count,
            lambda count=count: (
                f"{count} of {DEVICES} devices back after {after}, "
                f"not {len(storm.back)},"
            ),
        )
