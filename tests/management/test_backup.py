"""`backup` and `restore` on both databases: under load, and what they refuse."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from django.core.management.base import CommandError

from telemetry.history.backup import archive, programs, taking
from telemetry.management import setup
from tests.faults.load import Load, enrol
from tests.processes import ROOT, HubProcess, environment, manage, wait_until

NewDatabase = Callable[[], dict[str, str]]
STORED = """
import json
from django.contrib.sessions.models import Session
from telemetry.devices.models import Series
from telemetry.history.models import Lease, Writer
from telemetry.history.queries.ladder import LATEST_US
from telemetry.history.tail import Tail
from telemetry.history.transfer import export
tail = Tail(0)
wanted = export.named(Series.objects.filter(name="count"))
values = {}
for page in export.pages(wanted, 0, LATEST_US, tail):
    values.setdefault(page.series.device, []).extend(map(int, page.values))
print(json.dumps({
    "values": {slug: sorted(found) for slug, found in values.items()},
    "writers": list(Writer.objects.order_by("id").values_list("id", flat=True)),
    "sessions": Session.objects.count(),
}))
"""

# A backup that stays in the middle.
HANGING = """
import time
from pathlib import Path
from django.core.management import call_command
from telemetry.history.backup import sqlite_file

def step(*state):
    Path({begun!r}).touch()
    time.sleep(120)

sqlite_file.STEP_PAGES = 1
sqlite_file._Pace.step = step
call_command("backup", {file!r})
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes the variables of a hub with an empty database of its own."""
    if request.param == "sqlite":
        return dict
    import psycopg  # Only machines with PostgreSQL need it.

    url = request.getfixturevalue("postgres_url")

    def make() -> dict[str, str]:
        name = f"backup_{secrets.token_hex(8)}"
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
        return {"DATABASE_URL": f"{url.rsplit('/', 1)[0]}/{name}"}

    return make


@pytest.fixture
def hubs(
    tmp_path: Path, set_up_data_dir: Path, new_database: NewDatabase
) -> Iterator[Callable[[str], HubProcess]]:
    """Makes hubs with static files and an empty database each."""
    made: list[HubProcess] = []

    def make(name: str) -> HubProcess:
        without = shutil.ignore_patterns("hub.sqlite3*", "secret_key")
        shutil.copytree(set_up_data_dir, tmp_path / name, ignore=without)
        variables = {"TELEMETRY_DEVICE_RATE": "0", **new_database()}
        made.append(HubProcess(tmp_path / name, "serve", variables=variables))
        return made[-1]

    yield make
    for hub in made:
        hub.end()


def run(hub: HubProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return manage(hub.data_dir, *arguments, **hub.variables)


def look(hub: HubProcess) -> dict[str, Any]:
    """What another process finds in a hub's database."""
    found: dict[str, Any] = json.loads(
        hub.manage("shell", "--no-imports", "-c", STORED).splitlines()[-1]
    )
    return found


def sentence(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """The code of exit and the one line that says why."""
    (line,) = done.stderr.strip().splitlines()
    assert "Traceback" not in line
    return done.returncode, line.removeprefix("CommandError: ")


@pytest.fixture
def small(tmp_path: Path, set_up_data_dir: Path) -> tuple[HubProcess, Path]:
    """A hub on SQLite that does not run, and a backup of it."""
    shutil.copytree(set_up_data_dir, tmp_path / "var")
    hub = HubProcess(tmp_path / "var")
    hub.manage("createdevice", "pump")
    hub.manage("backup", str(tmp_path / "one.backup"))
    return hub, tmp_path / "one.backup"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_backup_under_load_has_all_that_was_acked_before(hubs, tmp_path):
    hub = hubs("old")
    hub.manage("migrate", "--verbosity", "0")
    await asyncio.to_thread(hub.start)
    keys = await asyncio.to_thread(enrol, hub, 8)
    load = Load(hub.url, keys)
    file = tmp_path / "hub.backup"
    async with load.running():
        await load.more_acks(2_000)
        acked = {slug: list(each) for slug, each in load.acked_values.items()}
        before = load.acked_count
        backup = asyncio.create_task(asyncio.to_thread(run, hub, "backup", str(file)))
        # Commits go on meanwhile.
        await load.more_acks(1_000)
        done = await backup
        assert (done.returncode, done.stderr) == (0, "")
        assert load.acked_count >= before + 1_000
        old = await asyncio.to_thread(look, hub)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.part"))
    manifest = archive.read(file)

    new = hubs("new")
    done = await asyncio.to_thread(run, new, "restore", str(file))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found = await asyncio.to_thread(look, new)
    assert manifest.counts.readings == sum(map(len, found["values"].values()))
    for slug, values in acked.items():
        # Whole batches, in order, each once.
        restored = found["values"][slug]
        assert restored == list(range(len(restored)))
        assert set(values) <= set(restored)
    # Nobody who has the file can go on with another's log-in.
    assert found["sessions"] == 0

    # The devices come to the restored hub, which knows them and takes what is new.
    assert await asyncio.to_thread(hub.stop) == 0
    await asyncio.to_thread(new.start)
    again = Load(new.url, keys)
    async with again.running():
        await again.more_acks(500)
    # No number of a writer means one thing here and another there.
    newer = set((await asyncio.to_thread(look, new))["writers"]) - set(found["writers"])
    assert newer and min(newer) > max(old["writers"]) + 1_000_000
    assert await asyncio.to_thread(new.stop) == 0


def test_file_of_a_directory_has_the_time_and_old_ones_go(small, tmp_path):
    hub, _ = small
    backups = tmp_path / "backups"
    backups.mkdir()
    for day in range(1, 4):
        (backups / f"hub-2026010{day}T000000Z.backup").write_text("old")
    (backups / "mine.backup").write_text("of somebody else")
    said = hub.manage("backup", str(backups), "--keep", "2")
    names = sorted(path.name for path in backups.iterdir())
    assert names[0] == "hub-20260103T000000Z.backup"
    assert names[2:] == ["mine.backup"]
    assert archive.read(backups / names[1]).counts.devices == 1
    assert said.count("deleted ") == 2


def test_backup_does_not_replace_a_file_unless_it_is_forced(small):
    hub, file = small
    before = file.read_bytes()
    code, said = sentence(run(hub, "backup", str(file)))
    assert code == 2 and "--force" in said
    assert file.read_bytes() == before
    hub.manage("backup", str(file), "--force")
    assert archive.read(file).made_at not in before.decode("latin-1")


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["no/such/directory/x.backup"], "FILE: expected a directory that exists"),
        (["new.backup", "--keep", "3"], "--keep: expected a directory"),
        ([".", "--keep", "0"], "--keep: expected a number from 1"),
    ],
)
def test_wrong_call_of_backup_is_told(small, arguments, wrong):
    hub, _ = small
    code, said = sentence(run(hub, "backup", *arguments))
    assert code == 2 and said.startswith(wrong)


def test_backup_that_has_no_room_is_not_begun(small, tmp_path):
    hub, _ = small
    hub.variables["TELEMETRY_DISK_RESERVE_BYTES"] = str(10**12)
    free = shutil.disk_usage(tmp_path).free
    if free > 10**12:
        pytest.skip("the disk has more than a terabyte free")
    code, said = sentence(run(hub, "backup", str(tmp_path / "two.backup")))
    assert code == 2 and "MiB free" in said
    assert not list(tmp_path.glob("two.backup*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_backup_that_is_killed_leaves_nothing_under_its_name(small, tmp_path, number):
    hub, _ = small
    file, part = tmp_path / "two.backup", tmp_path / "two.backup.part"
    begun = tmp_path / "begun"
    program = HANGING.format(begun=str(begun), file=str(file))
    process = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", program],
        cwd=ROOT,
        env=environment(hub.data_dir, **hub.variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with process:
        wait_until(begun.exists, "it is in the middle")
        assert part.exists()
        code, said = sentence(run(hub, "backup", str(file)))
        assert code == 2 and "another backup is being written" in said
        process.send_signal(number)
        assert process.wait(30) != 0
    assert not file.exists()
    # A kill leaves it, and the next backup replaces it.
    assert part.exists() == (number == signal.SIGKILL)
    hub.manage("backup", str(file))
    assert archive.read(file).counts.devices == 1
    assert not part.exists()


def test_late_backup_leaves_the_one_that_has_just_ended(monkeypatch, tmp_path):
    final, part = tmp_path / "hub.backup", tmp_path / "hub.backup.part"
    part.write_text("all of it")

    def lock(file: BinaryIO, how: int) -> None:
        # The other one ends between this one's opening and its lock.
        part.replace(final)
        fcntl.flock(file, how)

    with monkeypatch.context() as patched:
        late = SimpleNamespace(**{**vars(fcntl), "flock": lock})
        patched.setattr(taking, "fcntl", late)
        with pytest.raises(taking.Busy), taking._part(final):
            pass
    assert final.read_text() == "all of it"
    # And who ends does not take away what the next one has begun.
    with taking._part(final) as mine:
        mine.write_text("newer")
        mine.replace(final)
        part.write_text("of the next one")
    assert (final.read_text(), part.read_text()) == ("newer", "of the next one")


def test_backup_writes_through_nobodys_link(small, tmp_path):
    hub, _ = small
    other = tmp_path / "other"
    other.write_text("of somebody else")
    other.chmod(0o644)
    (tmp_path / "two.backup.part").symlink_to(other)
    code, said = sentence(run(hub, "backup", str(tmp_path / "two.backup")))
    assert code == 1 and said.startswith("expected to write ")
    assert other.read_text() == "of somebody else"
    assert other.stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "two.backup").exists()


def test_backup_is_never_open_to_others(tmp_path):
    before = os.umask(0)
    try:
        with taking._part(tmp_path / "hub.backup") as part:
            assert part.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert not part.exists()


def test_root_makes_nothing_in_anothers_directory(monkeypatch, settings, tmp_path):
    settings.HUB_DATA_DIR = tmp_path
    if os.geteuid() == 0:
        try:
            os.chown(tmp_path, 10001, -1)
        except OSError as error:
            pytest.skip(f"root of this machine has no other users: {error}")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CommandError) as caught, setup.turn():
        pass
    assert caught.value.returncode == 2
    assert str(caught.value).startswith("HUB_DATA_DIR: expected root's own directory")
    assert list(tmp_path.iterdir()) == []


def test_restored_hub_has_everything_but_log_ins(small, tmp_path):
    hub, file = small
    new = HubProcess(tmp_path / "new")
    said = new.manage("restore", str(file))
    assert said.startswith("restored 0 readings of 1 devices as of ")
    with contextlib.closing(sqlite3.connect(new.data_dir / "hub.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        slugs = database.execute("SELECT slug FROM telemetry_device").fetchall()
    assert slugs == [("pump",)]


def test_restore_refuses_a_database_that_is_in_use(small, new_database, tmp_path):
    hub, file = small
    variables = {**hub.variables, **new_database()}
    if "DATABASE_URL" in variables:
        done = manage(hub.data_dir, "migrate", "--verbosity", "0", **variables)
        assert done.returncode == 0
        own = tmp_path / "own.backup"
        assert manage(hub.data_dir, "backup", str(own), **variables).returncode == 0
        file = own
    code, said = sentence(manage(hub.data_dir, "restore", str(file), **variables))
    assert code == 2 and said.startswith("expected an empty database, got one with")


def test_restore_waits_for_nobody_who_makes_the_database(small, tmp_path):
    _, file = small
    (tmp_path / "new").mkdir()
    with (tmp_path / "new" / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, said = sentence(manage(tmp_path / "new", "restore", str(file)))
    assert code == 2 and "another process is" in said
    assert not (tmp_path / "new" / "hub.sqlite3").exists()


def damage_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def change_manifest(**changes: object) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        manifest = archive.read(file)
        with zipfile.ZipFile(file) as old:
            content = json.loads(old.read("manifest.json"))
        with file.open("r+b") as opened:
            opened.truncate(manifest.bytes)
            opened.seek(0, os.SEEK_END)
            with zipfile.ZipFile(opened, "w") as new:
                new.writestr("manifest.json", json.dumps({**content, **changes}))

    return change


@pytest.mark.parametrize(
    ("hurt", "wrong"),
    [
        (damage_a_bit, "got the checksum "),
        (lambda file: os.truncate(file, file.stat().st_size - 1), "no manifest"),
        (lambda file: os.truncate(file, archive.read(file).bytes), "no manifest"),
        (lambda file: os.truncate(file, 0), "no manifest"),
        (lambda file: file.write_text("no backup"), "no manifest"),
        (Path.unlink, "No such file"),
        (change_manifest(format_version=2), "version 2"),
        (change_manifest(bytes=1), "bytes of the database"),
        (change_manifest(counts=None), "a manifest that cannot be read"),
        (change_manifest(database="oracle"), "kind 'oracle'"),
        (change_manifest(database="postgresql"), "expected PostgreSQL for this backup"),
        (
            change_manifest(migrations=["telemetry.9999_future"], hub_version="9.1"),
            "of 9.1, which has telemetry.9999_future",
        ),
    ],
    ids=[
        *("a bit", "an end", "a manifest", "everything", "another file", "no file"),
        *("format", "length", "counts", "kind", "other kind", "newer"),
    ],
)
def test_restore_refuses_what_is_no_whole_backup(small, tmp_path, hurt, wrong):
    _, file = small
    hurt(file)
    code, said = sentence(manage(tmp_path / "new", "restore", str(file)))
    assert code == 2 and wrong in said
    assert not (tmp_path / "new" / "hub.sqlite3").exists()


@pytest.mark.slow
def test_dump_that_breaks_off_leaves_the_database_empty(postgres_url, tmp_path):
    import psycopg  # Only machines with PostgreSQL need it.

    urls = []
    for name in ("whole", "broken"):
        name = f"{name}_{secrets.token_hex(8)}"
        with psycopg.connect(postgres_url, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
        urls.append(f"{postgres_url.rsplit('/', 1)[0]}/{name}")
    var, file = tmp_path / "var", tmp_path / "one.backup"
    for command in (["migrate", "--verbosity", "0"], ["backup", str(file)]):
        assert manage(var, *command, DATABASE_URL=urls[0]).returncode == 0
    # A backup with a right checksum whose dump ends in the middle.
    manifest = archive.read(file)
    os.truncate(file, manifest.bytes * 2 // 3)
    half = archive.Manifest(
        **{
            **{each: getattr(manifest, each) for each in manifest.__struct_fields__},
            "bytes": manifest.bytes * 2 // 3,
            "sha256": archive.digest(file, manifest.bytes),
        }
    )
    with file.open("r+b") as opened:
        archive.append(opened, half)
    code, said = sentence(manage(var, "restore", str(file), DATABASE_URL=urls[1]))
    assert code == 1 and said.startswith(
        "the database could not be restored: pg_restore"
    )
    with psycopg.connect(urls[1]) as database:
        (tables,) = database.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert tables == (0,)


@pytest.mark.parametrize(
    ("secret", "is_told"),
    [({}, False), ({"sslpassword": "s3cret"}, True), ({"sslpassword": ""}, False)],
)
def test_secrets_are_on_no_command_line(monkeypatch, secret, is_told):
    given = {"dbname": "hub", "host": "db1", "password": "pa ss", **secret}
    monkeypatch.setattr(
        programs,
        "connection",
        SimpleNamespace(get_connection_params=lambda: {**given, "cursor_factory": 1}),
    )
    if is_told:
        with pytest.raises(programs.OpenSecret, match="got sslpassword") as caught:
            programs.reach()
        assert "s3cret" not in str(caught.value)
        return
    where, environment = programs.reach()
    assert sorted(where.split()) == ["dbname=hub", "host=db1"]
    assert environment["PGPASSWORD"] == "pa ss"


def test_missing_programs_of_postgresql_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for version in ("14.11", "17.2"):
        directory = tmp_path / version / "bin"
        directory.mkdir(parents=True)
        (directory / "pg_dump").write_text(
            f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n"
        )
        (directory / "pg_dump").chmod(0o755)
    assert programs.find(14, "pg_dump").version == "14.11"
    assert programs.find(15, "pg_dump").version == "17.2"
    with pytest.raises(programs.NoProgram, match="18 or newer .* got 14.11, 17.2"):
        programs.find(18, "pg_dump")
    with pytest.raises(programs.NoProgram, match="pg_restore and psql .* got none"):
        programs.find(15, "pg_restore", "psql")
