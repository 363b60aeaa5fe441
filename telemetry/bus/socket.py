"""One WebSocket as the hub runs it: its own receive loop and a bounded outbox.

Channels' stock dispatch awaits a thread hop before every message and gives each
socket a channel of its own; this loop has neither (docs/adr/0003). Whatever is
sent goes through the outbox, so that one slow reader never holds up anybody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

from channels.generic.websocket import AsyncWebsocketConsumer

from .. import counters
from ..protocol import close_codes
from ..protocol.codec import Coding, Frame
from ..protocol.errors import ProtocolError
from ..protocol.messages import Bye, Error, Message

logger = logging.getLogger(__name__)

# A full socket buffer never suspends `receive`: give the others a turn this often.
FRAMES_A_TURN = 32
# Queued for one reader that does not read; beyond it the socket is dropped.
OUTBOX_BYTES = 1_048_576
# Read ahead of a handler that waits; beyond it the peer's messages stay with it.
AHEAD_BYTES = 65_536
# What an event takes however short its frame is: many empty ones are not nothing.
EVENT_BYTES = 64
# A peer that does not answer a close is cut after this long.
CLOSING_SECONDS = 10.0

# Of a server that measures the round trips of its own pings: the scope's extension
# of this name is a list of functions, each called with every one in seconds.
ROUND_TRIPS = "telemetry.round_trips"

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
T = TypeVar("T")


class HubSocket(AsyncWebsocketConsumer):
    """A consumer whose subclass says what happens at `opened`, `on_frame`, `closed`.

    `post` and `bye` are plain calls, never awaited; handlers never call the ORM.
    """

    # A dict for each socket would take 1.5 KiB.
    __slots__ = (
        *("scope", "base_send", "loop", "close_code", "is_held", "is_closing"),
        *("_receive", "_receiving", "_ahead", "_ahead_bytes", "_cut", "_task"),
        *("_outbox", "_outbox_bytes", "_sender", "_is_dropped"),
    )
    channel_layer_alias = None
    groups: ClassVar[list[str]] = []
    coding: Coding

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.base_send = send
        self._receive = receive
        self._receiving: asyncio.Future[dict[str, Any]] | None = None
        # An empty deque takes 0.8 KiB: both are there only while they hold something.
        self._ahead: tuple[()] | deque[dict[str, Any]] = ()
        self._ahead_bytes = 0
        self._cut: asyncio.TimerHandle | None = None
        self.is_held = False
        self.is_closing = False
        self._is_dropped = False
        self.close_code: int | None = None
        self._outbox: tuple[()] | deque[dict[str, Any]] = ()
        self._outbox_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        # Kept: asking for the running loop costs a system call each time.
        self.loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        try:
            await receive()  # websocket.connect
            await self.opened()
            await self._receive_until_gone()
        except Exception:
            # The edge of the process: one broken socket must not end as a bare
            # TCP reset, and the next developer needs the traceback.
            logger.exception("a socket's handler failed")
            self.bye(close_codes.INTERNAL)
            await self.sent()
        except asyncio.CancelledError:
            # Our own doing is no error that the server had to log.
            if not self._is_dropped:
                raise
        finally:
            # Synchronous: the task may be cancelled, and a second await with it.
            self._let_go()
            self.closed()

    def _let_go(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
        if self._receiving is not None:
            self._receiving.cancel()

    async def _receive_until_gone(self) -> None:
        count = 0
        while True:
            event = await self._next_event()
            if event["type"] != "websocket.receive":
                if self.close_code is None:
                    self.close_code = event.get("code")
                return
            if self.is_closing:
                continue
            frame = event.get("bytes")
            try:
                await self.on_frame(event["text"] if frame is None else frame)
            except ProtocolError as error:
                self.on_error(error)
            count += 1
            if count % FRAMES_A_TURN == 0:
                await asyncio.sleep(0)

    async def _next_event(self) -> dict[str, Any]:
        if self._ahead:
            event = self._ahead.popleft()
            self._ahead_bytes -= EVENT_BYTES + _size(event)
            if not self._ahead:
                self._ahead = ()
            return event
        if self._receiving is not None:
            receiving, self._receiving = self._receiving, None
            return await receiving
        return await self._receive()

    async def hold(self, waiting: Awaitable[T]) -> T:
        """Wait, with this socket's messages waiting behind it.

        Goes on to read, up to a bound: the answers to the server's own pings come
        behind what is unread, and without them it would take the peer for dead.
        """
        wait = asyncio.ensure_future(waiting)
        self.is_held = True
        try:
            while not wait.done() and await self._read_ahead(wait):
                pass
            return await wait
        finally:
            self.is_held = False
            wait.cancel()

    async def _read_ahead(self, wait: asyncio.Future[Any]) -> bool:
        """Read one event while `wait` lasts; False: no more can be read."""
        is_gone = self._ahead and self._ahead[-1]["type"] != "websocket.receive"
        if is_gone or self._ahead_bytes >= AHEAD_BYTES:
            return False
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._receive())
        await asyncio.wait({wait, self._receiving}, return_when=asyncio.FIRST_COMPLETED)
        if self._receiving.done():
            event, self._receiving = self._receiving.result(), None
            if not self.on_event_ahead(event):
                if isinstance(self._ahead, tuple):
                    self._ahead = deque()
                self._ahead.append(event)
                self._ahead_bytes += EVENT_BYTES + _size(event)
        return True

    def on_event_ahead(self, event: dict[str, Any]) -> bool:
        """An event came while the socket is held; True: it needs no place in line."""
        return False

    def listen_for_round_trips(self, listener: Callable[[float], None]) -> None:
        """Hear how long each ping of the server took, where it tells (uvicorn)."""
        listeners = (self.scope.get("extensions") or {}).get(ROUND_TRIPS)
        if listeners is not None:
            listeners.append(listener)

    async def opened(self) -> None:
        """The handshake came: accept, or accept and `bye`."""

    async def on_frame(self, frame: Frame) -> None:
        """One message came."""

    def on_error(self, error: ProtocolError) -> None:
        """`on_frame` raised: tell the sender; the socket goes on."""
        self.post(error_message(error))

    def closed(self) -> None:
        """The socket is gone: leave every map. Never awaits."""

    def post(self, message: Message) -> None:
        """Send a message when the socket can take it."""
        self.post_frame(self.coding.encode(message))

    def post_frame(self, frame: Frame) -> None:
        """Send an encoded frame when the socket can take it."""
        if self.is_closing:
            return
        key = "text" if isinstance(frame, str) else "bytes"
        self._queue({"type": "websocket.send", key: frame}, len(frame))

    def bye(self, code: int, reason: str = "", after_ms: int = 0) -> None:
        """Say goodbye and close; what the peer still sends is not looked at."""
        if self.is_closing:
            return
        reason = reason or close_codes.reason(code)
        self.post(Bye(code=code, reason=reason, after_ms=after_ms))
        self.is_closing = True
        self.close_code = code
        counters.CLOSED.labels(code=str(code)).inc()
        self._queue({"type": "websocket.close", "code": code, "reason": reason}, 0)
        # The close waits behind what the peer has not read, perhaps for ever.
        self._cut = self.loop.call_later(CLOSING_SECONDS, self.drop)

    def drop(self) -> None:
        """End the socket without a word: its peer does not read."""
        self.is_closing = True
        self._is_dropped = True
        self._outbox = ()
        if self._task is not None:
            self._task.cancel()

    @property
    def outbox_bytes(self) -> int:
        """What waits for this reader, in bytes."""
        return self._outbox_bytes

    async def sent(self) -> None:
        """Wait until the outbox is empty or the peer is gone."""
        if self._sender is not None:
            await asyncio.wait([self._sender])

    def _queue(self, event: dict[str, Any], size: int) -> None:
        if isinstance(self._outbox, tuple):
            self._outbox = deque()
        self._outbox.append(event)
        self._outbox_bytes += size
        if self._outbox_bytes > OUTBOX_BYTES:
            counters.SLOW_READERS.inc()
            self.drop()
        elif self._sender is None:
            self._sender = self.loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._outbox:
                event = self._outbox.popleft()
                await self.base_send(event)
                self._outbox_bytes -= _size(event)
        except Exception:
            # The edge of the process. Servers differ in what `send` raises on a
            # dead socket (realtime: ClientDisconnected, RuntimeError): it is gone.
            self.is_closing = True
        finally:
            self._outbox = ()
            self._sender = None


def _size(event: dict[str, Any]) -> int:
    return len(event.get("text") or event.get("bytes") or "")


def error_message(error: ProtocolError, ref: Any = None) -> Error:
    """A protocol error as the message that tells of it."""
    message = Error(code=error.code, message=error.message, retryable=error.retryable)
    if ref is not None:
        message.ref = ref
    return message


def size_of(frame: Frame) -> int:
    """The bytes of a frame on the wire."""
    if isinstance(frame, str) and not frame.isascii():
        return len(frame.encode(errors="replace"))
    return len(frame)
