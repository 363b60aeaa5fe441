"""`manage.py serve --workers`: refusals; a grown hub's processes, and its end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from django.core.management.base import CommandError
from django.db import connections
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed

from telemetry.fleet import backoff
from telemetry.management import workers
from telemetry.protocol import close_codes
from tests.faults.load import Load, enrol
from tests.faults.stored import compare, stored_on
from tests.faults.switches import Faults
from tests.faults.system import children, environment_of, is_alive, send
from tests.postgresql import new_database
from tests.processes import (
    ROOT,
    HubProcess,
    environment,
    fetch,
    free_port,
    is_open,
    manage,
    wait_until,
)

NAMES = ["jobs", "worker-1", "worker-2"]
POSTGRES = "postgresql://u:p@127.0.0.1:1/x"
REDIS = "redis://127.0.0.1:1/0"


class GrownHub(HubProcess):
    """A hub of two workers on PostgreSQL and Redis."""

    def __init__(self, data_dir: Path, database_url: str, redis_url: str) -> None:
        self.database_url = database_url
        # A unix socket's path has a limit of 107 bytes: not below tmp_path.
        self.run_dir = Path(tempfile.mkdtemp(prefix="telemetry-run-")) / "run"
        super().__init__(
            data_dir,
            *("serve", "--workers", "2"),
            variables={
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "HUB_RUN_DIR": str(self.run_dir),
                "TELEMETRY_DEVICE_RATE": "0",
                "TELEMETRY_CONNECTS_PER_MINUTE": "6000",
                "TELEMETRY_DRAIN_WAIT_SECONDS": "0.5",
            },
        )

    @property
    def pids(self) -> dict[str, int]:
        """Its processes that run now, by name."""
        found = {pid: environment_of(pid) for pid in children(self.pid)}
        names = {pid: each.get("HUB_WORKER", "") for pid, each in found.items()}
        return {name: pid for pid, name in names.items() if name}

    def socket_path(self, worker: int) -> Path:
        return self.run_dir / f"worker-{worker}.sock"

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            pids = self.pids.values()
            self.kill()
            send(pids, signal.SIGKILL)
        shutil.rmtree(self.run_dir.parent, ignore_errors=True)

    async def assert_whole(self, load: Load) -> None:
        """All that was acked is stored, and each reading once."""
        stored = await asyncio.to_thread(stored_on, self.database_url)
        compare(stored, load.promises, load.sent_values).assert_whole("this")


@pytest.fixture
def grown(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[GrownHub]:
    """Set up, and not started."""
    url = new_database(postgres_url, tmp_path / "var")
    made = GrownHub(tmp_path / "var", url, redis_url)
    yield made
    made.end()


@pytest.fixture(scope="module")
def shared_grown(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str
) -> Iterator[GrownHub]:
    """Started, for the tests that only add to it."""
    data_dir = tmp_path_factory.mktemp("grown") / "var"
    made = GrownHub(data_dir, new_database(postgres_url, data_dir), redis_url)
    made.start()
    yield made
    made.end()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that come back in a tenth of a second instead of a minute."""
    monkeypatch.setattr(backoff, "BASE_SECONDS", 0.05)
    monkeypatch.setattr(backoff, "LONGEST_SECONDS", 0.2)


class TestRefusals:
    @pytest.mark.parametrize(
        "given", ["0", "-1", "abc", "", "1.5", "65", "٣", "9" * 400]
    )
    def test_number_of_workers_is_checked(self, given):
        with pytest.raises(CommandError) as caught:
            workers.checked(given)
        assert caught.value.returncode == 2
        shown = repr(given[:100])
        expected = f"--workers: expected a number from 1 to 64, got {shown}."
        assert str(caught.value) == expected

    @pytest.mark.parametrize("given", ["1", str(workers.MOST)])
    def test_numbers_at_the_limits_are_right(self, given, monkeypatch, settings):
        monkeypatch.setattr(connections["default"], "vendor", "postgresql")
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "of Redis"}}
        settings.HUB_RUN_DIR = "/run/hub"
        assert workers.checked(given) == int(given)

    @pytest.mark.parametrize(
        "count, sentence",
        [
            ("0", "--workers: expected a number from 1 to 64, got '0'."),
            ("2", "--workers: expected PostgreSQL in DATABASE_URL, got SQLite, "),
        ],
    )
    def test_refusal_is_one_sentence_and_makes_nothing(self, tmp_path, count, sentence):
        done = manage(tmp_path / "var", "serve", "--workers", count, REDIS_URL=REDIS)
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith(f"CommandError: {sentence}")
        assert not (tmp_path / "var" / "hub.sqlite3").exists()

    def test_no_redis_is_refused(self, tmp_path):
        done = manage(
            *(tmp_path / "var", "serve", "--workers", "2"), DATABASE_URL=POSTGRES
        )
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert "--workers: expected Redis in REDIS_URL, by which " in line

    @pytest.mark.parametrize("beyond", [0, 1])
    def test_path_that_fits_no_address_is_refused(self, tmp_path, beyond):
        room = workers.ADDRESS_BYTES - len("/worker-2.sock")
        path = str(tmp_path) + "/" + "x" * (room - len(str(tmp_path)) - 1 + beyond)
        done = manage(
            *(tmp_path / "var", "serve", "--workers", "2"),
            DATABASE_URL=POSTGRES,
            REDIS_URL=REDIS,
            HUB_RUN_DIR=path,
            HUB_PORT=str(free_port()),
        )
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        named = "HUB_RUN_DIR: expected a shorter path" if beyond else "DATABASE_URL: "
        assert line.startswith(f"CommandError: {named}")


class Starting:
    """`manage.py serve …` that waits for something, with few open files allowed."""

    def __init__(self, data_dir: Path, *arguments: str, number: int = -1) -> None:
        data_dir.mkdir(exist_ok=True)
        self.log = data_dir.parent / "log"
        variables = {"DATABASE_URL": POSTGRES, "REDIS_URL": REDIS}
        command = [sys.executable, "manage.py", "serve", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", 'ulimit -S -n 512 && exec "$@"', "sh", *command],
                cwd=ROOT,
                env=environment(data_dir, HUB_PORT=str(free_port()), **variables),
                pass_fds=() if number < 0 else (number,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Starting:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def has_said(self, words: str) -> None:
        wait_until(lambda: words in self.log.read_text(), f"it says {words}")

    def has_open(self, path: Path) -> None:
        descriptors = Path(f"/proc/{self.process.pid}/fd")

        def is_open_there() -> bool:
            return any(each.resolve() == path for each in descriptors.iterdir())

        wait_until(is_open_there, f"it has {path} open")


class TestStarting:
    @pytest.mark.parametrize("is_signal", [True, False], ids=["SIGTERM", "no parent"])
    def test_worker_waits_for_a_database_that_is_away(self, tmp_path, is_signal):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = theirs.fileno()
            arguments = ("--worker", "1", "--line-fd", str(number))
            with Starting(tmp_path / "var", *arguments, number=number) as worker:
                theirs.close()
                worker.has_said("waiting for the database: ")
                # It says that it lives meanwhile.
                ours.settimeout(90)
                assert ours.recv(100).startswith(b"alive 0 0\n")
                if is_signal:
                    worker.process.terminate()
                else:
                    ours.close()
                assert worker.process.wait(90) == 0

    def test_it_allows_itself_all_open_files_that_it_may_have(self, tmp_path):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = theirs.fileno()
            arguments = ("--worker", "1", "--line-fd", str(number))
            with Starting(tmp_path / "var", *arguments, number=number) as worker:
                worker.has_said("waiting for the database: ")
                pid = worker.process.pid
                soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                assert soft == hard > 512

    def test_sighup_before_there_is_anything_to_replace_is_nothing(self, tmp_path):
        data_dir = tmp_path / "var"
        data_dir.mkdir()
        lock = data_dir / "setup.lock"
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with Starting(data_dir, "--workers", "2", "--setup") as parent:
                # It waits for its turn to make the tables.
                parent.has_open(lock)
                parent.process.send_signal(signal.SIGHUP)
                fcntl.flock(file, fcntl.LOCK_UN)
                # The database of these tests is away for good.
                assert parent.process.wait(90) == 2
                parent.has_said("DATABASE_URL: expected a database that the hub can")


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestServing:
    def test_two_workers_and_the_jobs_run(self, shared_grown):
        assert sorted(shared_grown.pids) == NAMES
        assert f"The hub is ready: {shared_grown.url}\n" in shared_grown.output
        assert fetch(f"{shared_grown.url}/readyz")[0] == 200

    def test_sockets_are_the_proxys_alone(self, shared_grown):
        modes = [
            stat.S_IMODE(shared_grown.socket_path(each).stat().st_mode)
            for each in (1, 2)
        ]
        assert modes == [0o660, 0o660]
        assert stat.S_IMODE(shared_grown.run_dir.stat().st_mode) == 0o750

    def test_second_hub_in_the_same_place_is_refused(self, shared_grown):
        variables = {**shared_grown.variables, "HUB_PORT": str(free_port())}
        done = manage(*(shared_grown.data_dir, "serve", "--workers", "2"), **variables)
        assert done.returncode == 2
        (line,) = [each for each in done.stderr.splitlines() if "Error" in each]
        assert "HUB_RUN_DIR: expected a directory of this hub alone, got " in line
        assert sorted(shared_grown.pids) == NAMES

    async def test_devices_are_shared_out(self, shared_grown):
        keys = await asyncio.to_thread(enrol, shared_grown, 10)
        load = Load(shared_grown.url, keys)
        async with load.running():
            await load.more_acks(1_000)
            assert load.connects == 10
            per_worker = await asyncio.to_thread(devices_of_writers, shared_grown)
        assert per_worker == [5, 5]
        await shared_grown.assert_whole(load)

    @pytest.mark.parametrize(
        "header, address",
        [
            ({"X-Forwarded-For": "192.0.2.7"}, "192.0.2.7"),
            ({"X-Forwarded-For": "10.6.6.6, 192.0.2.8"}, "192.0.2.8"),
            ({}, "unix"),
        ],
        ids=["of a proxy", "with a forged one before it", "none"],
    )
    async def test_proxy_at_the_unix_socket_is_believed(
        self, shared_grown, header, address
    ):
        name = f"behind-{address.replace('.', '-')}"
        headers = {**bearer(shared_grown, name), **header}
        path = str(shared_grown.socket_path(2))
        url = f"ws://127.0.0.1:{shared_grown.port}/ws/device"
        async with unix_connect(path, url, additional_headers=headers) as device:
            await device.send('{"type":"hello","session":"a"}')
            assert json.loads(await device.recv())["type"] == "welcome"
        assert await asyncio.to_thread(address_of, shared_grown, name) == address

    async def test_header_of_a_stranger_is_not_believed(self, shared_grown):
        headers = bearer(shared_grown, "stranger")
        headers["X-Forwarded-For"] = "192.0.2.7"
        url = f"ws://127.0.0.1:{shared_grown.port}/ws/device"
        async with connect(url, additional_headers=headers) as device:
            await device.send('{"type":"hello","session":"a"}')
            await device.recv()
        found = await asyncio.to_thread(address_of, shared_grown, "stranger")
        assert found == "127.0.0.1"


def bearer(hub: HubProcess, name: str) -> dict[str, str]:
    line = hub.manage("createdevice", name, "--group", "cellar").strip()
    return {"Authorization": f"Bearer {line.split()[1]}"}


def asked(hub: GrownHub, sql: str) -> list[tuple]:
    import psycopg  # Only machines with PostgreSQL need it.

    with psycopg.connect(hub.database_url) as database:
        return database.execute(sql).fetchall()


def address_of(hub: GrownHub, name: str) -> str:
    """What the hub knows of where a device came from, once it has written it."""
    sql = (
        "SELECT p.address FROM telemetry_devicepresence p JOIN telemetry_device d"
        f" ON d.id = p.device_id WHERE d.slug = '{name}'"
    )
    wait_until(lambda: bool(asked(hub, sql)), "presence is written")
    return asked(hub, sql)[0][0]


def devices_of_writers(hub: GrownHub) -> list[int]:
    """How many devices each process has, once it has written that."""
    sql = (
        "SELECT count(*) FROM telemetry_devicepresence WHERE is_online"
        " GROUP BY writer_id ORDER BY 1"
    )
    wait_until(lambda: sum(row[0] for row in asked(hub, sql)) >= 10, "all are online")
    return [row[0] for row in asked(hub, sql)]


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestFaults:
    async def test_worker_that_was_killed_is_replaced_and_its_devices_come_back(
        self, grown
    ):
        await asyncio.to_thread(grown.start)
        load = Load(grown.url, await asyncio.to_thread(enrol, grown, 8))
        async with load.running():
            for name in ("worker-1", "worker-2"):
                await load.more_acks(500)
                before = grown.pids[name]
                os.kill(before, signal.SIGKILL)
                await asyncio.to_thread(is_there_again, grown, name, before)
                await load.more_acks(500)
        assert load.connects >= 16
        assert not load.rejections
        await grown.assert_whole(load)
        assert "worker-1 was killed by SIGKILL; it is started again " in grown.output
        assert re.search(r"^\S+Z INFO \[worker-[12]\] telemetry", grown.output, re.M)
        assert await asyncio.to_thread(grown.stop) == 0

    async def test_jobs_that_were_killed_are_there_again_and_seal(
        self, grown, tmp_path
    ):
        faults = Faults(tmp_path / "faults")
        # What is done every half a minute is done all the time.
        faults.on("hurry", 1)
        grown.variables |= {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "FAULTS_DIR": str(faults.directory),
            "TELEMETRY_SEAL_READINGS": "1000",
        }
        await asyncio.to_thread(grown.start)
        load = Load(grown.url, await asyncio.to_thread(enrol, grown, 8))
        os.kill(grown.pids["jobs"], signal.SIGKILL)
        async with load.running():
            await load.more_acks(2_000)
            await asyncio.to_thread(
                wait_until,
                lambda: "] telemetry.history.keeper: sea" in grown.output,
                "",
            )
        sealing = re.findall(r"(\S+) telemetry.history.keeper: sealed", grown.output)
        assert set(sealing) == {"[jobs]"}
        await grown.assert_whole(load)

    async def test_sigterm_says_so_first_and_loses_nothing(self, grown):
        grown.variables["TELEMETRY_DRAIN_WAIT_SECONDS"] = "3"
        await asyncio.to_thread(grown.start)
        load = Load(grown.url, await asyncio.to_thread(enrol, grown, 20))
        async with load.running():
            await load.more_acks(2_000)
            assert grown.process is not None
            pids = grown.pids
            grown.process.terminate()
            await asyncio.to_thread(
                wait_until, lambda: readiness(grown) == 503, "it says that it stops"
            )
            # Work goes on meanwhile.
            await load.more_acks(100)
            assert await asyncio.to_thread(grown.process.wait, 60) == 0
            assert not is_open(grown.port)
            assert not any(is_alive(pid) for pid in pids.values())
            assert {ending.code for ending in load.endings} == {close_codes.DRAINING}
            assert len(load.endings) == len(load.devices)
            stored = await asyncio.to_thread(stored_on, grown.database_url)
            # Not one reading on disk whose device does not know of it.
            assert {slug: len(all_) for slug, all_ in stored.items()} == load.promises
            await asyncio.to_thread(grown.start)
        await grown.assert_whole(load)
        assert await asyncio.to_thread(grown.stop) == 0
        assert grown.output.endswith("The hub has stopped.\n")
        assert not list(grown.run_dir.iterdir())
        left = "SELECT count(*) FROM telemetry_writer WHERE ended_at IS NULL"
        assert await asyncio.to_thread(asked, grown, left) == [(0,)]

    async def test_rolling_restart_loses_nothing_and_is_always_ready(self, grown):
        await asyncio.to_thread(grown.start)
        load = Load(grown.url, await asyncio.to_thread(enrol, grown, 8))
        async with load.running():
            await load.more_acks(500)
            before = grown.pids
            os.kill(grown.pid, signal.SIGHUP)
            seen = set()
            while "all processes were replaced" not in grown.output:
                seen.add(await asyncio.to_thread(readiness, grown))
            after = grown.pids
            await load.more_acks(500)
            assert {each.code for each in load.endings} == {close_codes.DRAINING}
        assert sorted(after) == NAMES
        assert not set(before.values()) & set(after.values())
        assert seen == {200}
        assert not load.rejections
        await grown.assert_whole(load)
        assert await asyncio.to_thread(grown.stop) == 0

    async def test_nothing_is_left_of_a_parent_that_was_killed(self, grown):
        await asyncio.to_thread(grown.start)
        load = Load(grown.url, await asyncio.to_thread(enrol, grown, 8))
        async with load.running():
            await load.more_acks(500)
            pids = list(grown.pids.values())
            grown.kill()
            assert not is_open(grown.port)
            await asyncio.to_thread(
                wait_until,
                lambda: not any(is_alive(pid) for pid in pids),
                "all have ended",
                60,
            )
            assert not list(grown.run_dir.iterdir())
            await asyncio.to_thread(grown.start)
        await grown.assert_whole(load)
        assert grown.output.count("the parent is gone: this worker ends") == 2


def is_there_again(hub: GrownHub, name: str, before: int) -> None:
    """Wait for another process of this name."""
    wait_until(lambda: hub.pids.get(name, before) != before, f"{name} is there again")


def readiness(hub: HubProcess) -> int:
    return fetch(f"{hub.url}/readyz")[0]


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestOptions:
    async def test_device_connects_over_wss(self, grown, tmp_path):
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        grown.command += ("--tls-cert", str(tmp_path / "cert.pem"))
        grown.command += ("--tls-key", str(tmp_path / "key.pem"))
        await asyncio.to_thread(grown.start)
        headers = await asyncio.to_thread(bearer, grown, "boiler")
        url = f"wss://127.0.0.1:{grown.port}/ws/device"
        context = ssl.create_default_context()
        authority.configure_trust(context)
        # Who speaks no TLS is let go, and holds up nobody.
        with socket.create_connection(("127.0.0.1", grown.port), 30) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert await asyncio.to_thread(ends, plain)
        async with connect(url, ssl=context, additional_headers=headers) as device:
            await device.send('{"type":"hello","session":"a"}')
            assert json.loads(await device.recv())["device"] == "boiler"
        # A proxy on this machine needs none.
        path = str(grown.socket_path(1))
        plain_url = f"ws://127.0.0.1:{grown.port}/ws/nothing"
        async with unix_connect(path, plain_url) as stray:
            with pytest.raises(ConnectionClosed):
                await stray.recv()

    def test_set_up_and_the_demo_come_once(self, tmp_path, postgres_url, redis_url):
        import psycopg  # Only machines with PostgreSQL need it.

        name = "grown_demo"
        with psycopg.connect(postgres_url, autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name}")
            server.execute(f"CREATE DATABASE {name}")
        url = f"{postgres_url.rsplit('/', 1)[0]}/{name}"
        hub = GrownHub(tmp_path / "var", url, redis_url)
        hub.command += ("--setup", "--demo")
        try:
            hub.start()
            assert hub.output.count("password: ") == 1
            # It is started a moment after the hub has said that it is ready.
            wait_until(lambda: bool(fleets_of(hub)), "the fleet runs")
            fleets = fleets_of(hub)
            assert len(fleets) == 1
            sql = "SELECT count(*) FROM telemetry_devicepresence WHERE is_online"
            wait_until(lambda: asked(hub, sql)[0][0] > 3, "its devices are online", 60)
            assert hub.stop() == 0
            assert not is_alive(fleets[0])
        finally:
            hub.end()


def fleets_of(hub: HubProcess) -> list[int]:
    return [
        pid
        for pid in children(hub.pid)
        if b"simulate" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def ends(connection: socket.socket) -> bool:
    """Whether the other end lets go, with an answer or without."""
    try:
        while connection.recv(1_000):
            pass
    except ConnectionError:
        pass
    return True
