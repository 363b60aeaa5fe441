"""Downloads: made as they are taken, and ended with their client."""

from __future__ import annotations

import asyncio

import pytest
from django.test import override_settings

from telemetry.api import streams
from telemetry.protocol.errors import Busy


async def _first(stream, count):
    async for piece in stream:
        yield piece
        count -= 1
        if not count:
            return


def iter_bytes():
    yield b"first"
    yield b"second"


async def test_a_download_that_is_never_begun_gives_its_turn_back():
    with override_settings(TELEMETRY_API_STREAMS=1):
        for _ in range(3):
            streams.Stream(iter_bytes())


async def test_two_of_one_and_the_others_get_some_too():
    mine = [streams.Stream(iter_bytes(), "me") for _ in range(streams.STREAMS_EACH)]
    with pytest.raises(Busy, match="at most 2 downloads of one sender"):
        streams.Stream(iter_bytes(), "me")
    streams.Stream(iter_bytes(), "you").close()
    mine[0].close()
    streams.Stream(iter_bytes(), "me").close()
    mine[1].close()


async def test_pieces_are_made_as_they_are_taken():
    made: list[int] = []

    def pieces():
        for at in range(5):
            made.append(at)
            yield b"x"

    stream = streams.Stream(pieces())
    taken = [each async for each in _first(stream, 2)]
    assert (taken, made) == ([b"x", b"x"], [0, 1])
    stream.close()


async def test_a_client_that_takes_nothing_is_cut(monkeypatch):
    monkeypatch.setattr(streams, "STALL_SECONDS", 0.01)

    async def stalled() -> None:
        async for _ in streams.Stream(iter_bytes()):
            await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(stalled())
