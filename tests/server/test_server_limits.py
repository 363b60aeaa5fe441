"""What hostile peers may cost: bounded memory, an answer or a closing, no traceback."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from hub_project.logs import without_peers_faults
from tests.processes import HubProcess, fetch, wait_until

BURST_SECONDS = 2.0
MIB = 1_048_576
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = (
    b" /ws/device HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n"
)
TEXT, CONTINUATION, CLOSE, PING = 1, 0, 8, 9


@contextlib.contextmanager
def opened(hub: HubProcess, receive_bytes: int = 0) -> Iterator[socket.socket]:
    with socket.socket() as peer:
        if receive_bytes:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        peer.settimeout(10)
        peer.connect(("127.0.0.1", hub.port))
        yield peer


def frame(data: bytes, opcode: int = TEXT, is_last: bool = True) -> bytes:
    """A masked frame (with a mask of zeros)."""
    assert len(data) < 65_536
    head = bytes([(0x80 if is_last else 0) | opcode])
    if len(data) < 126:
        return head + bytes([0x80 | len(data)]) + bytes(4) + data
    return head + b"\xfe" + struct.pack("!H", len(data)) + bytes(4) + data


def shake_hands(peer: socket.socket) -> None:
    peer.sendall(b"GET" + UPGRADE + b"\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += peer.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 ")


def read_to_end(peer: socket.socket) -> bytes:
    """All until the hub closes; a reset ends it as well. Fails if it stays open."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while data := peer.recv(65_536):
            got += data
    return got


def send_in_two(peer: socket.socket, head: bytes) -> None:
    """Send so that the hub has read all when it refuses: a reset loses the answer."""
    peer.sendall(head[:60_000])
    time.sleep(0.1)
    peer.sendall(head[60_000:])


def flood(peer: socket.socket, data: bytes, most: int = 100 * MIB) -> bool:
    """Send the same for a while; whether the hub ended it."""
    until = time.monotonic() + BURST_SECONDS
    peer.settimeout(0.2)
    sent = 0
    try:
        while time.monotonic() < until and sent < most:
            with contextlib.suppress(TimeoutError):
                sent += peer.send(data)
    except ConnectionError:
        return True
    finally:
        peer.settimeout(10)
    return False


def memory_bytes(hub: HubProcess) -> int:
    pages = int(Path(f"/proc/{hub.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(hub: HubProcess) -> int:
    return len(os.listdir(f"/proc/{hub.pid}/fd"))


@pytest.fixture
def calm_hub(shared_hub: HubProcess) -> Iterator[HubProcess]:
    """The hub; afterwards it has grown little, answers, and has told no traceback."""
    fetch(f"{shared_hub.url}/healthz")
    before = memory_bytes(shared_hub)
    yield shared_hub
    assert memory_bytes(shared_hub) - before < 24 * MIB
    assert fetch(f"{shared_hub.url}/healthz")[0] == 200
    assert "Traceback" not in shared_hub.output


class TestHead:
    @pytest.mark.parametrize(
        "head",
        [
            GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
            GET + b"X: " + b"a" * 70_000,
            GET + b"a: b\r\n" * 201 + b"\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET" + UPGRADE + b"a: b\r\n" * 250 + b"\r\n",
        ],
        ids=["value", "unended value", "lines", "url", "upgrade"],
    )
    def test_too_large_is_answered_431_and_closed(self, calm_hub, head):
        with opened(calm_hub) as peer:
            send_in_two(peer, head)
            assert read_to_end(peer).startswith(b"HTTP/1.1 431 ")

    @pytest.mark.parametrize(
        "begin, more",
        [
            (GET + b"X: ", b"a" * 262_144),
            (GET, b"a: b\r\n" * 40_000),
            (b"GET /", b"a" * 262_144),
            (GET + b"\r\n", b"\r\n" * 100_000),
            (
                b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                b"\r\n0\r\nX: ",
                b"a" * 262_144,
            ),
        ],
        ids=["value", "lines", "url", "empty lines", "trailer"],
    )
    def test_endless_is_cut(self, calm_hub, begin, more):
        with opened(calm_hub) as peer:
            peer.sendall(begin)
            assert flood(peer, more)

    def test_second_request_of_a_connection_is_counted_anew(self, calm_hub):
        request = GET + b"X: " + b"a" * 40_000 + b"\r\n\r\n"
        with opened(calm_hub) as peer:
            for _ in range(3):
                peer.sendall(request)
                answer = b""
                while b"alive" not in answer:  # It comes in two writes.
                    data = peer.recv(65_536)
                    assert data
                    answer += data
                assert answer.startswith(b"HTTP/1.1 200 ")
            send_in_two(peer, GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n")
            assert b"HTTP/1.1 431 " in read_to_end(peer)

    def test_large_body_behind_a_small_head_is_no_head(self, calm_hub):
        head = b"POST /api/v1/ingest HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        with opened(calm_hub) as peer:
            peer.sendall(head)
            time.sleep(0.05)
            peer.sendall(b"Content-Length: 200000\r\n\r\n" + b" " * 200_000)
            assert peer.recv(65_536).startswith(b"HTTP/1.1 4")

    def test_endless_pipelining_is_cut_or_held_back(self, calm_hub):
        with opened(calm_hub) as peer:
            flood(peer, (GET + b"\r\n") * 5_000, 4 * MIB)


class TestHandshake:
    @pytest.mark.parametrize(
        "request_, status",
        [
            (b"POST" + UPGRADE + b"Content-Length: 5\r\n\r\nhello", b"400"),
            (b"GET" + UPGRADE + b"a: b\r\n" * 150 + b"\r\n", b"431"),
            (b"GET" + UPGRADE + b"X: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
            (b"HEAD" + UPGRADE + b"\r\n", b"405"),
        ],
        ids=["body", "lines", "value", "method"],
    )
    def test_refused_is_answered_and_closed(self, calm_hub, request_, status):
        before = open_files(calm_hub)
        with opened(calm_hub) as peer:
            peer.sendall(request_)
            assert read_to_end(peer).startswith(b"HTTP/1.1 " + status)
            wait_until(lambda: open_files(calm_hub) <= before, "the hub has let go")


class TestFrames:
    def test_flood_of_empty_fragments_is_cut(self, calm_hub):
        with opened(calm_hub) as peer:
            shake_hands(peer)
            peer.sendall(frame(b"{", is_last=False))
            assert flood(peer, frame(b"", CONTINUATION, is_last=False) * 40_000)

    @pytest.mark.parametrize("size", [0, 125])
    def test_pings_whose_answers_nobody_reads_are_cut(self, calm_hub, size):
        with opened(calm_hub, receive_bytes=4_096) as peer:
            shake_hands(peer)
            is_cut = flood(peer, frame(bytes(size), PING) * 10_000)
            # Empty answers are small: in so short a time the system may hold them.
            assert is_cut or size == 0

    def test_flood_of_pings_leaves_others_their_turn(self, calm_hub):
        with opened(calm_hub) as peer, connect(f"ws{calm_hub.url[4:]}/ws/device") as c:
            shake_hands(peer)
            peer.sendall(frame(b"", PING) * 20_000)
            c.ping().wait(10)
            # All of them are answered, in their order, over many turns of the loop.
            answers = b""
            while answers.count(b"\x8a\x00") < 20_000:
                data = peer.recv(65_536)
                assert data
                answers += data

    def test_many_large_messages_at_once_arrive_whole(self, calm_hub):
        with opened(calm_hub) as peer:
            shake_hands(peer)
            text = b'{"type":"x","filler":"' + b"a" * 60_000 + b'"}'
            peer.sendall(frame(text) * 20 + frame(b"\x03\xe8", CLOSE))
            assert b"\x88" in read_to_end(peer)

    def test_invalid_utf_8_is_one_line_of_the_log(self, calm_hub):
        with opened(calm_hub) as peer:
            shake_hands(peer)
            peer.sendall(frame(b"\xff\xfe"))
            assert struct.pack("!H", 1007) in read_to_end(peer)
        wait_until(lambda: "Invalid UTF-8" in calm_hub.output, "the log tells")


class TestAnswersNobodyReads:
    def test_peers_that_leave_amid_pipelined_files_leave_no_traceback(self, calm_hub):
        static = calm_hub.data_dir / "static"
        largest = max(
            (each for each in static.rglob("*.*.*") if each.suffix in (".js", ".css")),
            key=lambda each: each.stat().st_size,
        )
        path = f"/static/{largest.relative_to(static)}".encode()
        before = open_files(calm_hub)
        for _ in range(5):
            with opened(calm_hub, receive_bytes=4_096) as peer:
                get = b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                peer.sendall(get * 50)
                assert peer.recv(12) == b"HTTP/1.1 200"
                time.sleep(0.1)
        wait_until(lambda: open_files(calm_hub) <= before, "the hub has let go")

    def test_our_own_errors_keep_their_traceback(self):
        try:
            raise RuntimeError("cannot schedule new futures after shutdown")
        except RuntimeError:
            record = logging.LogRecord(
                *("asyncio", logging.ERROR, "", 0, "Task", (), sys.exc_info())
            )
        assert without_peers_faults(record)
        assert record.exc_info
