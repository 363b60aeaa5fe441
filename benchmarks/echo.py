"""A bare ASGI echo at `/` on the server settings of `manage.py serve`.

Run as `python -m benchmarks.echo PORT`. The most that any hub on this server could
do: no decoding, no database. The conformance tests use it as well: what fails there is
the server library's own.
"""

from __future__ import annotations

import sys
from typing import Any

from hub_project.server import HubServer, listen, server_config


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Send every WebSocket message back as it came."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        key = "text" if event.get("text") is not None else "bytes"
        try:
            await send({"type": "websocket.send", key: event[key]})
        except OSError:
            return


async def nothing(until: float) -> None:
    """There is no hub to drain."""


if __name__ == "__main__":
    config = server_config(echo, lifespan="off")
    server = HubServer(config, nothing, drain_seconds=0.0)
    server.run(sockets=[listen("127.0.0.1", int(sys.argv[1]))])
