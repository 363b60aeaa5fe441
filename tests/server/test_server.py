"""hub_project.server: one process that listens itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from hub_project import memory, server
from hub_project.server import HubServer, server_config

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def nothing_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is not a hub's: the tests after these want its memory as it was."""
    monkeypatch.setattr(memory, "settle", lambda: None)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers 204."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        return
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def nothing_to_drain(until: float) -> None:
    pass


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[str, int]]:
    """The address of a server in this process."""
    listener = server.listen("127.0.0.1", 0)
    started = asyncio.Event()
    config = server_config(application, **options)
    hub_server = HubServer(config, nothing_to_drain, started.set, drain_seconds=0.0)
    task = asyncio.create_task(hub_server.serve(sockets=[listener]))
    try:
        await asyncio.wait_for(started.wait(), 30)
        yield listener.getsockname()
    finally:
        hub_server.should_exit = True
        await asyncio.wait_for(task, 30)


async def test_peer_that_begins_no_handshake_is_let_go_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.5)
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    made.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    made.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def ask(address: tuple[str, int]) -> bytes:
        with (
            socket.create_connection(address, timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
        ):
            peer.sendall(REQUEST)
            return peer.recv(100)

    names = {"ssl_certfile": tmp_path / "cert.pem", "ssl_keyfile": tmp_path / "key.pem"}
    async with serving(**names) as address:
        with socket.create_connection(address, timeout=30) as mute:
            assert (await asyncio.to_thread(ask, address))[:13] == b"HTTP/1.1 204 "
            assert await asyncio.to_thread(mute.recv, 1) == b""


async def test_without_a_certificate_requests_are_served() -> None:
    async with serving() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(REQUEST)
        assert (await reader.read(100))[:13] == b"HTTP/1.1 204 "
        writer.close()
