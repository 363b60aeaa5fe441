"""`manage.py runjobs`: the jobs as a process, and two of them at once."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import Load, enrol
from tests.faults.stored import compare, stored_values
from tests.faults.switches import Faults
from tests.processes import HubProcess, manage, wait_until

RUNNING = "The jobs run. Stop them with Ctrl+C.\n"


class JobsProcess(HubProcess):
    """`runjobs` on the data of a hub."""

    def __init__(self, data_dir: Path, name: str, **variables: str) -> None:
        super().__init__(data_dir, "runjobs", variables=variables)
        self.log = data_dir.parent / f"{name}.log"

    def _is_up(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None or RUNNING in self.output

    def begin(self) -> None:
        """Start, and do not wait until it runs."""
        self._is_up, is_up = lambda: True, self._is_up
        self.start()
        self._is_up = is_up


@pytest.fixture
def jobs(tmp_path: Path, set_up_data_dir: Path) -> Iterator[JobsProcess]:
    shutil.copytree(set_up_data_dir, tmp_path / "var")
    made = JobsProcess(tmp_path / "var", "jobs")
    yield made
    made.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_0(jobs: JobsProcess, number: signal.Signals) -> None:
    jobs.start()
    assert jobs.process is not None
    jobs.process.send_signal(number)
    assert jobs.process.wait(30) == 0
    assert jobs.output == RUNNING


def test_database_without_tables_is_told(tmp_path: Path) -> None:
    done = manage(tmp_path / "var", "runjobs")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("CommandError: the database lacks its tables, ")


def test_it_waits_for_a_database_that_is_away(tmp_path: Path) -> None:
    away = "postgresql://hub:x@127.0.0.1:1/hub"
    jobs = JobsProcess(tmp_path / "var", "jobs", DATABASE_URL=away)
    try:
        jobs.begin()
        wait_until(lambda: "waiting for the database: " in jobs.output, "it says so")
        assert jobs.process is not None
        assert jobs.process.poll() is None
        assert jobs.stop() == 0
    finally:
        jobs.end()
    assert jobs.output.count("waiting for the database") == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_begins_when_the_database_is_there(
    tmp_path: Path, postgres_url: str
) -> None:
    import psycopg  # Only machines with PostgreSQL need it.

    name = f"hub_{secrets.token_hex(8)}"
    url = f"{postgres_url.rsplit('/', 1)[0]}/{name}"
    jobs = JobsProcess(tmp_path / "var", "jobs", DATABASE_URL=url)
    try:
        jobs.begin()
        wait_until(lambda: "waiting for the database: " in jobs.output, "it says so")
        template = f"made_{secrets.token_hex(8)}"
        with psycopg.connect(postgres_url, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {template}")
            made = f"{postgres_url.rsplit('/', 1)[0]}/{template}"
            done = manage(tmp_path / "var", "migrate", DATABASE_URL=made)
            assert done.returncode == 0
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        wait_until(lambda: RUNNING in jobs.output, "it runs")
        assert jobs.stop() == 0
    finally:
        jobs.end()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_beside_a_hub_seal_each_reading_once(
    hub: HubProcess, tmp_path: Path
) -> None:
    faults = Faults(tmp_path / "faults")
    # What is done every half a minute is done all the time.
    faults.on("hurry", 1)
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "FAULTS_DIR": str(faults.directory),
        "TELEMETRY_SEAL_READINGS": "1000",
    }
    hub.variables.update(variables, TELEMETRY_DEVICE_RATE="0")
    others = [JobsProcess(hub.data_dir, f"jobs-{n}", **variables) for n in (1, 2)]
    try:
        await asyncio.to_thread(hub.start)
        for other in others:
            await asyncio.to_thread(other.start)
        load = Load(hub.url, await asyncio.to_thread(enrol, hub, 8))
        async with load.running():
            while count_of_seals(hub, *others) < 5:
                await load.more_acks(500)
        processes: list[HubProcess] = [*others, hub]
        for each in processes:
            assert await asyncio.to_thread(each.stop) == 0
            assert "Traceback" not in each.output
    finally:
        for other in others:
            other.end()
    stored = stored_values(hub.data_dir)
    compare(stored, load.promises, load.sent_values).assert_whole("sealing by three")


def count_of_seals(*processes: HubProcess) -> int:
    return sum(each.output.count(": sealed ") for each in processes)
