"""uvicorn as the hub runs it: explicit limits, and a drain while sockets are open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from uvicorn.server import HANDLED_SIGNALS

# The application's own limit is 64 KiB, so that the hub answers first.
SOCKET_MESSAGE_BYTES = 131_072
# A factory comes back from a power cut with all its devices at once.
BACKLOG = 4_096
GRACEFUL_SECONDS = 30
# A half-sent request must not hold a connection for ever (uvicorn has no such
# limit): the headers, which include a socket's handshake, and the whole body.
HEADER_SECONDS = 10.0
BODY_SECONDS = 60.0
# How long an ended socket's peer may take to read what was sent.
LAST_BYTES_SECONDS = 5.0
# Ping after 20 s, gone after 20 more without an answer: less than the 60 s after
# which proxies cut a silent connection.
PING_SECONDS = 20.0


class PatientHttpProtocol(HttpToolsProtocol):
    """Closes a connection that has begun a request and does not end it."""

    deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_within(HEADER_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_within(HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        self._expect_within(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._expect_nothing()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._expect_nothing()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self.deadline = self.loop.call_later(seconds, self.transport.close)

    def _expect_nothing(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


class PatientSocketProtocol(WebSocketsSansIOProtocol):
    """Cuts a peer that does not take its last bytes: uvicorn waits for it for ever."""

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(LAST_BYTES_SECONDS, self.transport.abort)


def server_config(application: Any, **options: Any) -> Config:
    """uvicorn's configuration for `application`; options are uvicorn's own."""
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()  # No new connections; the open ones live on.
        draining = asyncio.ensure_future(self._drain())
        # A second Ctrl+C ends the waiting.
        while not draining.done() and not self.force_exit:
            await asyncio.wait([draining], timeout=0.1)
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
