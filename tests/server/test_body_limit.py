"""`hub_project.body_limit`: a body is cut while it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub_project.body_limit import limited

MOST = 100


class Exchange:
    """One request with its body in pieces, and an application that reads it all."""

    def __init__(self, pieces: list[bytes], headers: list[tuple[bytes, bytes]]) -> None:
        self.pieces = pieces
        self.scope = {"type": "http", "headers": headers}
        self.answer: list[dict[str, Any]] = []
        self.read = b""
        self.was_asked = False

    async def receive(self) -> dict[str, Any]:
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    async def send(self, event: dict[str, Any]) -> None:
        self.answer.append(event)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        self.was_asked = True
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            self.read += event["body"]
            if not event["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def run(self) -> int:
        await limited(self.application, self.scope, self.receive, self.send, MOST)
        starts = [event for event in self.answer if "status" in event]
        assert len(starts) == 1
        status: int = starts[0]["status"]
        return status


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b""], 200),
        ([b"x" * MOST], 200),
        ([b"x" * (MOST - 1), b"x"], 200),
        ([b"x" * (MOST + 1)], 413),
        ([b"x" * MOST, b"x"], 413),
        ([b"x"] * (MOST + 1), 413),
    ],
)
async def test_a_body_without_a_length_is_counted(pieces, status):
    exchange = Exchange(pieces, [])
    assert await exchange.run() == status
    assert len(exchange.read) <= MOST


@pytest.mark.parametrize(
    ("length", "status"),
    [(b"100", 200), (b"101", 413), (b"9" * 5_000, 413), (b"-1", 200), (b"x", 200)],
)
async def test_an_announced_length_is_believed_when_it_is_too_long(length, status):
    exchange = Exchange([b"{}"], [(b"content-length", length)])
    assert await exchange.run() == status
    assert exchange.was_asked is (status == 200)


async def test_the_refusal_says_what_was_expected():
    exchange = Exchange([b"x" * (MOST + 1)], [])
    await exchange.run()
    error = json.loads(exchange.answer[-1]["body"])
    assert (error["code"], error["retryable"]) == ("too_large", False)
    assert "at most 100 bytes" in error["message"]


@pytest.mark.parametrize(("pieces", "read"), [(3, 3), (9, 5)])
async def test_what_is_left_of_a_refused_body_is_read_up_to_a_bound(pieces, read):
    exchange = Exchange([b"x" * MOST] * pieces, [(b"content-length", b"9999")])
    assert await exchange.run() == 413
    # Four times the limit, and the piece that went over it.
    assert pieces - len(exchange.pieces) == min(read, 4)
