"""`/ws/echo` on real hubs: what comes back, to whom, how much, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from telemetry.live.echo import MOST_OF_ONE, MOST_SLOWED, EchoConsumer, LinkChecks
from telemetry.protocol.errors import Busy
from tests.processes import HubProcess, manage

COMMANDS = {"uvicorn": ("serve",), "daphne": ("runserver", "--noreload")}
LIMIT_BYTES = 65_536
# Keys of two devices, one disabled, and the session of a signed-in user.
PEOPLE = """
from django.contrib.auth.models import User
from django.test import Client
from telemetry.devices.credentials import issue
from telemetry.devices.models import Device
pump, fan = (Device.objects.create(slug=name, name=name) for name in ("pump", "fan"))
print("key", issue(pump)[1])
print("disabled", issue(fan)[1])
Device.objects.filter(pk=fan.pk).update(is_enabled=False)
client = Client()
client.force_login(User.objects.create_user("alice"))
print("session", client.session.session_key)
"""


@dataclass
class Server:
    """A running hub and who may check the link to it."""

    process: HubProcess
    key: str
    disabled: str
    session: str

    @property
    def cookie(self) -> str:
        # By its port: hubs on one machine share the host, and so its cookies.
        return f"hub_session_{self.process.port}={self.session}"

    def open(
        self,
        *,
        key: str | None = None,
        cookie: str | None = None,
        origin: str | None = None,
        **options: Any,
    ) -> ClientConnection:
        headers = {"Cookie": cookie} if cookie else {}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return connect(
            f"ws://127.0.0.1:{self.process.port}/ws/{options.pop('path', 'echo')}",
            origin=cast(Any, origin),
            additional_headers=headers,
            compression=None,
            proxy=None,
            max_size=None,
            **options,
        )

    def as_device(self, **options: Any) -> ClientConnection:
        return self.open(key=self.key, **options)

    def as_browser(self) -> ClientConnection:
        return self.open(cookie=self.cookie, origin=self.process.url)


@pytest.fixture(scope="module")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, set_up_data_dir: Path
) -> tuple[Path, dict[str, str]]:
    """The data of a hub with these people, and what they show."""
    data_dir = tmp_path_factory.mktemp("echo") / "var"
    shutil.copytree(set_up_data_dir, data_dir)
    done = manage(data_dir, "shell", "-v0", "-c", PEOPLE)
    assert done.returncode == 0, done.stderr
    return data_dir, dict(line.split(" ", 1) for line in done.stdout.splitlines())


def serve(
    prepared: tuple[Path, dict[str, str]],
    directory: Path,
    *command: str,
    **variables: str,
) -> Iterator[Server]:
    source, people = prepared
    shutil.copytree(source, directory / "var")
    process = HubProcess(directory / "var", *command, variables=variables)
    try:
        yield Server(process.start(), **people)
    finally:
        process.end()


@pytest.fixture(scope="module", params=list(COMMANDS))
def server(request, prepared, tmp_path_factory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(request.param)
    yield from serve(prepared, directory, *COMMANDS[request.param])


@pytest.fixture(scope="module")
def quick(prepared, tmp_path_factory) -> Iterator[Server]:
    """A hub whose link checks are quick, and soon over; the last test stops it."""
    limits = {"TELEMETRY_ECHO_RATE": "1000", "TELEMETRY_ECHO_SECONDS": "3"}
    yield from serve(prepared, tmp_path_factory.mktemp("quick"), "serve", **limits)


def ending(socket: ClientConnection) -> tuple[int | None, list[dict[str, Any]]]:
    """Read to the end: the close code, and the hub's own words before it."""
    words = []
    try:
        while True:
            frame = socket.recv(20)
            if isinstance(frame, str) and frame.startswith('{"type"'):
                words.append(json.loads(frame))
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None, words


MESSAGES = {
    "empty": "",
    "text": "Grüße 😀\n\0",
    "JSON of ours": '{"type":"bye","code":4401}',
    "bytes": bytes(range(256)),
    "longest text": "é" * (LIMIT_BYTES // 2),
    "longest bytes": os.urandom(LIMIT_BYTES),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
def test_every_message_comes_back_as_it_was(server: Server, message: str | bytes):
    if not message and server.process.command == COMMANDS["daphne"]:
        pytest.skip("Daphne sends no empty message")
    with server.as_device() as device, server.as_browser() as browser:
        for socket_ in (device, browser):
            socket_.send(message)
            assert socket_.recv(20) == message


@pytest.mark.parametrize(
    "message", [b"x" * (LIMIT_BYTES + 1), "é" * (LIMIT_BYTES // 2) + "x"]
)
def test_one_byte_more_is_refused_and_told(server: Server, message: str | bytes):
    with server.as_device() as device:
        device.send(message)
        code, (error, bye) = ending(device)
    assert code == 4413
    assert (error["code"], bye["code"]) == ("too_large", 4413)
    assert error["message"] == ("expected a message of at most 65536 bytes, got 65537")


def test_only_a_session_with_its_origin_or_a_key_is_served(server: Server):
    url, other = server.process.url, "http://evil.example"
    wrong = server.key[:-1] + ("a" if server.key[-1] != "a" else "b")
    made_up = server.cookie.partition("=")[0] + "=made-up"
    for expected, options in (
        (4401, {}),
        (4401, {"origin": url}),
        (4401, {"cookie": made_up, "origin": url}),
        (4401, {"key": wrong}),
        (4401, {"key": "hub_"}),
        (4403, {"key": server.disabled}),
        (4403, {"cookie": server.cookie}),
        (4403, {"cookie": server.cookie, "origin": other}),
        (4403, {"cookie": server.cookie, "origin": url + "/"}),
        (4403, {"origin": other}),
        (4406, {"key": server.key, "subprotocols": ["hub.v1.json"]}),
    ):
        with server.open(**options) as socket_:
            code, words = ending(socket_)
        assert (code, words[-1]["code"]) == (expected, expected), options


def test_more_than_a_second_s_messages_wait_and_all_come_back(server: Server):
    messages = [str(number) for number in range(30)]
    with server.as_device() as device:
        for message in messages:
            device.send(message)
        assert [device.recv(20) for _ in messages] == messages


def test_the_device_s_own_socket_goes_on_beside_it(server: Server):
    with server.as_device(path="device") as device:
        device.send('{"type":"hello"}')
        assert json.loads(device.recv(20))["type"] == "welcome"
        with server.as_device() as echo:
            echo.send(b"x")
            assert echo.recv(20) == b"x"
        device.send('{"type":"ping"}')
        assert json.loads(device.recv(20))["type"] == "pong"


def test_a_device_may_check_only_so_often_at_once(server: Server):
    with ExitStack() as open_:
        for _ in range(MOST_OF_ONE):
            socket_ = open_.enter_context(server.as_device())
            socket_.send("here")
            assert socket_.recv(20) == "here"
        with server.as_device() as one_more:
            code, (error, _bye) = ending(one_more)
        assert (code, error["code"]) == (4503, "busy")
        with server.as_browser() as other:
            other.send("and somebody else")
            assert other.recv(20) == "and somebody else"


async def test_who_floods_is_slowed_and_then_told_to_go(quick: Server):
    url = f"ws://127.0.0.1:{quick.process.port}/ws/echo"
    headers = {"Authorization": f"Bearer {quick.key}"}

    async def flood() -> None:
        while True:
            await socket_.send("x" * 20)
            await asyncio.sleep(0)  # `send` does not give others a turn.

    async with async_connect(
        url, additional_headers=headers, compression=None, proxy=None
    ) as socket_:
        flooding = asyncio.ensure_future(flood())
        frames: list[str | bytes] = []
        with suppress(ConnectionClosed):
            while True:
                frames.append(await socket_.recv())
        await asyncio.wait([flooding])
        assert isinstance(flooding.exception(), ConnectionClosed)
        assert socket_.close_code == 4429
    *echoed, error, bye = frames
    assert set(echoed) == {"x" * 20}
    assert (json.loads(error)["code"], json.loads(bye)["code"]) == ("rate", 4429)
    assert "at most 1000 messages a second" in json.loads(error)["message"]


def test_who_does_not_read_is_not_read(quick: Server):
    """Raw: what a client sends while it reads nothing stays with it."""
    head = (
        "GET /ws/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        f"{base64.b64encode(bytes(16)).decode()}\r\nAuthorization: Bearer {quick.key}"
        "\r\n\r\n"
    )
    size = 60_000
    frame = b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4) + bytes(size)
    sent = 0
    with socket.create_connection(("127.0.0.1", quick.process.port), 2) as raw:
        raw.sendall(head.encode())
        assert raw.recv(12) == b"HTTP/1.1 101"
        with pytest.raises(OSError):
            while sent < 900:
                raw.sendall(frame)
                sent += 1
    # Far less than the rate lets through: buffers of the system, and ours.
    assert sent < 600


def test_it_ends_when_its_time_is_over_and_when_the_hub_stops(quick: Server):
    with quick.as_device() as device:
        code, (bye,) = ending(device)
    assert (code, bye["code"], bye["reason"]) == (1000, 1000, "the link check is over")
    with quick.as_device() as device, quick.as_browser() as browser:
        for socket_ in (device, browser):
            socket_.send("there")
            assert socket_.recv(20) == "there"
        process = quick.process.process
        assert process is not None
        process.terminate()
        for socket_ in (device, browser):
            code, (bye,) = ending(socket_)
            assert (code, bye["code"], bye["reason"]) == (4503, 4503, "restart")
    assert quick.process.stop() == 0


class TestLinkChecks:
    def test_the_last_place_is_taken_and_no_more(self):
        checks = LinkChecks(most=5)
        for number in range(5):
            checks.enter(a_socket(), ("device", number))
        with pytest.raises(Busy, match="at most 5 link checks"):
            checks.enter(a_socket(), ("device", 5))

    def test_one_sender_takes_only_so_many(self):
        checks = LinkChecks(most=100)
        sockets = [a_socket() for _ in range(MOST_OF_ONE)]
        for socket_ in sockets:
            checks.enter(socket_, ("device", 1))
        with pytest.raises(Busy, match="of one device or person"):
            checks.enter(a_socket(), ("device", 1))
        checks.enter(a_socket(), ("person", 1))
        checks.leave(sockets[0])
        checks.enter(a_socket(), ("device", 1))

    async def test_after_the_goodbye_nobody_comes_in(self):
        checks = LinkChecks(most=5)
        await checks.dismiss()
        with pytest.raises(Busy, match="stopping"):
            checks.enter(a_socket(), ("device", 1))


def a_socket() -> EchoConsumer:
    return EchoConsumer()


def test_slowing_ends_within_the_time_of_a_check():
    """At the default rate somebody is told after some seconds, not at the end."""
    assert MOST_SLOWED / 20 < 10
