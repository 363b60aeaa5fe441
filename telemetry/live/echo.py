"""`/ws/echo`, the link check: every message comes back as it was.

For a signed-in browser, checked as on `/ws/live`, and for a device's key, checked as
on `/ws/device`; neither is online by it. Few, short and slow: it measures a link and
must not load the hub.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol

from django.conf import settings
from django.db import DatabaseError

from .. import conf, counters
from ..bus.socket import HubSocket, error_message, size_of
from ..ingest.door import Door
from ..ingest.rate import TokenBucket
from ..ingest.session import bearer_key, client_address
from ..protocol import close_codes
from ..protocol.codec import JSON, Frame
from ..protocol.errors import (
    Busy,
    Forbidden,
    ProtocolError,
    RateLimited,
    TooLarge,
    Unauthorized,
)
from .feed import Feed
from .origin import is_allowed, origins_of
from .people import session_key_of

# Whoever sends faster waits so many times, and is then told to go.
MOST_SLOWED = 100
# Sent back and not read by the peer: beyond it no more is read from it. Well below
# the bound of the outbox, so that a thin link is slow and not cut.
UNREAD_BYTES = 131_072
# Link checks at once of one person or device.
MOST_OF_ONE = 4
AGAIN_AFTER_MS = 15_000
FAREWELL_SECONDS = 1.0

Who = tuple[str, int]


class EchoHub(Protocol):
    """What a link check needs of the hub (`scope["telemetry.hub"]`)."""

    @property
    def door(self) -> Door: ...
    @property
    def feed(self) -> Feed: ...
    @property
    def link_checks(self) -> LinkChecks: ...


class LinkChecks:
    """The open link checks of a process: few at once, told when the hub stops."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[EchoConsumer, Who] = {}
        self._is_over = False

    def enter(self, socket: EchoConsumer, who: Who) -> None:
        """Take a place. Raises Busy where there is none."""
        if self._is_over:
            raise Busy("expected to check the link, but the hub is stopping")
        if len(self._of) >= self._most:
            raise Busy(
                f"expected at most {self._most} link checks at once, and so many "
                "run; try again in a minute"
            )
        if Counter(self._of.values())[who] >= MOST_OF_ONE:
            raise Busy(
                f"expected at most {MOST_OF_ONE} link checks at once of one device "
                "or person, and so many run; try again in a minute"
            )
        self._of[socket] = who
        self._count()

    def leave(self, socket: EchoConsumer) -> None:
        """Give the place back."""
        self._of.pop(socket, None)
        self._count()

    async def dismiss(self) -> None:
        """Say goodbye to all: the hub stops."""
        self._is_over = True
        sockets = list(self._of)
        for socket in sockets:
            socket.bye(close_codes.DRAINING, "restart", AGAIN_AFTER_MS)
        farewells = [asyncio.ensure_future(socket.sent()) for socket in sockets]
        if farewells:
            # Whoever does not read does not hear it.
            await asyncio.wait(farewells, timeout=FAREWELL_SECONDS)
        for farewell in farewells:
            farewell.cancel()

    def _count(self) -> None:
        counters.SOCKETS.labels(kind="echo").set(len(self._of))


class EchoConsumer(HubSocket):
    """One link check. Text that begins with `{` may also be the hub's own word."""

    coding = JSON
    _over: asyncio.TimerHandle | None = None
    _slowed = 0

    async def opened(self) -> None:
        self._hub: EchoHub = self.scope["telemetry.hub"]
        self._most_bytes = int(conf.value("ECHO_BYTES"))
        rate = float(conf.value("ECHO_RATE"))
        # As many at once as in a second: a burst measures the data rate.
        self._bucket = TokenBucket(rate, rate)
        await self.accept()
        if self.scope.get("subprotocols"):
            self.bye(close_codes.NO_SUBPROTOCOL)
            return
        try:
            who = await self._identify()
            if self.is_closing:
                return
            self._hub.link_checks.enter(self, who)
        except ProtocolError as error:
            self._end_with(error)
            return
        self._over = self.loop.call_later(
            float(conf.value("ECHO_SECONDS")),
            self.bye,
            close_codes.NORMAL,
            "the link check is over",
        )

    async def _identify(self) -> Who:
        """Whose check this is. Raises Unauthorized, Forbidden, RateLimited or Busy."""
        headers = self.scope["headers"]
        # No page can set this header, so it needs no Origin.
        key = bearer_key(headers)
        if key:
            address = client_address(self.scope)
            device = await self._hub.door.authenticate(key, address)
            return ("device", device.id)
        origins = origins_of(headers)
        session_key = session_key_of(headers)
        # Without an Origin the cookie alone proves nothing.
        if (origins or session_key) and not is_allowed(origins, settings.HUB_ORIGINS):
            raise Forbidden("expected a page of this hub's address, got another one")
        if session_key is None:
            raise Unauthorized("expected a session or a device's key, got neither")
        try:
            person = await self._hub.feed.audience.identify(session_key)
        except DatabaseError:
            raise Busy(
                "expected to find the session, but the database is away; try again"
            ) from None
        if person is None:
            raise Unauthorized("expected a session that holds, got one that does not")
        return ("person", person.id)

    async def on_frame(self, frame: Frame) -> None:
        size_bytes = size_of(frame)
        if size_bytes > self._most_bytes:
            raise TooLarge(
                f"expected a message of at most {self._most_bytes} bytes, "
                f"got {size_bytes}"
            )
        wait_seconds = self._bucket.take(1, self.loop.time())
        if wait_seconds:
            self._slowed += 1
            if self._slowed > MOST_SLOWED:
                raise RateLimited(
                    f"expected at most {self._bucket.rate:g} messages a second, "
                    "got more for too long"
                )
            # Nothing is read meanwhile: the rest waits with its sender.
            await asyncio.sleep(wait_seconds)
        self.post_frame(frame)
        counters.ECHOED.inc()
        if self.outbox_bytes > UNREAD_BYTES:
            await self.sent()

    def on_error(self, error: ProtocolError) -> None:
        self._end_with(error)

    def _end_with(self, error: ProtocolError) -> None:
        counters.ERRORS.labels(code=error.code).inc()
        self.post(error_message(error))
        after_ms = AGAIN_AFTER_MS if error.retryable else 0
        self.bye(error.close_code, after_ms=after_ms)

    def closed(self) -> None:
        if self._over is not None:
            self._over.cancel()
        self.scope["telemetry.hub"].link_checks.leave(self)
