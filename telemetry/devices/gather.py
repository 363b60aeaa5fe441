"""Look-ups that come while one is under way go together in the next.

A fleet that reconnects asks for thousands of rows in a second; natural batching
turns them into a few queries without making a lone look-up wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Gather(Generic[K, V]):
    """Batches calls of `read`, which gets distinct keys and returns what it found."""

    def __init__(self, read: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """What `read` finds for `key`, None if nothing; raises what `read` raises."""
        future = self._waiting.get(key)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(_retrieve)
            self._waiting[key] = future
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        # Others may wait for the same key: one that leaves takes nothing away.
        return await asyncio.shield(future)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, {}
                await self._answer(batch)
        finally:
            self._task = None

    async def _answer(self, batch: dict[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._read(list(batch))
        except BaseException as error:
            for future in batch.values():
                future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for key, future in batch.items():
            future.set_result(found.get(key))


def _retrieve(future: asyncio.Future[V]) -> None:
    # Without this a look-up that nobody waits for any more is logged as an error.
    if not future.cancelled():
        future.exception()
