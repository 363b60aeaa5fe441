from __future__ import annotations

import asyncio

import pytest
from channels.layers import InMemoryChannelLayer

from telemetry.bus import line as module
from telemetry.bus.envelope import Question
from telemetry.bus.line import Line


class Layer:
    """Raises, hangs or takes, as it is told."""

    def __init__(self) -> None:
        self.does = "take"
        self.sent: list[str] = []

    async def group_send(self, group: str, message: object) -> None:
        if self.does == "raise":
            raise ConnectionError("nobody there")
        if self.does == "hang":
            await asyncio.Event().wait()
        self.sent.append(group)


@pytest.fixture
def layer() -> Layer:
    return Layer()


@pytest.fixture
def line(layer) -> Line:
    return Line(layer)


async def test_step_that_works_is_true(line, layer):
    assert await line.send("plant", Question("me"))
    assert line.is_up and layer.sent == ["plant"]


async def test_step_that_raises_is_false_and_told_once(line, layer, caplog):
    layer.does = "raise"
    for _ in range(3):
        assert not await line.send("plant", Question("me"))
    assert not line.is_up and line.has_failed("plant")
    assert caplog.text.count("does not answer") == 1
    assert "nobody there" in caplog.text


async def test_step_that_hangs_ends(line, layer, monkeypatch, caplog):
    layer.does = "hang"
    step = layer.group_send("plant", {})
    assert not await line.attempt("send", step, about="plant", seconds=0.01)
    assert "no answer within 0.01 s" in caplog.text


async def test_cancellation_is_never_lost(line):
    """Also one that comes in the very step of the loop in which the layer answers."""
    answered = asyncio.get_running_loop().create_future()

    async def forever():
        while True:
            await line.attempt("receive", asyncio.shield(answered))
            await asyncio.sleep(0)

    task = asyncio.create_task(forever())
    await asyncio.sleep(0.01)
    answered.set_result(None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 20)


async def test_that_it_is_back_is_told_when_nothing_fails_any_more(
    line, layer, monkeypatch, caplog
):
    caplog.set_level("INFO", "telemetry")
    layer.does = "raise"
    await line.send("on-one", Question("me"))
    layer.does = "take"
    await line.send("on-another", Question("me"))
    assert not line.proved()
    assert "answers" not in caplog.text
    await line.send("on-one", Question("me"))
    assert line.proved()
    assert caplog.text.count("(the channel layer) answers") == 1
    assert not line.proved()


async def test_what_failed_long_ago_is_no_sign_of_anything(line, layer, monkeypatch):
    layer.does = "raise"
    await line.send("gone", Question("me"))
    monkeypatch.setattr(module, "FAILED_SECONDS", 0.0)
    assert line.proved()
    assert not line.has_failed("gone")


async def test_layer_in_memory_has_nothing_to_tell(caplog):
    caplog.set_level("INFO", "telemetry")
    line = Line(InMemoryChannelLayer())
    assert line.is_in_memory
    assert await line.send("plant", Question("me"))
    assert not line.proved()
    assert caplog.text == ""
