"""hub_project.worker: connections that its parent gives, the last of them too."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from hub_project import child_line, memory, server
from hub_project.child_line import ChildLine, ParentLine
from hub_project.server import server_config
from hub_project.worker import WorkerServer
from tests.faults.load import come_true

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def nothing_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is not a hub's: the tests after these want its memory as it was."""
    monkeypatch.setattr(memory, "settle", lambda: None)


class Application:
    """Answers 204, and drains when it is allowed to."""

    def __init__(self) -> None:
        self.may_drain = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})
            return
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    def announce_end(self) -> None:
        pass

    async def drain(self, until: float) -> None:
        await self.may_drain.wait()


class Parent:
    """The other end of a worker's line, and the worker in this process."""

    def __init__(self, drain_seconds: float = 60.0, **options: Any) -> None:
        self._ours, theirs = socket.socketpair()
        self.line = ParentLine(self._ours)
        self.application = Application()
        config = server_config(self.application, **options)
        # A unix socket's path has a limit of 107 bytes: not below tmp_path.
        self._directory = Path(tempfile.mkdtemp(prefix="telemetry-run-"))
        path = self._directory / "worker-1.sock"
        child = ChildLine(theirs.detach())
        self.worker = WorkerServer(
            *(config, self.application, child, path, 0.0),
            drain_seconds=drain_seconds,
        )
        self._child = child

    async def hears(self, what: str) -> None:
        def is_said() -> bool:
            return any(word.what == what for word in self.line.hear())

        await come_true(is_said, f"it says {what}")

    def give(self) -> socket.socket:
        """A connection of a peer, whose end this is."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname(), timeout=30)
            accepted, _ = listener.accept()
        with accepted:
            assert self.line.give(accepted)
        return peer

    def close(self) -> None:
        self._ours.close()
        self._child._socket.close()
        # Its worker has removed its socket.
        self._directory.rmdir()


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Parent]:
    parent = Parent(**options)
    task = asyncio.create_task(parent.worker.serve(sockets=[]))
    try:
        await parent.hears(child_line.READY)
        yield parent
    finally:
        parent.application.may_drain.set()
        parent.worker.should_exit = True
        await asyncio.wait_for(task, 30)
        parent.close()


async def answer_of(peer: socket.socket) -> bytes:
    """What a worker answers a request; empty if it lets go without a word."""

    def ask() -> bytes:
        with peer:
            peer.sendall(REQUEST)
            return peer.recv(100)

    return await asyncio.to_thread(ask)


async def test_given_connection_is_served() -> None:
    async with serving() as parent:
        assert (await answer_of(parent.give())).startswith(b"HTTP/1.1 204 ")


async def test_all_that_was_given_before_it_left_is_served_and_no_more_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # More than are taken in one turn: the last ones are taken when it leaves.
    monkeypatch.setattr(child_line, "TAKEN_AT_ONCE", 2)
    async with serving() as parent:
        parent.worker.should_exit = True
        peers = [parent.give() for _ in range(8)]
        asyncio.get_running_loop().remove_reader(parent._child.fileno())
        await parent.hears(child_line.LEAVING)
        spare, other = socket.socketpair()
        with spare, other:
            assert not parent.line.give(spare)
        answers = [await answer_of(peer) for peer in peers]
        assert [answer[:13] for answer in answers] == [b"HTTP/1.1 204 "] * 8


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, Path]:
    """uvicorn's options for a certificate of 127.0.0.1."""
    made = trustme.CA().issue_cert("127.0.0.1")
    made.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    made.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    return {"ssl_certfile": tmp_path / "cert.pem", "ssl_keyfile": tmp_path / "key.pem"}


async def test_peer_that_begins_no_handshake_is_let_go(
    certificate: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.2)
    async with serving(**certificate) as parent:
        with parent.give() as mute:
            assert await asyncio.to_thread(mute.recv, 1) == b""


async def test_it_ends_although_the_hub_does_not_drain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parent = Parent(drain_seconds=0.1)
    task = asyncio.create_task(parent.worker.serve(sockets=[]))
    await parent.hears(child_line.READY)
    parent.worker.should_exit = True
    await asyncio.wait_for(task, 30)
    assert not parent.application.may_drain.is_set()
    assert "the hub did not drain in time" in caplog.messages
    parent.close()
