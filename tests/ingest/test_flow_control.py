"""A slow reader and a flooding sender on uvicorn: the hub's memory stays bounded.

Daphne has no flow control in either direction (docs/reference/protocol.md): what a
peer does not read, or sends too fast, lies in its memory.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.processes import wait_until

from .conftest import DeviceHub, run_hub

T = 1_795_000_000_000
# Generous: what one peer may cost, whatever it does.
MOST_GROWTH_BYTES = 30 * 1_048_576
LIMITED = {"TELEMETRY_DEVICE_RATE": "1000", "TELEMETRY_HELD_BYTES": "4194304"}


@pytest.fixture(scope="module")
def own_hub(prepared, tmp_path_factory, django_db_blocker) -> Iterator[DeviceHub]:
    with django_db_blocker.unblock():
        directory = tmp_path_factory.mktemp("flow")
        yield from run_hub("uvicorn", prepared, directory, LIMITED)


@pytest.fixture
def served(own_hub: DeviceHub) -> Iterator[None]:
    """Another device, whose batches are acknowledged all the while."""
    device = own_hub.connect(own_hub.new())
    device.hello("s")
    seq = 0

    def batch() -> None:
        nonlocal seq
        seq += 1
        device.data(seq, time=T + seq, values={"n": seq})
        device.acked(seq)

    for _ in range(20):
        batch()
    before = rss_bytes(own_hub)
    stop = threading.Event()
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            while not stop.wait(0.05):
                batch()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert not failures
    batch()
    assert rss_bytes(own_hub) - before < MOST_GROWTH_BYTES
    assert "Traceback" not in own_hub.process.output
    own_hub.close_sockets()


def rss_bytes(hub: DeviceHub) -> int:
    lines = Path(f"/proc/{hub.process.pid}/status").read_text().splitlines()
    (resident,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(resident.split()[1]) * 1024


def sockets_of(hub: DeviceHub) -> int:
    """Established TCP connections of the hub's port, as the kernel sees its side."""
    port = f":{hub.process.port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


@pytest.mark.usefixtures("served")
def test_flooding_sender_is_not_read_faster_than_its_rate(own_hub: DeviceHub):
    device = own_hub.connect(own_hub.new())
    rows = [[at, at] for at in range(1_000)]
    text = json.dumps({"type": "data", "base": T, "columns": ["n"], "rows": rows})
    frame = text.ljust(65_000)
    sent = flood(device.socket.socket, masked(frame.encode()), seconds=3)
    # The kernel's buffers, and what the rate lets through.
    assert sent < MOST_GROWTH_BYTES


@pytest.mark.usefixtures("served")
def test_flood_of_pings_that_are_answered_to_nobody(own_hub: DeviceHub):
    """The peer sends and does not read: it is dropped at the outbox's bound."""
    before = sockets_of(own_hub)
    device = own_hub.connect(own_hub.new(), max_queue=1, ping_interval=None)
    ping = json.dumps({"type": "ping", "echo": "x" * 60_000}).encode()
    flood(device.socket.socket, masked(ping), seconds=3)
    wait_until(lambda: sockets_of(own_hub) <= before, "the socket is cut", 60)


@pytest.mark.usefixtures("served")
def test_garbage_at_full_speed_is_closed(own_hub: DeviceHub):
    device = own_hub.connect(own_hub.new(), max_queue=None)
    with pytest.raises(ConnectionClosed):
        while True:
            device.send_raw("garbage")
    assert device.ended()[0] == 4400


def masked(payload: bytes) -> bytes:
    """A text frame of a client, with a mask of zeros, which leaves it as it is."""
    size = len(payload)
    header = b"\x81\xff" + size.to_bytes(8, "big") + b"\0\0\0\0"
    return header + payload


def flood(raw: socket.socket, frame: bytes, seconds: float) -> int:
    """Send frames without end, as fast as the peer takes them; returns bytes sent."""
    sent, until = 0, time.monotonic() + seconds
    raw.setblocking(False)
    rest = b""
    while time.monotonic() < until:
        rest = rest or frame
        try:
            count = raw.send(rest)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            break  # It was cut.
        else:
            sent, rest = sent + count, rest[count:]
    return sent
