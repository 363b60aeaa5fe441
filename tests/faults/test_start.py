"""What a start makes of what the last process left, however that ended."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.processes import HubProcess, missing

from .load import Load, assert_each_stored_once, enrol, stored_values

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

# Lines of strace: a call that another thread's interrupted is "resumed" later.
SYNCED = re.compile(r"(f(data)?sync\(|<\.\.\. f(data)?sync resumed>).*= 0")
ACK = re.compile(r'(write|writev|sendto|sendmsg)\(.*\\"type\\":\\"ack\\"')


async def run_once(hub: HubProcess, load: Load, readings: int) -> None:
    """Start, take some readings, die."""
    await asyncio.to_thread(hub.start)
    async with load.running():
        await load.more_acks(readings)
    hub.kill()


async def test_a_corrupt_row_is_told_and_the_rest_is_served(hub: HubProcess):
    keys = enrol(hub, 2)
    load = Load(hub.url, keys)
    await run_once(hub, load, 400)
    path = hub.data_dir / "hub.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        changed = database.execute(
            "UPDATE telemetry_journal SET columns = x'07ff', marks = x'c1'"
            " WHERE number = 2"
        )
        assert changed.rowcount == 1
    again = Load(hub.url, keys)
    await run_once(hub, again, 400)
    assert re.search(r"ERROR telemetry\.history\.journal: journal row 1/2", hub.output)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM telemetry_journal WHERE writer_id = 1")
    assert stored_values(hub.data_dir) == dict(again.acked_values)


async def test_a_device_resumes_where_the_killed_hub_was(hub: HubProcess):
    load = Load(hub.url, enrol(hub, 2))
    await asyncio.to_thread(hub.start)
    async with load.running():
        for _ in range(3):
            await load.more_acks(200)
            hub.kill()
            await asyncio.to_thread(hub.start)
    hub.kill()
    assert_each_stored_once(load, hub.data_dir)


async def test_each_ack_is_sent_after_the_sync_of_its_commit(
    hub: HubProcess, tmp_path: Path
):
    strace = shutil.which("strace")
    if strace is None:
        missing("strace")
    load = Load(hub.url, enrol(hub, 1))
    await asyncio.to_thread(hub.start)
    trace = tmp_path / "trace"
    command = [str(strace), "-f", "-s", "300", "-o", str(trace), "-p", str(hub.pid)]
    calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"
    with subprocess.Popen([*command, "-e", calls], stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        # "strace: Process 1 attached", once it is.
        await asyncio.to_thread(tracer.stderr.readline)
        async with load.running():
            await load.more_acks(500)
        hub.kill()
        tracer.wait(30)
    assert_acks_follow_syncs(trace.read_text(errors="replace"), load.acked_count // 10)


def assert_acks_follow_syncs(trace: str, batches: int) -> None:
    """Each ack goes out when all that the writer's thread has written is synced.

    A commit writes pages to the write-ahead log and syncs it; only then may
    anything say so.
    """
    lines = [line.split(maxsplit=1) for line in trace.splitlines()]
    writers = Counter(thread for thread, call in lines if call.startswith("pwrite64("))
    ((writer, _),) = writers.most_common(1)
    is_synced, syncs, acked = True, 0, 0
    for thread, call in lines:
        if thread == writer and call.startswith("pwrite64("):
            is_synced = False
        elif thread == writer and SYNCED.match(call):
            is_synced = True
            syncs += 1
        elif ACK.match(call):
            assert is_synced, call
            acked = int(re.findall(r'\\"seq\\":(\d+)', call)[-1])
    assert acked == batches
    assert syncs
