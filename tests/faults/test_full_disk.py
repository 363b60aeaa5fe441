"""PostgreSQL on a disk that runs full, under load: a pause, and no loss."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, running
from .load import Load, come_true, enrol
from .stored import compare
from .system import is_alive, new_postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1_048_576
DISK_MIB = 256
# Left to the database when the disk gets full: a second of the load.
LEFT_MIB = 2


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own. Needs the right to mount."""
    directory = Path(tempfile.mkdtemp(prefix="telemetry-disk-"))
    options = f"size={DISK_MIB}m"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        done = subprocess.CompletedProcess(command, 1, "", "there is no mount")
    if done.returncode:
        directory.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        with contextlib.suppress(OSError):
            directory.rmdir()


@pytest.fixture
def cluster(tmp_path: Path, small_disk: Path) -> Iterator[Cluster]:
    place = small_disk / "pg"
    place.mkdir()
    small_disk.chmod(0o755)
    # What the server says must have room.
    (place / "log").symlink_to(tmp_path / "postgresql.log")
    made = Cluster(tmp_path, postgres=new_postgres(place))
    try:
        made.set_up()
        yield made
    finally:
        made.end()


async def test_a_full_disk_pauses_devices_until_there_is_space(
    cluster: Cluster, small_disk: Path
):
    keys = enrol(cluster.hub, 8)
    what = f"a disk of {DISK_MIB} MiB was full"
    async with running(cluster):
        load = Load(
            cluster.hub.url,
            keys,
            rows=200,
            pause_seconds=0.05,
            clockless=sorted(keys)[::4],
        )
        async with load.running():
            await load.more_acks(5_000)
            ballast = small_disk / "ballast"
            await asyncio.to_thread(fill, ballast)
            # A server that has no room for its own log ends; one that has goes on.
            await come_true(lambda: load.are_paused or is_down(cluster), what)
            await asyncio.sleep(3)
            acked = load.acked_count
            await asyncio.sleep(2)
            assert load.acked_count == acked, f"acked while {what}"
            ballast.unlink()
            if is_down(cluster):
                await asyncio.to_thread(restart, cluster)
            await load.more_acks(5_000, what)
            assert not [each for each in load.endings if each.code < 4_000]
        assert not load.rejections, load.rejections[:3]
        promises = load.promises
        stored = await cluster.stored()
        compare(stored, promises, load.sent_values).assert_whole(what)
    said = (cluster.postgres.directory / "log").read_text(errors="replace")
    assert "No space left on device" in said


def fill(ballast: Path) -> None:
    free = shutil.disk_usage(ballast.parent).free
    with ballast.open("wb") as file:
        for _ in range(max(0, free // MIB - LEFT_MIB)):
            file.write(bytes(MIB))


def is_down(cluster: Cluster) -> bool:
    process = cluster.postgres.process
    return process is None or not is_alive(process.pid)


def restart(cluster: Cluster) -> None:
    cluster.postgres.kill()
    cluster.postgres.start()
