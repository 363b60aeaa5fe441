"""The ASGI application: HTTP to Django, sockets to the rooms, lifespan to the hub.

One hub a process. A server with lifespan (uvicorn) starts and drains it; without
(Daphne) it starts at the first scope.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub_project.settings")
# Loads the apps: only after it may the rooms be imported.
django_application = get_asgi_application()

from channels.routing import URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402

from telemetry.api.bodies import most_body_bytes  # noqa: E402
from telemetry.hub import Hub  # noqa: E402
from telemetry.protocol import close_codes  # noqa: E402
from telemetry.protocol.errors import ProtocolError  # noqa: E402
from telemetry.routing import websocket_urlpatterns  # noqa: E402

from .body_limit import limited, refuse  # noqa: E402

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def no_such_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept and close with 4404: a refusal would be a bare 403 without a reason."""
    await receive()  # websocket.connect
    reason = close_codes.reason(close_codes.NOT_FOUND)
    try:
        await send({"type": "websocket.accept"})
        await send(
            {
                "type": "websocket.close",
                "code": close_codes.NOT_FOUND,
                "reason": reason,
            }
        )
    except OSError:
        pass  # The peer is gone already.


async def _django(scope: Scope, receive: Receive, send: Send) -> None:
    await django_application(scope, receive, send)  # type: ignore[arg-type]


class HubApplication:
    """What a server calls. `drain` may be called before its shutdown, and twice.

    has_jobs: whether the hub of this process does the jobs of all (telemetry/jobs.py).
    """

    def __init__(self) -> None:
        self.has_jobs = True
        self.hub: Hub | None = None
        self._starting: asyncio.Lock | None = None
        self._draining: asyncio.Task[None] | None = None
        # The last pattern answers every other path; without it each scan of a
        # stranger would be an error in the log.
        catch_all = re_path("", no_such_socket)  # type: ignore[arg-type]
        self._sockets = URLRouter([*websocket_urlpatterns, catch_all])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        scope["telemetry.hub"] = await self.started()
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._sockets(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with most_body_bytes(scope) as most:
                await limited(_django, scope, receive, send, most)
        except ProtocolError as error:
            # A long body is let in only with a right key.
            await refuse(send, error)

    async def started(self) -> Hub:
        """The hub of this process, started once."""
        if self.hub is not None:
            return self.hub
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self.hub is None:
                hub = Hub(has_jobs=self.has_jobs)
                await hub.start()
                self.hub = hub
        return self.hub

    def announce_end(self) -> None:
        """Say that this process is not ready any more, and go on working."""
        if self.hub is not None:
            self.hub.is_leaving = True

    async def drain(self, until: float | None = None) -> None:
        """End all sockets with a word, finish commits and acknowledgements; once.

        until: of the loop's time; a server that knows none gives the hub its own.
        """
        if self.hub is None:
            return
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain(self.hub, until))
        await asyncio.shield(self._draining)

    async def _drain(self, hub: Hub, until: float | None) -> None:
        try:
            await hub.drain(until)
        except Exception:
            # The edge of the process: it ends anyway, and what was acknowledged is
            # on disk.
            logger.exception("the hub did not drain")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            await self.started()
        except Exception as error:
            # The edge of the process: the server ends it.
            logger.exception("the hub did not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        await self.drain()
        await send({"type": "lifespan.shutdown.complete"})


application = HubApplication()
