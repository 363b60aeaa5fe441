"""Two hubs on one database, and a Redis that dies, stands still or cuts them off.

Ingest and local pages go on; the pages of the other process end up right.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.live.model import Store
from tests.processes import HubProcess, wait_until
from tests.redis_server import RedisServer

pytestmark = pytest.mark.slow

SIGN_IN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.get_or_create(username="staff", is_staff=True)[0])
print("cookie", *(f"{k}={m.value}" for k, m in client.cookies.items()))
"""
STILL_SECONDS = 20.0


class Page:
    """A browser tab on one hub; reads and acknowledges on a thread of its own."""

    def __init__(self, hub: HubProcess, cookie: str) -> None:
        self._connection = connect(
            f"ws://127.0.0.1:{hub.port}/ws/live",
            origin=Origin(hub.url),
            subprotocols=[Subprotocol("hub.live.v1")],
            additional_headers={"Cookie": cookie},
            compression=None,
            proxy=None,
            # A hub that is made to stand still must not lose its page.
            ping_interval=None,
        )
        self.store = Store()
        self.resets: list[str] = []
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_until(lambda: self.store.revision is not None, "the page is open")

    def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed), self._connection as socket:
            socket.send('{"type":"hello","interval_ms":100}')
            socket.send('{"type":"subscribe","id":1,"groups":["floor"]}')
            while not self._is_closed.is_set():
                with contextlib.suppress(TimeoutError):
                    self._take(socket, json.loads(socket.recv(0.2)))

    def _take(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        if message["type"] == "reset":
            self.resets.append(message["reason"])
        self.store.take(message)
        if "revision" in message and not message.get("more"):
            ack = {"type": "ack", "group": "floor", "revision": message["revision"]}
            socket.send(json.dumps(ack))

    def shows(self, expected: dict[str, float]) -> None:
        """Wait until the devices' only values are these."""
        wait_until(lambda: self.values() == expected, f"the page shows {expected}")

    def values(self) -> dict[str, float]:
        names = {each[0]: each[1] for each in self.store.series.values()}
        rows = list(self.store.rows.values())
        return {names[row[0]]: row[2] for row in rows if row[0] in names}

    def close(self) -> None:
        self._is_closed.set()
        self._thread.join(10)


class Pair:
    """Two hubs, `near` and `far`, a device on each, and a page on both."""

    def __init__(self, directory: Path, database: str, redis: RedisServer) -> None:
        self.redis = redis
        variables = {
            "DATABASE_URL": database,
            "REDIS_URL": redis.url,
            "SECRET_KEY": secrets.token_hex(32),
        }
        self.hubs = [
            HubProcess(directory / name, "serve", variables=variables)
            for name in ("near", "far")
        ]
        self.near, self.far = self.hubs
        self.pages: list[Page] = []

    def start(self) -> None:
        self.near.manage("migrate", "--verbosity", "0")
        lines = self.near.manage(
            *("createdevice", "near", "far", "--group", "floor")
        ).splitlines()
        self.keys = dict(line.split("\t") for line in lines)
        self.cookies = [sign_in(hub) for hub in self.hubs]
        for hub in self.hubs:
            hub.start()
        self.sent: dict[str, float] = {}

    def open_pages(self) -> None:
        """A fresh page on each hub, which shows a fresh reading of each device."""
        for hub, cookie in zip(self.hubs, self.cookies, strict=True):
            self.pages.append(Page(hub, cookie))
        self.send(1.0)
        self.show()

    def close_pages(self) -> None:
        for page in self.pages:
            page.close()
        self.pages.clear()

    def send(self, value: float) -> None:
        """A reading of the device of each hub, on disk when this returns."""
        for hub, slug in ((self.near, "near"), (self.far, "far")):
            self.post(hub, slug, value)

    def post(self, hub: HubProcess, slug: str, value: float) -> None:
        request = Request(
            f"{hub.url}/api/v1/ingest",
            json.dumps({"values": {"temp": value}}).encode(),
            {
                "Authorization": f"Bearer {self.keys[slug]}",
                "Content-Type": "application/json",
            },
        )
        with urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        self.sent[slug] = value

    def show(self) -> None:
        """Wait until both pages show what was sent last."""
        for page in self.pages:
            page.shows(self.sent)

    def end(self) -> None:
        for hub in self.hubs:
            hub.end()


def sign_in(hub: HubProcess) -> str:
    said = hub.manage("shell", "-v", "0", "-c", SIGN_IN).splitlines()
    cookie = next(line for line in said if line.startswith("cookie "))
    return cookie.split(" ", 1)[1]


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Pair]:
    """Started once: each test leaves them as it found them."""
    import psycopg  # Only machines with PostgreSQL need it.

    name = f"redis_{secrets.token_hex(8)}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    directory = tmp_path_factory.mktemp("pair")
    redis = RedisServer(directory / "redis").start()
    made = Pair(directory, f"{postgres_url.rsplit('/', 1)[0]}/{name}", redis)
    try:
        made.start()
        yield made
    finally:
        made.end()
        redis.kill()


@pytest.fixture
def pair(hubs: Pair) -> Iterator[Pair]:
    hubs.open_pages()
    yield hubs
    hubs.close_pages()


def numbers_for(seconds: float) -> Iterator[float]:
    """2, 3, 4 and so on, a few a second, for so long."""
    until = time.monotonic() + seconds
    for number in itertools.count(2.0):
        if time.monotonic() > until:
            return
        yield number
        time.sleep(0.3)


def go_on_without_redis(pair: Pair, values: Iterable[float]) -> None:
    """Readings are taken and acknowledged, and each hub shows its own."""
    near, far = pair.pages
    before = dict(pair.sent)
    for value in values:
        pair.send(value)
        near.shows({"near": value, "far": before["far"]})
        far.shows({"near": before["near"], "far": value})


def test_redis_that_is_killed_and_comes_back(pair: Pair) -> None:
    said = [len(hub.output) for hub in pair.hubs]
    pair.redis.kill()
    go_on_without_redis(pair, [2.0, 3.0, 4.0])
    pair.redis.start()
    back_at = time.monotonic()
    pair.show()
    print(f"right {time.monotonic() - back_at:.1f} s after Redis came back")
    for page in pair.pages:
        wait_until(lambda page=page: "gap" in page.resets, "the page heard of a gap")
    for value in (5.0, 6.0, 7.0):
        pair.send(value)
        pair.show()
    for hub, before in zip(pair.hubs, said, strict=True):
        assert hub.output[before:].count("does not answer") == 1
        assert "Traceback" not in hub.output[before:]


def test_redis_that_stands_still(pair: Pair) -> None:
    pair.redis.stand_still()
    try:
        go_on_without_redis(pair, numbers_for(STILL_SECONDS))
    finally:
        pair.redis.go_on()
    back_at = time.monotonic()
    pair.show()
    print(f"right {time.monotonic() - back_at:.1f} s after Redis went on")
    pair.send(100.0)
    pair.show()


def test_connections_that_are_killed_again_and_again(pair: Pair) -> None:
    with pair.redis.client() as client:
        for round in range(5):
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            pair.send(10.0 + round)
            pair.send(20.0 + round)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            pair.send(30.0 + round)
            pair.show()


def test_hub_that_stood_still_and_was_cut_off_for_what_it_did_not_read(
    pair: Pair,
) -> None:
    """Redis drops a subscriber whose buffer is full: client-output-buffer-limit."""
    page = pair.pages[1]
    with pair.redis.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
        (channel,) = (
            name for name in client.pubsub_channels() if name.endswith(b"hub.t.floor")
        )
        pair.far.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
        try:
            subscribers = len(client.client_list("pubsub"))
            much = msgspec.msgpack.encode({"type": "x", "content": bytes(2**19)})

            def is_cut() -> bool:
                client.publish(channel, much)
                return len(client.client_list("pubsub")) < subscribers

            wait_until(is_cut, "Redis cuts the hub off")
            pair.post(pair.near, "near", 2.0)
        finally:
            pair.far.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
        page.shows(pair.sent)
    pair.send(3.0)
    pair.show()


def test_hub_that_stood_still_longer_than_its_interest_is_kept(pair: Pair) -> None:
    pair.far.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    try:
        for value in numbers_for(STILL_SECONDS):
            pair.post(pair.near, "near", value)
    finally:
        pair.far.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
    pair.show()
    wait_until(lambda: "gap" in pair.pages[1].resets, "the page heard of a gap")


def test_hub_that_is_killed_is_read_again_from_the_database(pair: Pair) -> None:
    # Committed and killed: the last news may not have been told.
    pair.post(pair.near, "near", 2.0)
    pair.near.kill()
    pair.pages[1].shows({"near": 2.0, "far": 1.0})
    wait_until(lambda: "gap" in pair.pages[1].resets, "the page heard of a gap")
    pair.near.start()
    pair.pages[0].close()
    pair.pages[0] = Page(pair.near, pair.cookies[0])
    pair.send(3.0)
    pair.show()
