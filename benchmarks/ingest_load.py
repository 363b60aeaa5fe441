"""Devices as a load: pre-encoded frames, on picows, in a process of its own.

Reads a job as one line of JSON from stdin; says `ready` when all sockets are
welcomed, `measuring`, `measured`, then the figures as JSON. Frames are made once;
what is fresh in each is `seq` and the time, patched as digits. Rows are 1 ms apart.
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

# Spaces before a number are JSON; a device's own seq needs no more digits.
SEQ_DIGITS = 10
TIME_DIGITS = 13
TICK_SECONDS = 0.002


class Reply(msgspec.Struct):
    """What the load needs of the hub's messages."""

    type: str = ""
    seq: int = 0
    acked: int = 0
    code: int | str = 0
    message: str = ""
    rejected_count: int = 0


reply_decoder = msgspec.json.Decoder(Reply)


@dataclass
class Load(loads.Load):
    """All devices of this process, and what they measured."""

    latencies: list[float] = field(default_factory=list)


def template(batch: int) -> tuple[bytearray, int, int]:
    """A frame of `batch` readings, and where its seq and its time stand.

    A fast load's times run ahead of the clock, into those of the next one: each has
    values of its own level, so that none repeats a reading of another.
    """
    seq, moment = "@" * SEQ_DIGITS, "#" * TIME_DIGITS
    level = int(time.time()) % 1_000
    if batch == 1:
        text = (
            f'{{"type":"data","seq":{seq},"time":{moment},'
            f'"values":{{"temp":{level}.57}}}}'
        )
    else:
        rows = ",".join(f"[{n},{level + n % 89 / 100:.2f}]" for n in range(batch))
        text = (
            f'{{"type":"data","seq":{seq},"base":{moment},'
            f'"columns":["temp"],"rows":[{rows}]}}'
        )
    return bytearray(text.encode()), text.index(seq), text.index(moment)


class DeviceSocket(LoadSocket):
    """One device: keeps `window` batches un-acked, or sends when told."""

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(load)
        self._load = load
        self._number = number
        self._is_echo = bool(load.job["echo"])
        self._batch: int = load.job["batch"]
        self._window: int = load.job["window"]
        self._is_paced = load.job["frames_per_second"] is not None
        self._frame, self._seq_at, self._time_at = template(self._batch)
        self._seq = self._acked = 0
        self._time_ms = 0
        self._sent_at: dict[int, float] = {}
        # Paced: when frames were due that the window did not let out yet.
        self._due: list[float] = []
        self._is_running = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        if self._is_echo:
            self._load.one_is_ready()
            return
        hello = {"type": "hello", "session": f"bench-{self._number}-{time.time_ns()}"}
        hello["session"] = hello["session"][:32]
        transport.send(WSMsgType.TEXT, json.dumps(hello).encode())

    def on_text(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._is_echo:
            self._on_acked(self._acked + 1)
            return
        reply = reply_decoder.decode(frame.get_payload_as_memoryview())
        if reply.type == "ack":
            if reply.rejected_count:
                self._load.troubles.append(f"{reply.rejected_count} rejected")
            self._on_acked(reply.seq)
        elif reply.type == "welcome":
            self._load.one_is_ready()
        elif reply.type in ("error", "bye"):
            self._load.troubles.append(f"{reply.type} {reply.code} {reply.message}")

    def start(self) -> None:
        self._is_running = True
        if not self._is_paced:
            self._fill(time.perf_counter())

    def stop(self) -> None:
        self._is_running = False

    def due(self, now: float) -> None:
        """A paced frame is due: it goes out, or waits for the window."""
        if self._seq - self._acked < self._window:
            self._send(now)
        else:
            self._due.append(now)

    def _on_acked(self, seq: int) -> None:
        now = time.perf_counter()
        load = self._load
        for each in range(self._acked + 1, seq + 1):
            sent_at = self._sent_at.pop(each, now)
            if load.is_measuring:
                load.frames += 1
                load.latencies.append(now - sent_at)
        self._acked = max(self._acked, seq)
        if not self._is_running:
            return
        if self._is_paced:
            while self._due and self._seq - self._acked < self._window:
                self._send(self._due.pop(0))
        else:
            self._fill(now)

    def _fill(self, now: float) -> None:
        while self._seq - self._acked < self._window:
            self._send(now)

    def _send(self, since: float) -> None:
        """Send the next frame; `since` is when its latency begins."""
        self._seq += 1
        # Readings of a socket never share a time.
        self._time_ms = max(time.time_ns() // 1_000_000, self._time_ms + self._batch)
        frame = self._frame
        frame[self._seq_at : self._seq_at + SEQ_DIGITS] = b"%10d" % self._seq
        frame[self._time_at : self._time_at + TIME_DIGITS] = b"%13d" % self._time_ms
        self._sent_at[self._seq] = since
        self.transport.send(WSMsgType.TEXT, frame)


def headers(job: dict[str, Any], number: int) -> dict[str, str]:
    """Those of a device's handshake; an echo wants none."""
    if job["echo"]:
        return {}
    return {
        "Authorization": f"Bearer {job['keys'][number]}",
        "Sec-WebSocket-Protocol": "hub.v1.json",
    }


async def pace(sockets: list[DeviceSocket], frames_per_second: float) -> None:
    """Make frames due one after the other, round the sockets, at a steady rate."""
    start = time.perf_counter()
    count = 0
    while True:
        now = time.perf_counter()
        target = int((now - start) * frames_per_second)
        while count < target:
            # Due when the schedule says, so that a stall counts as latency.
            sockets[count % len(sockets)].due(start + count / frames_per_second)
            count += 1
        await asyncio.sleep(TICK_SECONDS)


async def figures(job: dict[str, Any]) -> dict[str, Any]:
    load = Load(job)
    sockets = await connect_all(
        load,
        lambda number: DeviceSocket(load, number),
        lambda number: headers(job, number),
    )
    say("ready")
    if job["idle"]:
        # Hold them until the other side has looked.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        return {"troubles": load.troubles[:SHOWN_TROUBLES]}
    for each in sockets:
        each.start()
    pacing = None
    if job["frames_per_second"] is not None:
        pacing = asyncio.ensure_future(pace(sockets, job["frames_per_second"]))
    await asyncio.sleep(job["warmup"])
    say("measuring")
    load.is_measuring, began = True, time.perf_counter()
    await asyncio.sleep(job["seconds"])
    load.is_measuring, ended = False, time.perf_counter()
    say("measured")
    if pacing is not None:
        pacing.cancel()
    for each in sockets:
        each.stop()
    # The last batches reach the disk, so that what is stored can be counted.
    await asyncio.sleep(0.5)
    latencies = sorted(load.latencies)
    return {
        "seconds": ended - began,
        "frames": load.frames,
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "acked": sum(each._acked for each in sockets) * job["batch"],
        "troubles": load.troubles[:SHOWN_TROUBLES],
    }


async def run(job: dict[str, Any]) -> None:
    say(json.dumps(await figures(job)))


if __name__ == "__main__":
    main(run)
