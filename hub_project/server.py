"""uvicorn as the hub runs it: explicit limits, and a drain while sockets are open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from uvicorn.server import HANDLED_SIGNALS
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from telemetry import counters
from telemetry.bus.socket import ROUND_TRIPS

from . import memory
from .logs import without_peers_faults

# The application's own limit is 64 KiB, so that the hub answers first.
SOCKET_MESSAGE_BYTES = 131_072
# A factory comes back from a power cut with all its devices at once.
BACKLOG = 4_096
# For the whole end: the hub drains in TELEMETRY_DRAIN_SECONDS of it, and what is left
# is for answers that are still being sent, which get a moment in any case.
GRACEFUL_SECONDS = 22
LAST_ANSWERS_SECONDS = 2
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
# The client gives up after 10 s as well (websockets' own open_timeout).
HANDSHAKE_SECONDS = 10.0
# A turn of the loop parses about so many frames of one socket, counted after every
# piece: a large batch is few frames, a flood of empty ones takes milliseconds.
FRAMES_A_TURN = 64
PIECE_BYTES = 2_048
# Received and not parsed yet: reading is paused meanwhile, so one read of the server.
REST_BYTES = 1_048_576
# Written and not read by the peer. The outbox holds back at 64 KiB, but its largest
# message may have 1 MiB; pongs, which nothing holds back, come on top.
UNREAD_BYTES = 2_097_152
# Empty frames of one message cost memory and do not count in its size.
FRAGMENTS = 1_024
# How long an ended socket's peer may take to read what was sent.
LAST_BYTES_SECONDS = 5.0
# Ping after 20 s, gone after 20 more without an answer: less than the 60 s after
# which proxies cut a silent connection.
PING_SECONDS = 20.0
# The first one comes soon, for the round trip that it measures; not among the first
# messages, where some clients expect none.
FIRST_PING_SECONDS = 5.0


# The address of who comes over a unix socket, which has none: a proxy of this machine.
UNIX_CLIENT = "unix"


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
        self.client = self.client or _local_client(transport)
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


class PatientSocketProtocol(WebSocketsSansIOProtocol):
    """Cuts a peer that does not take what was sent: uvicorn waits for it for ever.

    And parses a bounded number of frames a turn of the loop, so that a flood of tiny
    ones holds up nobody else.
    """

    # Received and not parsed yet, and how much of it has been parsed.
    rest = b""
    parsed = 0
    frames_now = 0
    # Who wants to know how long each ping took, in seconds.
    listeners: tuple[()] | list[Callable[[float], None]] = ()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self.client or _local_client(transport)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.listeners = []
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ROUND_TRIPS] = self.listeners

    def start_keepalive(self) -> None:
        if self.ping_interval:
            first = min(FIRST_PING_SECONDS, self.ping_interval)
            self.ping_timer = self.loop.call_later(first, self.send_keepalive_ping)

    def handle_pong(self, event: Frame) -> None:
        is_awaited = self.pending_ping_payload is not None
        super().handle_pong(event)
        if is_awaited and self.pending_ping_payload is None:
            for listener in self.listeners:
                listener(self.last_ping_rtt)

    def expect_handshake(self) -> None:
        """All of the handshake's request has been received: answer what is none.

        uvicorn neither sends the answer of websockets to a request that it cannot
        parse, nor closes.
        """
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            answer = b"".join(self.conn.data_to_send())
            answer = answer or self.conn.reject(400, "not a handshake\n").serialize()
            self.transport.write(answer)
            self.transport.close()
        self.loop.call_later(HANDSHAKE_SECONDS, self._end_handshake)

    def _end_handshake(self) -> None:
        if not self.handshake_complete:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.rest:
            # Comes when uvicorn has resumed reading for a close of ours.
            self.rest = self.rest[self.parsed :] + data
            self.parsed = 0
            self.transport.pause_reading()
            if len(self.rest) > REST_BYTES:
                self.transport.abort()
        elif self.transport.get_write_buffer_size() > UNREAD_BYTES:
            self._cut_slow_reader()
        elif len(data) <= PIECE_BYTES:
            super().data_received(data)
        else:
            self.rest = data
            self._parse_rest()

    def _parse_rest(self) -> None:
        """Parse pieces up to this turn's number of frames, and the others later."""
        self.frames_now = 0
        while self.parsed < len(self.rest) and self.frames_now < FRAMES_A_TURN:
            if self.transport.is_closing():
                self._drop_rest()
                return
            piece = self.rest[self.parsed : self.parsed + PIECE_BYTES]
            self.parsed += len(piece)
            super().data_received(piece)
        if self.parsed < len(self.rest):
            if self.transport.get_write_buffer_size() > UNREAD_BYTES:
                self._cut_slow_reader()
                return
            self.transport.pause_reading()
            self.loop.call_soon(self._parse_rest)
            return
        self._drop_rest()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _drop_rest(self) -> None:
        self.rest = b""
        self.parsed = 0

    def _cut_slow_reader(self) -> None:
        counters.SLOW_READERS.inc()
        self._drop_rest()
        self.transport.abort()

    def handle_events(self) -> None:
        self.frames_now += len(self.conn.events)
        super().handle_events()

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > FRAGMENTS and not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    async def receive(self) -> Any:
        """As uvicorn's, but reading goes on only when all is parsed."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if not self.rest:
                self.transport.resume_reading()
        return message

    def connection_lost(self, exc: Exception | None) -> None:
        # Reading was paused, so this is an abort: none of it was acknowledged.
        self._drop_rest()
        self.listeners = ()
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(LAST_BYTES_SECONDS, self.transport.abort)


def _local_client(transport: Transport) -> tuple[str, int] | None:
    """Only for a unix socket: a TCP peer that has gone already has no address too."""
    end = transport.get_extra_info("socket")
    is_unix = end is not None and end.family == socket.AF_UNIX
    return (UNIX_CLIENT, 0) if is_unix else None


def server_config(application: Any, **options: Any) -> Config:
    """uvicorn's configuration for `application`; options are uvicorn's own."""
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(without_peers_faults)
    return Config(
        application,
        loop="uvloop",
        http=PatientHttpProtocol,
        ws=PatientSocketProtocol,
        ws_max_size=SOCKET_MESSAGE_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        # 57 instead of 19 KiB an idle socket, and a door for decompression bombs.
        ws_per_message_deflate=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        # A device that posts every 15 s keeps its connection.
        timeout_keep_alive=20,
        access_log=False,
        log_config=None,
        server_header=False,
        **{"lifespan": "on", "proxy_headers": False, **options},
    )


class HubServer(Server):
    """uvicorn that drains the hub first: its own goodbye (1012) goes out at once."""

    def __init__(
        self,
        config: Config,
        drain: Callable[[], Awaitable[None]],
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()
            memory.settle()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()  # No new connections; the open ones live on.
        loop = asyncio.get_running_loop()
        until = loop.time() + GRACEFUL_SECONDS
        draining = asyncio.ensure_future(self._drain())
        # A second Ctrl+C ends the waiting.
        while not draining.done() and not self.force_exit:
            await asyncio.wait([draining], timeout=0.1)
        left = max(LAST_ANSWERS_SECONDS, int(until - loop.time()))
        self.config.timeout_graceful_shutdown = left
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on the usual signals, and then end with 0: uvicorn kills itself."""
        loop = asyncio.get_running_loop()
        for each in HANDLED_SIGNALS:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in HANDLED_SIGNALS:
                loop.remove_signal_handler(each)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket for the server. Raises OSError if the address is not to be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` means every address, IPv4 as well.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
