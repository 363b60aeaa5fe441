"""Breaks the connections of a fleet at random, and does what careless devices do.

Each fault is one that networks and devices make: a lost connection, a TCP reset, a
polite close in the middle, a second connection while the first still stands, the
same batch twice, a batch again that was acked long ago.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import Final

from .device import Device, Silent
from .outbox import Sent

# The hub allows a device 15 connects a minute.
BETWEEN_LOSSES_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 0.5
OVERLAP_SECONDS: Final = 2.0
# How long to wait for a device to send something, and how long an ack takes.
SENDING_SECONDS: Final = 1.0
COMMIT_SECONDS: Final = 0.012
# Acked batches a device remembers, to send them again.
REMEMBERED: Final = 4
# A batch sent again takes a place in the window, of which the hub has told.
SPARE_WINDOW: Final = 2
# “swallow”: the connection is lost while a batch is on its way out.
LOSSES: Final = ("drop", "reset", "hang_up", "overlap", "swallow")
REPEATS: Final = ("repeat", "repeat_acked")


class Chaos(Silent):
    """Faults for `devices`; be their observer too, so that acked batches are known.

    every_seconds: about how often one fault happens to one of the devices.
    """

    def __init__(self, rng: random.Random, every_seconds: float) -> None:
        self.faults: Counter[str] = Counter()
        self._rng = rng
        self._every_seconds = every_seconds
        self._lost_at: dict[str, float] = {}
        self._acked: defaultdict[str, deque[Sent]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED)
        )
        self._swallow: set[str] = set()
        self._sending: dict[str, asyncio.Event] = {}
        # The seq whose ack proves that the hub has seen the last repeat.
        self._proof: dict[str, int] = {}

    def sent(self, device: Device, sent: Sent) -> None:
        event = self._sending.get(device.slug)
        if event is not None:
            event.set()
        if device.slug in self._swallow and device.drop(0.0, reset=False):
            self._swallow.discard(device.slug)
            self.faults["swallow"] += 1

    def acked(self, device: Device, sent: Sent, seconds: float) -> None:
        self._acked[device.slug].append(sent)

    async def run(self, devices: Sequence[Device]) -> None:
        """Make faults until cancelled."""
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self._every_seconds))
            device = self._rng.choice(devices)
            fault = self._rng.choice(LOSSES + REPEATS)
            await self._until_sending(device)
            if fault in LOSSES:
                done = await self._lose(device, fault)
            else:
                done = await self._repeat(device, fault)
            self.faults[fault] += done

    async def _until_sending(self, device: Device) -> None:
        """Wait for a batch on its way: that is where a fault can hurt."""
        event = self._sending[device.slug] = asyncio.Event()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(event.wait(), SENDING_SECONDS)
        del self._sending[device.slug]
        # Before, during or after the hub's commit.
        await asyncio.sleep(self._rng.uniform(0, COMMIT_SECONDS))

    async def _lose(self, device: Device, fault: str) -> bool:
        now = time.monotonic()
        if now - self._lost_at.get(device.slug, -1e9) < BETWEEN_LOSSES_SECONDS:
            return False
        self._lost_at[device.slug] = now
        self._proof.pop(device.slug, None)
        wait_seconds = self._rng.uniform(0, WAIT_SECONDS)
        if fault == "swallow":
            # Counted when it happens: at the next batch.
            self._swallow.add(device.slug)
            return False
        if fault == "hang_up":
            return await device.hang_up(wait_seconds)
        if fault == "overlap":
            return device.overlap(OVERLAP_SECONDS)
        return device.drop(wait_seconds, reset=fault == "reset")

    async def _repeat(self, device: Device, fault: str) -> bool:
        outbox = device.outbox
        if not device.is_connected or outbox.acked < self._proof.get(device.slug, 0):
            return False
        if outbox.in_flight + SPARE_WINDOW > outbox.window:
            return False
        sent: Sequence[Sent] = self._acked[device.slug]
        if fault == "repeat":
            # Only what went out on this socket, or the order would break.
            sent = outbox.unacked()[: outbox.in_flight]
        if not sent:
            return False
        # A batch numbered after the repeat is acked after it.
        self._proof[device.slug] = outbox.last_seq + 1
        await device.repeat(self._rng.choice(sent))
        return True
