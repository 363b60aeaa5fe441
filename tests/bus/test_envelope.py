from __future__ import annotations

import msgspec
import pytest

from telemetry.bus.envelope import (
    Command,
    Disinterest,
    Interest,
    Probe,
    Publication,
    Question,
    Tips,
    pack,
    unpack,
)


@pytest.mark.parametrize(
    "envelope",
    [
        Publication("me", "plant-a", 7, 3, 99, b"\x00\xff"),
        Interest("me", ["plant-a"]),
        Disinterest("me", []),
        Question("me"),
        Probe("me", 1),
        Command("me", 12, "superseded", 41),
        Tips("me", [("plant-a", 7, 3, 99), ("device:b", 0, 0, 0)]),
        Tips("me", [], is_last=True),
    ],
)
def test_what_is_packed_comes_out_again(envelope):
    assert unpack(pack(envelope)) == envelope


def packed(content):
    return {"type": "hub.envelope", "content": msgspec.msgpack.encode(content)}


@pytest.mark.parametrize(
    "message",
    [
        {"type": "chat.message"},
        {"content": "text"},
        {"content": b""},
        {"content": b"\xc1"},
        packed([1, [9, "me"]]),
        packed([1, [1, "me"]]),
        packed([2, [4, "me"]]),
        packed({"a": 1}),
    ],
)
def test_what_is_not_an_envelope_of_ours_is_refused(message):
    with pytest.raises(ValueError, match="expected"):
        unpack(message)
