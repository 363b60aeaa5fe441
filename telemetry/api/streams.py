"""A download: pieces that a thread makes, one at a time, as fast as they are taken.

Between two pieces nothing is held but the page that they come from: no cursor, no
lock. A client that goes away ends it; so does one that takes nothing for a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Hashable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from .. import counters
from .turns import Turn, Turns

STALL_SECONDS = 60.0
STREAMS = Turns("API_STREAMS", "downloads")
# Of one device or person: the others get some, too.
STREAMS_EACH = 2


class Stream:
    """The pieces of one download. `close` may be called from any thread, and twice.

    who: whose it is. Raises Busy.
    """

    _turn: Turn | None = None

    def __init__(
        self, pieces: Generator[bytes, None, None], who: Hashable = None
    ) -> None:
        self._turn = STREAMS.take(who, STREAMS_EACH)
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._run()

    async def _run(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while True:
            piece = await sync_to_async(self._next)()
            if piece is None:
                # Before the client hears that it was the last.
                self.close()
                return
            stalled = loop.call_later(
                STALL_SECONDS, _end_stalled, asyncio.current_task()
            )
            try:
                yield piece
            finally:
                stalled.cancel()

    def _next(self) -> bytes | None:
        return next(self._pieces, None)

    def close(self) -> None:
        """End; what was not taken is never made."""
        if self._turn is not None and not self._turn.is_over:
            self._turn.end()
            self._pieces.close()

    def __del__(self) -> None:
        # A request that ended before its answer began has nobody to close it.
        self.close()


def _end_stalled(task: asyncio.Task[Any] | None) -> None:
    counters.SLOW_READERS.inc()
    if task is not None:
        task.cancel()


def download(stream: Stream, media_type: str, name: str) -> StreamingHttpResponse:
    """The answer that carries a stream, to be kept as a file of this name."""
    # An async iterator: a plain one would be read to its end before the first byte.
    response = StreamingHttpResponse(stream, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
