"""uvicorn's WebSockets with limits on handshakes, frames a turn and slow readers."""

from __future__ import annotations

import socket
from asyncio import Task, Transport
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from telemetry import counters
from telemetry.bus.socket import ROUND_TRIPS

from .inbox import Gate, Inbox

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
# The first one comes soon, for the round trip that it measures; not among the first
# messages, where some clients expect none.
FIRST_PING_SECONDS = 5.0
# The address of who comes over a unix socket, which has none: a proxy of this machine.
UNIX_CLIENT = "unix"


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

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.queue = Inbox()  # type: ignore[assignment]
        self.writable = Gate()  # type: ignore[assignment]

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self.client or local_client(transport)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.listeners = []
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ROUND_TRIPS] = self.listeners

    def start_keepalive(self) -> None:
        """Also: the handshake is done, and 4 KiB that it said are not kept."""
        self.request.headers.clear()
        self.response.headers.clear()
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

    def on_task_complete(self, task: Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(LAST_BYTES_SECONDS, self.transport.abort)


def local_client(transport: Transport) -> tuple[str, int] | None:
    """Only for a unix socket: a TCP peer that has gone already has no address too."""
    end = transport.get_extra_info("socket")
    is_unix = end is not None and end.family == socket.AF_UNIX
    return (UNIX_CLIENT, 0) if is_unix else None
