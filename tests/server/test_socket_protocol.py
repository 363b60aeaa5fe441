"""hub_project.socket_protocol: what a socket keeps while it is open."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.server import ServerState
from websockets.asyncio.client import connect

from hub_project.server import server_config
from hub_project.socket_protocol import PatientSocketProtocol


class Echo:
    """An ASGI application that sends back what comes."""

    scope: dict[str, Any]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})


async def test_an_open_socket_keeps_neither_its_handshake_nor_an_empty_queue():
    echo, state = Echo(), ServerState()
    config = server_config(echo, lifespan="off")
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=state, app_state={}
        ),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    async with server, connect(f"ws://127.0.0.1:{port}/x?y=1") as client:
        for number in range(200):
            await client.send(str(number))
        assert [await client.recv() for _ in range(200)] == list(map(str, range(200)))
        (protocol,) = state.connections
        assert isinstance(protocol, PatientSocketProtocol)
        assert not protocol.request.headers
        assert not protocol.response.headers
        kept = vars(protocol).values()
        assert not any(isinstance(each, asyncio.Queue | asyncio.Event) for each in kept)
        # That list is the application's, as long as it wants it.
        assert dict(echo.scope["headers"])[b"host"] == f"127.0.0.1:{port}".encode()
