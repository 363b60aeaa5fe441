"""The whole way on both servers: a device's reading on a page, and rights that end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.processes import HubProcess

COMMANDS = {"uvicorn": ("serve",), "daphne": ("runserver", "--noreload")}
# A session as a log-in makes it; prints the key.
SIGN_IN = """
from django.contrib.auth.models import User
from django.test import Client
from telemetry.devices.models import DeviceGroup, GroupAccess
user = User.objects.create_user({name!r})
GroupAccess.objects.create(group=DeviceGroup.objects.get(slug="plant"), user=user)
client = Client()
client.force_login(user)
print("cookie", *(f"{{k}}={{m.value}}" for k, m in client.cookies.items()))
"""
LOG_OUT = """
from django.contrib.sessions.models import Session
Session.objects.all().delete()
"""
TAKE_RIGHTS = """
from telemetry.devices.models import GroupAccess
GroupAccess.objects.all().delete()
"""


@pytest.fixture(scope="module", params=list(COMMANDS))
def server(request, tmp_path_factory) -> Iterator[tuple[HubProcess, str]]:
    """A running hub with a device in the group `plant`; the device's key."""
    process = HubProcess(
        tmp_path_factory.mktemp(request.param) / "var", *COMMANDS[request.param]
    )
    process.manage("migrate")
    line = process.manage("createdevice", "boiler 7", "--group", "plant")
    process.start()
    try:
        yield process, line.strip().partition("\t")[2]
    finally:
        process.kill()


def shell(process: HubProcess, code: str) -> str:
    return process.manage("shell", "-v", "0", "-c", code)


def sign_in(process: HubProcess, name: str) -> str:
    lines = shell(process, SIGN_IN.format(name=name)).splitlines()
    return next(line for line in lines if line.startswith("cookie ")).split(" ", 1)[1]


def open_page(process: HubProcess, cookie: str | None, **options: Any):
    headers = {"Cookie": cookie} if cookie else {}
    return connect(
        f"ws://127.0.0.1:{process.port}/ws/live",
        origin=options.pop("origin", process.url),
        subprotocols=options.pop("subprotocols", ["hub.live.v1"]),
        additional_headers=headers,
        compression=None,
        proxy=None,
    )


def receive(socket: ClientConnection, type: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(socket.recv(20))
        if message["type"] == type:
            return message


def subscribe(socket: ClientConnection) -> dict[str, Any]:
    socket.send('{"type":"hello","interval_ms":100}')
    socket.send('{"type":"subscribe","id":1,"groups":["plant"]}')
    assert receive(socket, "subscribed")["groups"] == ["plant"]
    return receive(socket, "snapshot")


def close_code(socket: ClientConnection) -> int | None:
    try:
        while True:
            socket.recv(20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def post(process: HubProcess, key: str, **values: float) -> None:
    request = Request(
        f"{process.url}/api/v1/ingest",
        json.dumps({"values": values}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def acked_update(socket: ClientConnection) -> dict[str, Any]:
    """The next update; after two that are not acked no other would come."""
    update = receive(socket, "update")
    ack = {"type": "ack", "group": "plant", "revision": update["revision"]}
    socket.send(json.dumps(ack))
    return update


def test_reading_of_a_device_moves_the_page(server):
    process, key = server
    with open_page(process, sign_in(process, "alice")) as socket:
        subscribe(socket)
        post(process, key, temp=21.5)
        update = acked_update(socket)
        while not update["rows"]:
            update = acked_update(socket)
        assert update["rows"][0][2] == 21.5
        post(process, key, temp=22.5)
        assert receive(socket, "update")["rows"][0][2] == 22.5


def test_foreign_page_stranger_and_other_protocols_are_refused(server):
    process, _ = server
    cookie = sign_in(process, "bob")
    with open_page(process, cookie, origin="http://evil.example") as socket:
        assert close_code(socket) == 4403
    with open_page(process, cookie, origin=None) as socket:
        assert close_code(socket) == 4403
    with open_page(process, None) as socket:
        assert close_code(socket) == 4401
    with open_page(process, cookie, subprotocols=["hub.v1.json"]) as socket:
        assert close_code(socket) == 4406


def test_rights_and_sessions_that_end_reach_open_pages(server):
    process, _ = server
    cookie = sign_in(process, "charlie")
    with open_page(process, cookie) as socket:
        subscribe(socket)
        shell(process, TAKE_RIGHTS)
        assert receive(socket, "reset")["reason"] == "forbidden"
        shell(process, LOG_OUT)
        assert close_code(socket) == 4401


def test_hub_that_stops_says_so(tmp_path):
    process = HubProcess(tmp_path / "var", "serve")
    process.manage("migrate")
    process.manage("createdevice", "boiler 7", "--group", "plant")
    process.start()
    with open_page(process, sign_in(process, "alice")) as socket:
        subscribe(socket)
        assert process.process is not None
        process.process.terminate()
        assert close_code(socket) == 4503
    assert process.stop() == 0
