"""uvicorn as the hub runs it: explicit limits, and a drain while sockets are open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

from uvicorn import Config, Server
from uvicorn.server import HANDLED_SIGNALS

from . import memory
from .http_protocol import PatientHttpProtocol
from .last_resort import LastResort
from .logs import without_peers_faults
from .socket_protocol import HANDSHAKE_SECONDS, PatientSocketProtocol

logger = logging.getLogger(__name__)

# The application's own limit is 64 KiB, so that the hub answers first.
SOCKET_MESSAGE_BYTES = 131_072
# A factory comes back from a power cut with all its devices at once.
BACKLOG = 4_096
# The whole end takes TELEMETRY_DRAIN_SECONDS for the hub, and this for answers that are
# still being sent. Who hangs is ended after the grace; a parent kills a second later.
LAST_ANSWERS_SECONDS = 2
GRACE_SECONDS = 2.0
LATE_SECONDS = 0.5
# Ping after 20 s, gone after 20 more without an answer: less than the 60 s after
# which proxies cut a silent connection.
PING_SECONDS = 20.0


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
        timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        # A device that posts every 15 s keeps its connection.
        timeout_keep_alive=20,
        access_log=False,
        log_config=None,
        server_header=False,
        **{"lifespan": "on", "proxy_headers": False, **options},
    )


class HubServer(Server):
    """uvicorn that drains the hub first: its own goodbye (1012) goes out at once.

    drain: has so many seconds, and is told when they are over (time of the loop).
    is_process: it has the process for itself, and may end it when the end hangs.
    """

    def __init__(
        self,
        config: Config,
        drain: Callable[[float], Awaitable[None]],
        on_started: Callable[[], None] = lambda: None,
        *,
        drain_seconds: float,
        is_process: bool = False,
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._on_started = on_started
        self._is_process = is_process
        self._last_resort: LastResort | None = None

    @property
    def most_seconds(self) -> float:
        """How long the end may take; what hangs longer is ended."""
        return self._drain_seconds + LAST_ANSWERS_SECONDS + GRACE_SECONDS

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # From here, for a start may hang as well as the end.
        if self._is_process and self._last_resort is None:
            self._last_resort = LastResort(self.most_seconds)
            self._last_resort.begin()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn's own listening leaves a silent peer 60 s for its handshake.
        await super().startup([])
        if not self.started:
            return
        loop = asyncio.get_running_loop()
        for bound in sockets or []:
            self.servers.append(
                await loop.create_server(
                    self._new_protocol,
                    sock=bound,
                    backlog=BACKLOG,
                    ssl=self.config.ssl,
                    ssl_handshake_timeout=self._handshake_seconds,
                )
            )
        self._on_started()
        memory.settle()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()  # No new connections; the open ones live on.
        loop = asyncio.get_running_loop()
        drained_by = loop.time() + self._drain_seconds
        draining = asyncio.ensure_future(self._drain(drained_by))
        # It knows the time itself, and may need a moment to notice.
        late = drained_by + LATE_SECONDS
        # A second Ctrl+C ends the waiting.
        while not draining.done() and not self.force_exit and loop.time() < late:
            await asyncio.wait([draining], timeout=0.1)
        if not draining.done() and not self.force_exit:
            logger.error("the hub did not drain in time")
            # uvicorn would wait for it once more, for ever.
            self.force_exit = True
        left = int(drained_by - loop.time()) + LAST_ANSWERS_SECONDS
        self.config.timeout_graceful_shutdown = max(LAST_ANSWERS_SECONDS, left)
        await super().shutdown(sockets)
        if self._last_resort is not None:
            self._last_resort.is_drained = draining.done()

    def _new_protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection of its own sockets."""
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return made

    @property
    def _handshake_seconds(self) -> float | None:
        """Of TLS, which comes before any limit of a request; None without it."""
        return HANDSHAKE_SECONDS if self.config.ssl else None

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
