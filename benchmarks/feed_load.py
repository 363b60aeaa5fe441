"""Devices that feed the fan-out: a row of all their metrics, at a steady rate.

Reads a job as one line of JSON from stdin; says `ready` when all are welcomed and
feeds until it is terminated.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from .ingest_load import reply_decoder


class Feeder(WSListener):
    """One device with `columns` metrics."""

    def __init__(self, number: int, columns: int, welcomed: asyncio.Event) -> None:
        self._columns = [f"metric_{n}" for n in range(columns)]
        self._rng = random.Random(number)
        self._number = number
        self._welcomed = welcomed
        self._seq = self._acked = 0
        self._window = 0
        self.skipped = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        session = f"feed-{self._number}-{time.time_ns()}"[:32]
        hello = {"type": "hello", "session": session}
        transport.send(WSMsgType.TEXT, msgspec.json.encode(hello))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        reply = reply_decoder.decode(frame.get_payload_as_memoryview())
        if reply.type == "ack":
            self._acked = reply.seq
        elif reply.type == "welcome":
            self._window = 8
            self._welcomed.set()

    def feed(self) -> None:
        if self._seq - self._acked >= self._window:
            self.skipped += 1
            return
        self._seq += 1
        values = {
            name: round(20 + self._rng.random() * 10, 2) for name in self._columns
        }
        now_ms = time.time_ns() // 1_000_000
        message = {"type": "data", "seq": self._seq, "time": now_ms, "values": values}
        self._transport.send(WSMsgType.TEXT, msgspec.json.encode(message))


async def run(job: dict[str, Any]) -> None:
    feeders = []
    for number, key in enumerate(job["keys"]):
        welcomed = asyncio.Event()
        feeder = Feeder(number, job["columns"], welcomed)

        def make(made: Feeder = feeder) -> Feeder:
            return made

        await ws_connect(
            make,
            job["url"],
            extra_headers={
                "Authorization": f"Bearer {key}",
                "Sec-WebSocket-Protocol": "hub.v1.json",
            },
        )
        await asyncio.wait_for(welcomed.wait(), 30)
        feeders.append(feeder)
    print("ready", flush=True)
    period = 1 / job["rate_hz"]
    due = time.perf_counter()
    # One after the other: devices of a real group are not in step.
    while True:
        for feeder in feeders:
            feeder.feed()
            due += period / len(feeders)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


if __name__ == "__main__":
    uvloop.run(run(json.loads(sys.stdin.readline())))
