"""uvicorn's HTTP with limits: nobody holds a connection by half a request or unread."""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from telemetry import counters

from .socket_protocol import PatientSocketProtocol, local_client

# A half-sent request must not hold a connection for ever (uvicorn has no such
# limit): the headers, which include a socket's handshake, and the whole body.
HEADER_SECONDS = 10.0
BODY_SECONDS = 60.0
# A request line with its headers (websockets itself takes 8 KiB a line and 128
# headers); uvicorn has no limit, and its parser copies a long value again and again.
HEAD_BYTES = 65_536
HEAD_LINES = 200
# Requests that wait behind the one being answered: nobody's client sends so many.
PIPELINED_REQUESTS = 1_000
# A peer that reads nothing of an answer, or less than half of its end, for so long.
UNREAD_SECONDS = 60.0


class HeadTooLarge(Exception):
    """A request's line and headers are beyond `HEAD_BYTES` or `HEAD_LINES`."""


class PatientHttpProtocol(HttpToolsProtocol):
    """Closes a connection that has begun a request and does not end it.

    And one whose headers are too large, or whose peer does not read the answers.
    """

    deadline: TimerHandle | None = None
    unread: TimerHandle | None = None
    # The request being answered; uvicorn's `cycle` is the newest, which may wait.
    answered: RequestResponseCycle | None = None
    # Whether a head comes (or a chunked body's trailer); the bytes received of it, but
    # for those that came in one read with what was before it; those parsed so far.
    is_head = True
    head_received = 0
    head_parsed = 0
    is_too_large = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self.client or local_client(transport)
        self._expect_within(HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        self.head_received += len(data)
        super().data_received(data)
        if not self.is_head or self.is_too_large:
            return
        # The parser keeps a value to itself until it is complete.
        if self.head_received > HEAD_BYTES:
            self.is_too_large = True
            self.send_400_response("")
            return
        is_timed = self.deadline is not None or self.timeout_keep_alive_task is not None
        if not is_timed and (self.cycle is None or self.cycle.response_complete):
            # An empty line between two requests has ended the time for keep-alive.
            self._expect_within(HEADER_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_within(HEADER_SECONDS)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.is_head = False
        self._expect_within(BODY_SECONDS)
        super().on_headers_complete()
        if len(self.pipeline) > PIPELINED_REQUESTS:
            self.transport.abort()

    def on_chunk_header(self) -> None:
        self._expect_head()  # The last chunk has a trailer instead of a body.

    def on_body(self, body: bytes) -> None:
        self.is_head = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._expect_head()
        self._expect_nothing()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_unread()

    def send_400_response(self, msg: str) -> None:
        """Also the way out of a callback that raised: the parser has stopped."""
        if not self.is_too_large:
            super().send_400_response(msg)
            return
        counters.HEADS_REFUSED.inc()
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        self._expect_nothing()
        self.is_head = False
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        if isinstance(protocol, PatientSocketProtocol):
            protocol.expect_handshake()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unread()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._ignore_unread()
        # uvicorn tells only the newest request; the one being answered would write
        # to a transport that is closed.
        if self.answered is not None:
            self.answered.disconnected = True
            self.answered.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answered = cycle
        super()._start_asgi_task(cycle, app)

    def _count(self, size: int) -> None:
        self.head_parsed += size
        if self.head_parsed > HEAD_BYTES or len(self.headers) >= HEAD_LINES:
            self.is_too_large = True
            raise HeadTooLarge

    def _expect_head(self) -> None:
        self.is_head = True
        self.head_received = 0
        self.head_parsed = 0

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self.deadline = self.loop.call_later(seconds, self.transport.close)

    def _expect_nothing(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _watch_unread(self) -> None:
        self._ignore_unread()
        size = self.transport.get_write_buffer_size()
        if size:
            self.unread = self.loop.call_later(UNREAD_SECONDS, self._end_unread, size)

    def _ignore_unread(self) -> None:
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None

    def _end_unread(self, before: int) -> None:
        """Abort, unless the peer reads on, or the application still writes."""
        size = self.transport.get_write_buffer_size()
        is_written = self.cycle is None or self.cycle.response_complete
        if (self.flow.write_paused or is_written) and size > before // 2:
            counters.SLOW_READERS.inc()
            self.transport.abort()
        else:
            self._watch_unread()
