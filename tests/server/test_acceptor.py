"""hub_project.acceptor: who comes is handed over, and waits while nobody takes it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from hub_project.acceptor import Acceptor
from hub_project.server import listen
from tests.faults.load import come_true


class Taker:
    """Takes connections, but for the first few times that it is asked."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.taken: list[socket.socket] = []

    def __call__(self, connection: socket.socket) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.taken.append(connection.dup())
        return True

    async def has(self, count: int) -> None:
        await come_true(lambda: len(self.taken) >= count, f"{count} are taken")

    def end(self) -> None:
        for each in self.taken:
            each.close()


def connected(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=30)


async def test_each_connection_is_handed_over_once() -> None:
    listener = listen("127.0.0.1", 0)
    taker = Taker()
    acceptor = Acceptor(listener, 128, taker)
    acceptor.open()
    acceptor.open()
    peers = [connected(listener) for _ in range(100)]
    await taker.has(100)
    taker.taken[0].sendall(b"x")
    assert await asyncio.to_thread(peers[0].recv, 1) == b"x"
    acceptor.close()
    taker.end()
    for each in peers:
        each.close()
    assert len(taker.taken) == 100


@pytest.mark.parametrize("count", [1, 5])
async def test_who_comes_while_nobody_takes_it_waits(count: int) -> None:
    listener = listen("127.0.0.1", 0)
    taker = Taker(refusals=3)
    acceptor = Acceptor(listener, 128, taker)
    acceptor.open()
    peers = [connected(listener) for _ in range(count)]
    await taker.has(count)
    acceptor.close()
    taker.end()
    for each in peers:
        each.close()
    assert taker.refusals == 0


@pytest.mark.parametrize("is_opened", [False, True])
async def test_closed_one_refuses(is_opened: bool) -> None:
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    acceptor = Acceptor(listener, 128, Taker())
    if is_opened:
        acceptor.open()
    acceptor.close()
    acceptor.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=30)


async def test_one_that_waits_for_a_taker_is_let_go_at_the_end() -> None:
    listener = listen("127.0.0.1", 0)
    taker = Taker(refusals=10**9)
    acceptor = Acceptor(listener, 128, taker)
    acceptor.open()
    with connected(listener) as peer:
        await come_true(lambda: taker.refusals < 10**9, "it is asked")
        acceptor.close()
        assert await asyncio.to_thread(peer.recv, 1) == b""
