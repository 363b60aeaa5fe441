"""Publications on their way to the layer: in order within a topic, apart between them.

With several Redis hosts one may hang or be gone: topics on the others do not wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from .. import counters
from .envelope import Publication

# Published and not yet taken by the layer. Beyond it the oldest of its topic goes:
# who listens sees the hole in `n`.
QUEUED_PUBLICATIONS = 2_000
# After a publication that the layer did not take, before its topic is tried again.
REST_SECONDS = 1.0


class Outgoing:
    """Used on one event loop."""

    def __init__(
        self,
        send: Callable[[Publication], Awaitable[bool]],
        sent: Callable[[Publication], None],
    ) -> None:
        """send: whether the layer took it; sent: called as one leaves, or is lost."""
        self._send = send
        self._sent = sent
        self._queues: dict[str, deque[Publication]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, publication: Publication) -> None:
        """Send it when those before it of its topic have been."""
        topic = publication.topic
        queue = self._queues.setdefault(topic, deque())
        queue.append(publication)
        self._count += 1
        if self._count > QUEUED_PUBLICATIONS:
            self._lose(self._next(queue))
        if topic not in self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks[topic] = loop.create_task(self._run(topic, queue))

    async def drain(self) -> None:
        """Wait until all has been sent, or lost."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def stop(self) -> None:
        """Send no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, topic: str, queue: deque[Publication]) -> None:
        try:
            while queue:
                publication = self._next(queue)
                self._sent(publication)
                if not await self._send(publication):
                    # Old news are no news: who missed them reads the database.
                    self._lose(publication)
                    while queue:
                        self._lose(self._next(queue))
                    await asyncio.sleep(REST_SECONDS)
        finally:
            self._count -= len(queue)
            del self._queues[topic], self._tasks[topic]

    def _next(self, queue: deque[Publication]) -> Publication:
        self._count -= 1
        return queue.popleft()

    def _lose(self, publication: Publication) -> None:
        counters.BUS_LOST.inc()
        self._sent(publication)
