"""A viewer of a live hub in the same process, and waiting for what it shows."""

from __future__ import annotations

import asyncio
import json
import time

from telemetry.live.subscription import Subscription

from .conftest import LiveHub
from .model import Stores


class Tab:
    """A viewer that reads and acknowledges at once."""

    def __init__(self) -> None:
        self.stores = Stores()
        self.types: list[str] = []
        self.subscriptions: dict[str, Subscription] = {}
        self.outbox_bytes = 0
        self.code: int | None = None
        self.counts: dict[int, int] = {}

    def post_frame(self, frame: str) -> None:
        message = json.loads(frame)
        self.types.append(message["type"])
        self.stores.take(message)
        for row in message.get("rows", ()):
            count = row[5] if len(row) > 3 else 1
            self.counts[row[0]] = self.counts.get(row[0], 0) + count
        asyncio.get_running_loop().call_soon(self._ack, message)

    def _ack(self, message) -> None:
        subscription = self.subscriptions.get(message.get("group"))
        if subscription is not None and "revision" in message:
            subscription.ack(message["revision"], time.monotonic())

    def bye(self, code: int) -> None:
        self.code = code

    def lose(self, topic: str, reason: str) -> None:
        del self.stores.groups[topic]
        self.types.append(reason)

    async def watch(self, hub: LiveHub, topic: str) -> None:
        watched = await hub.feed.open(topic)
        assert watched is not None
        self.subscriptions[topic] = hub.feed.watch(
            watched, self, metrics=None, interval_ms=100
        )

    def rows(self, topic: str) -> dict[str, object]:
        rows: dict[str, object] = self.stores.held()[topic]["rows"]
        return rows


async def until(is_true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)
