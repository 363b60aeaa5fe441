"""Two hubs on one PostgreSQL and one Redis, and a device that jumps between them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from telemetry.history.journal import decode_columns
from tests.ingest.wire import Device
from tests.postgresql import new_database
from tests.processes import HubProcess, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WINDOW = 4
SESSION = "s"
T = 1_795_341_600_000


class Pair:
    """The hubs, their database, and the key of one device."""

    def __init__(self, directory: Path, database_url: str, redis_url: str) -> None:
        self.database_url = database_url
        self.hubs = [
            HubProcess(
                directory / f"var-{name}",
                "serve",
                variables={
                    "DATABASE_URL": database_url,
                    "REDIS_URL": redis_url,
                    # Of both, as on all machines of one hub.
                    "SECRET_KEY": "of two hubs that are one, and of no other",
                    "TELEMETRY_CONNECTS_PER_MINUTE": "600",
                    "TELEMETRY_DEVICE_RATE": "0",
                    "TELEMETRY_PRESENCE_SECONDS": "0.5",
                },
            )
            for name in ("one", "other")
        ]
        made = self.hubs[0].manage("createdevice", "boiler", "--group", "floor")
        _, self.key = made.strip().split("\t")
        for hub in self.hubs:
            hub.start()

    def connect(self, at: int) -> Device:
        return Device(self.hubs[at].url, self.key)

    def query(self, sql: str) -> list[tuple]:
        with psycopg.connect(self.database_url) as database:
            return database.execute(sql).fetchall()

    def stored(self) -> list[int]:
        """The numbers on disk: each reading's value is that of its batch."""
        found: list[int] = []
        for (columns,) in self.query("SELECT columns FROM telemetry_journal"):
            _, _, values = decode_columns(bytes(columns))
            found += [int(value) for value in values.tolist()]
        return sorted(found)

    def presence(self) -> tuple[bool, int]:
        rows = self.query("SELECT is_online, close_code FROM telemetry_devicepresence")
        return rows[0] if rows else (False, -1)

    @contextmanager
    def stopped(self, at: int) -> Iterator[None]:
        """Its process does nothing meanwhile, and does not know of it."""
        os.kill(self.hubs[at].pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.hubs[at].pid, signal.SIGCONT)


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Pair]:
    pair = Pair(tmp_path, new_database(postgres_url, tmp_path / "var"), redis_url)
    yield pair
    for hub in pair.hubs:
        hub.end()


def send(device: Device, *seqs: int) -> None:
    for seq in seqs:
        device.data(seq, time=T + seq, values={"count": seq})


def test_a_device_that_jumps_loses_nothing_and_stores_nothing_twice(pair: Pair):
    rng = random.Random(5)
    left: list[Device] = []
    last = 0
    for _ in range(40):
        at = rng.randrange(2)
        device = pair.connect(at)
        acked = device.hello(SESSION)["acked"]
        # What was acked before is on disk, whoever is asked.
        assert last - WINDOW <= acked <= last
        seqs = range(acked + 1, acked + 1 + rng.randint(1, WINDOW))
        send(device, *seqs)
        last = max(last, seqs[-1])
        if rng.random() < 0.3:
            device.acked(seqs[-1])
        elif rng.random() < 0.5:
            time.sleep(rng.uniform(0, 0.02))
        # Its socket stays open, and nobody reads it.
        left.append(device)
    device = pair.connect(0)
    acked = device.hello(SESSION)["acked"]
    send(device, *range(acked + 1, last + 1))
    if acked < last:
        device.acked(last)
    for each in left:
        code, messages = each.ended()
        assert code == 4409
        assert all(m["type"] in ("ack", "bye") for m in messages)
    device.is_alive()
    assert pair.stored() == list(range(1, last + 1))


def test_a_process_that_wakes_up_stores_nothing_of_a_device_that_has_gone(pair: Pair):
    rng = random.Random(7)
    at, last = 0, 0
    device = pair.connect(at)
    assert device.hello(SESSION)["acked"] == 0
    for _ in range(12):
        send(device, *range(last + 1, last + 1 + WINDOW))
        # Before it reads, while it gathers or commits, or after its acks.
        time.sleep(rng.choice((0, rng.uniform(0, 0.02), rng.uniform(0, 0.1))))
        with pair.stopped(at):
            newer = pair.connect(1 - at)
            acked = newer.hello(SESSION)["acked"]
            assert last <= acked <= last + WINDOW
            last += WINDOW
            send(newer, *range(acked + 1, last + 1))
            if acked < last:
                newer.acked(last)
        code, messages = device.ended()
        assert code == 4409
        # It acks nothing that it left out.
        assert all(m.get("seq", 0) <= acked for m in messages if m["type"] == "ack")
        device, at = newer, 1 - at
    device.is_alive()
    assert pair.stored() == list(range(1, last + 1))


def test_presence_is_right_after_a_jump_and_after_a_kill(pair: Pair):
    older = pair.connect(0)
    older.hello(SESSION)
    wait_until(lambda: pair.presence() == (True, 0), "the device is online")
    newer = pair.connect(1)
    newer.hello(SESSION)
    assert older.ended()[0] == 4409
    # The end of the older socket is written by now, or never.
    time.sleep(2)
    assert pair.presence() == (True, 0)
    before = len(pair.query("SELECT 1 FROM telemetry_deviceevent WHERE code = 1006"))
    pair.hubs[1].kill()
    wait_until(lambda: pair.presence() == (False, 1006), "it is offline", 60)
    wait_until(
        lambda: (
            len(pair.query("SELECT 1 FROM telemetry_deviceevent WHERE code = 1006"))
            == before + 1
        ),
        "an event says so",
    )


def test_a_key_that_is_revoked_at_one_hub_closes_the_socket_at_the_other(pair: Pair):
    device = pair.connect(1)
    device.hello(SESSION)
    program = (
        "from django.utils import timezone;"
        "from telemetry.devices.models import Credential;"
        "Credential.objects.update(revoked_at=timezone.now())"
    )
    pair.hubs[0].manage("shell", "--no-imports", "-c", program)
    assert device.ended()[0] == 4401
