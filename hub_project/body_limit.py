"""No request has a body over the limit: Django would put it into a file first.

Django reads a whole body before any view sees the request, and so before anybody
checks a key. Here it is cut while it comes, whatever its headers say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from telemetry import counters
from telemetry.protocol.errors import ProtocolError, TooLarge, Unauthorized

# So many times the limit of a body that is refused are read all the same.
DISCARDED = 4
RETRY_AFTER_SECONDS = b"5"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def limited(
    application: Application, scope: Scope, receive: Receive, send: Send, most: int
) -> None:
    """Run an HTTP application; a body of more than `most` bytes is answered 413."""
    body = _Body(receive, send, most)
    if _announced(scope) <= most:
        await application(scope, body.receive, body.send)
        if not body.is_over or body.has_answer:
            return
    # A client that still sends would see a broken pipe instead of the answer.
    await body.discard(DISCARDED * most)
    await refuse(send, TooLarge(f"expected a body of at most {most} bytes, got more"))


class _Body:
    """Counts what comes; beyond the limit the application sees its client leave."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive = receive
        self._send = send
        self._left = most
        self.is_over = False
        self.is_read = False
        self.has_answer = False

    async def receive(self) -> dict[str, Any]:
        event = await self._receive()
        self._left -= len(event.get("body", b""))
        self.is_read = not event.get("more_body")
        if self._left < 0:
            self.is_over = True
            return {"type": "http.disconnect"}
        return event

    async def discard(self, most: int) -> None:
        """Read what is left and forget it, up to `most` bytes."""
        self._left = most
        while not self.is_read and self._left > 0:
            event = await self._receive()
            self._left -= len(event.get("body", b""))
            self.is_read = not event.get("more_body")

    async def send(self, event: dict[str, Any]) -> None:
        self.has_answer = True
        await self._send(event)


def _announced(scope: Scope) -> int:
    lengths = (
        content for name, content in scope["headers"] if name == b"content-length"
    )
    # Sixteen digits are too many in any case, and thousands would not parse.
    return max((int(text[:16]) for text in lengths if text.isdigit()), default=0)


async def refuse(send: Send, error: ProtocolError) -> None:
    """Answer a request whose body is not read."""
    counters.ERRORS.labels(code=error.code).inc()
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        # What still comes of the body is not read as another request.
        (b"connection", b"close"),
    ]
    if isinstance(error, Unauthorized):
        headers.append((b"www-authenticate", b"Bearer"))
    if error.retryable:
        headers.append((b"retry-after", RETRY_AFTER_SECONDS))
    await send(
        {
            "type": "http.response.start",
            "status": error.http_status,
            "headers": headers,
        }
    )
    content = {"type": "error", "code": error.code, "message": error.message}
    body = msgspec.json.encode({**content, "retryable": error.retryable})
    await send({"type": "http.response.body", "body": body})
