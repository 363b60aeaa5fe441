"""The power fails at a hundred moments of a hub's life: what was acked is there.

The hub runs under strace with real devices; then its files are rebuilt as each cut
would have left them, with what was not synced dropped, kept in part, or kept.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.fleet.device import Device
from tests.processes import ROOT, HubProcess, environment, missing, wait_until

from .load import Load, assert_each_stored_once, enrol, stored_values
from .power import CALLS, FATES, SHOWN_BYTES, Disk
from .switches import Faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 2
CUTS = 100
# Of these a hub starts on so many.
STARTS = 5
ROWS = 50
# Enough for checkpoints of a thousand pages.
READINGS = 100_000


class TracedHub(HubProcess):
    """A hub whose system calls are written down."""

    trace: Path

    def start(self) -> HubProcess:
        strace = shutil.which("strace")
        if strace is None:
            missing("strace")
        # -D: the hub is our child, the tracer is not.
        tracer = [str(strace), "-D", "-f", "-y", "-xx", "-s", str(SHOWN_BYTES)]
        tracer += ["-o", str(self.trace), "-e", f"trace={','.join(CALLS)}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*tracer, sys.executable, "manage.py", *self.command],
                cwd=ROOT,
                env=environment(self.data_dir, **self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_up, "the traced hub is up")
        if self.process.poll() is not None:
            pytest.fail(f"the hub ended with {self.process.returncode}: {self.output}")
        return self

    def lines(self) -> Iterator[str]:
        """All that it did, once it has ended."""
        ended = re.compile(rb"%d +\+\+\+ exited with" % self.pid)

        def is_written() -> bool:
            with self.trace.open("rb") as file:
                file.seek(max(0, self.trace.stat().st_size - 200))
                return ended.search(file.read()) is not None

        wait_until(is_written, "the tracer has written all")
        with self.trace.open(errors="replace") as file:
            yield from file


class Resumed(Load):
    """The same devices after a cut: they go on from what the hub says it has."""

    def __init__(self, url: str, keys: dict[str, str], before: Load) -> None:
        super().__init__(url, keys, before.rows)
        self._started_us = before._started_us
        for device, old in zip(self.devices, before.devices, strict=True):
            device.session = old.session

    async def _feed(self, device: Device) -> None:
        await device.welcomed()
        has = device.outbox.acked * self.rows
        self.sent_values[device.slug] = has
        # Told by `welcome`: nothing of it is sent again.
        self.acked_values[device.slug] = list(range(has))
        await super()._feed(device)


async def live_traced(hub: TracedHub, keys: dict[str, str]) -> Load:
    """From a start to a polite end, under load, sealing all the while."""
    load = Load(hub.url, keys, ROWS)
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(READINGS)
    assert await asyncio.to_thread(hub.stop) == 0
    assert not load.rejections
    return load


def steps_of(hub: TracedHub, before: Path) -> tuple[list[tuple[int, str]], Disk]:
    """Line number and kind of each step that counts, and the disk at the end."""
    disk = Disk(hub.data_dir, before)
    steps = [
        (number, kind)
        for number, line in enumerate(hub.lines())
        if (kind := disk.play(line)) is not None
    ]
    return steps, disk


def assert_survived(data_dir: Path, acked: dict[str, int], load: Load, cut: str):
    """Each device's readings in order without a hole, at least what it was told."""
    # Runs SQLite's own check first.
    stored = stored_values(data_dir)
    for slug, sent in load.sent_values.items():
        found = stored.get(slug, [])
        assert found == list(range(len(found))), f"{cut}: {slug} has a hole or twins"
        promised = acked.get(slug, 0) * ROWS
        assert promised <= len(found) <= sent, (
            f"{cut}: {slug} was promised {promised} of {sent}, found {len(found)}"
        )


async def goes_on(data_dir: Path, hub: HubProcess, load: Load, keys: dict[str, str]):
    """A hub starts on what was found, and the devices lose and double nothing."""
    process = HubProcess(data_dir, "serve", variables=hub.variables)
    process.port, process.url = hub.port, hub.url
    resumed = Resumed(process.url, keys, load)
    try:
        await asyncio.to_thread(process.start)
        async with resumed.running():
            await resumed.more_acks(ROWS * len(keys))
        assert await asyncio.to_thread(process.stop) == 0
    finally:
        process.end()
    assert_each_stored_once(resumed, data_dir)


async def test_a_hundred_power_cuts_lose_nothing_that_was_acked(
    hub: HubProcess, faults: Faults, tmp_path: Path
):
    # Sealing and checkpoints all the time: they write the most.
    faults.on("hurry", 1)
    traced = TracedHub(
        hub.data_dir,
        "serve",
        variables={
            **hub.variables,
            "TELEMETRY_SEAL_READINGS": "5000",
            "TELEMETRY_SEAL_SECONDS": "1",
        },
    )
    traced.port, traced.url = hub.port, hub.url
    traced.variables["HUB_PORT"] = str(hub.port)
    traced.trace = tmp_path / "trace"
    keys = enrol(hub, 4)
    before = tmp_path / "before"
    shutil.copytree(hub.data_dir, before)
    try:
        load = await live_traced(traced, keys)
    finally:
        traced.end()
    steps, at_end = await asyncio.to_thread(steps_of, traced, before)
    kinds = Counter(kind for _, kind in steps)
    assert at_end.checkpointed, kinds
    # What devices were told is what the trace says they were told.
    told = {device.slug: device.outbox.acked for device in load.devices}
    assert at_end.acked == told
    rng = random.Random(SEED)
    # Right after an ack is where a lie would show.
    acks = [number for number, kind in steps if kind == "ack"]
    chosen = rng.sample(acks, CUTS // 2)
    chosen += rng.sample([number for number, _ in steps], CUTS - len(chosen))
    cuts = sorted(chosen)
    starts = set(cuts[:: CUTS // STARTS])
    disk, next_cut, promised = Disk(traced.data_dir, before), 0, 0
    for number, line in enumerate(traced.lines()):
        disk.play(line)
        while next_cut < CUTS and cuts[next_cut] == number:
            fate = FATES[next_cut % len(FATES)]
            name = f"cut {next_cut} at line {number}, {fate}, seed {SEED}"
            found = tmp_path / f"cut-{next_cut}"
            disk.cut(fate, rng, found)
            if number in starts:
                starts.discard(number)
                after = tmp_path / f"start-{next_cut}"
                shutil.copytree(found, after)
                await goes_on(after, traced, load, keys)
            assert_survived(found, disk.acked, load, name)
            promised += sum(disk.acked.values()) * ROWS
            shutil.rmtree(found)
            next_cut += 1
    assert next_cut == CUTS
    assert not starts
    print(
        f"\n{CUTS} power cuts among {kinds['write']} writes, {kinds['sync']} syncs and "
        f"{kinds['ack']} acks ({at_end.checkpointed} writes of checkpoints): "
        f"{promised} readings promised, 0 lost, 0 doubled, 0 corrupt"
    )
