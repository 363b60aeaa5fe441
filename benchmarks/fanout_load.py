"""Browsers as a load: live sockets that follow one group and ack every frame.

Reads a job as one line of JSON from stdin; says `ready` when every socket has its
snapshot, then, for each line that it is sent, measures for that many seconds and
answers with figures as JSON. An empty line ends it. Only one frame in some is read in
full: a page does that work on a machine of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
from picows import WSFrame, WSMsgType, WSTransport

from . import load as loads
from .load import SHOWN_TROUBLES, LoadSocket, connect_all, main, say
from .results import percentile

# One frame in this many, of each socket, is decoded and its latency taken.
READ_ONE_IN = 20
REVISION = b'"revision":'


class Live(msgspec.Struct):
    """What the load needs of the hub's messages."""

    type: str = ""
    group: str = ""
    revision: int = 0
    time: float = 0.0
    more: bool = False
    rows: list[list[Any]] = []
    code: int | str = 0
    message: str = ""
    reason: str = ""


live_decoder = msgspec.json.Decoder(Live)


@dataclass
class Load(loads.Load):
    """All pages of this process, and what they measured."""

    frame_bytes: int = 0
    # From the hub's stamp on the frame; from the newest reading in it.
    frame_latencies: list[float] = field(default_factory=list)
    reading_latencies: list[float] = field(default_factory=list)
    resets: int = 0


class LiveSocket(LoadSocket):
    """One page."""

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(load)
        self._load = load
        self._count = number
        self._is_ready = False
        # Of few pages more, so that there is something to say of them too.
        self._read_one_in = min(READ_ONE_IN, load.job["sockets"])
        self._ack_start = (
            b'{"type":"ack","group":"%s","revision":' % load.job["group"].encode()
        )

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        job = self._load.job
        hello = {"type": "hello", "interval_ms": job["interval_ms"]}
        subscribe = {"type": "subscribe", "id": 1, "groups": [job["group"]]}
        for message in (hello, subscribe):
            transport.send(WSMsgType.TEXT, json.dumps(message).encode())

    def on_text(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if not payload.startswith(b'{"type":"update"'):
            self._on_other(transport, payload)
            return
        start = payload.index(REVISION) + len(REVISION)
        end = payload.index(b",", start)
        transport.send(WSMsgType.TEXT, self._ack_start + payload[start:end] + b"}")
        load = self._load
        if not load.is_measuring:
            return
        load.frames += 1
        load.frame_bytes += len(payload)
        self._count += 1
        if self._count % self._read_one_in == 0:
            now_ms = time.time_ns() / 1e6
            update = live_decoder.decode(payload)
            load.frame_latencies.append(now_ms - update.time)
            if update.rows:
                newest = max(row[1] for row in update.rows)
                load.reading_latencies.append(now_ms - newest)

    def _on_other(self, transport: WSTransport, payload: bytes) -> None:
        message = live_decoder.decode(payload)
        load = self._load
        if message.type == "snapshot" and not message.more:
            ack = self._ack_start + b"%d}" % message.revision
            transport.send(WSMsgType.TEXT, ack)
            if not self._is_ready:
                self._is_ready = True
                load.one_is_ready()
        elif message.type == "reset":
            load.resets += 1
        elif message.type in ("error", "bye"):
            load.troubles.append(
                f"{message.type} {message.code} {message.message}{message.reason}"
            )


async def measure(load: Load, seconds: float) -> dict[str, Any]:
    load.frames = load.frame_bytes = load.resets = 0
    load.frame_latencies, load.reading_latencies = [], []
    load.is_measuring, began = True, time.perf_counter()
    await asyncio.sleep(seconds)
    load.is_measuring, ended = False, time.perf_counter()
    frames, readings = sorted(load.frame_latencies), sorted(load.reading_latencies)
    return {
        "frames_per_second": load.frames / (ended - began),
        "frame_bytes": load.frame_bytes / max(1, load.frames),
        "frame_p50_ms": percentile(frames, 0.5),
        "frame_p99_ms": percentile(frames, 0.99),
        "reading_p50_ms": percentile(readings, 0.5),
        "reading_p99_ms": percentile(readings, 0.99),
        "resets": load.resets,
        "troubles": load.troubles[:SHOWN_TROUBLES],
    }


async def run(job: dict[str, Any]) -> None:
    load = Load(job)
    headers = {
        "Origin": job["origin"],
        "Cookie": job["cookie"],
        "Sec-WebSocket-Protocol": "hub.live.v1",
    }
    sockets = await connect_all(
        load, lambda number: LiveSocket(load, number), lambda number: headers
    )
    say("ready")
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        say(json.dumps(await measure(load, float(line))))
    for each in sockets:
        each.transport.disconnect(graceful=False)


if __name__ == "__main__":
    main(run)
