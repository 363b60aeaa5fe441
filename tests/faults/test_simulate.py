"""`manage.py simulate --chaos` on a hub with two workers that are killed meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import JOBS, REDIS, WORKERS, Cluster, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COMMAND = (
    *("simulate", "--chaos", "--seed", "4"),
    *("--devices", "20", "--rate", "20", "--batch", "4", "--seconds", "20"),
)
BETWEEN_SECONDS = 3.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        made.set_up()
        yield made
    finally:
        made.end()


async def test_it_says_what_was_promised_and_kept(cluster: Cluster):
    async with running(cluster):
        said = asyncio.ensure_future(asyncio.to_thread(cluster.hub.manage, *COMMAND))
        for role in (*WORKERS, JOBS, REDIS):
            await asyncio.sleep(BETWEEN_SECONDS)
            await asyncio.to_thread(cluster.kill, role)
        # `manage` fails the test unless the command ends with 0.
        output = await said
    assert "every acked reading is stored exactly once" in output
    counted = re.search(
        r"acked (\d+), stored (\d+), missing (\d+), twice (\d+)", output
    )
    assert counted is not None, output
    acked, stored, missing, twice = map(int, counted.groups())
    assert (missing, twice) == (0, 0)
    assert acked == stored > 1_000
    print("\n" + "\n".join(output.splitlines()[-4:]))
