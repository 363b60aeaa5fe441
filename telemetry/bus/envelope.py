"""What goes over the channel layer: one small tuple, encoded once. Pure.

The layer's own serializer sees a map with a single bytes value.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

# Messages of another layout are not understood, and left alone.
VERSION: Final = 1
# Of one announcement: keeps a message at some tens of KB.
TOPICS_A_MESSAGE: Final = 500


class Publication(msgspec.Struct, tag=1, array_like=True):
    """News of a topic. `n` counts up for each (origin, topic): one left out is lost.

    writer, number: the last commit whose readings are in the payload.
    """

    origin: str
    topic: str
    n: int
    writer: int
    number: int
    payload: bytes


class Interest(msgspec.Struct, tag=2, array_like=True):
    """`origin` wants these topics from now on, until it says so no more."""

    origin: str
    topics: list[str]


class Disinterest(msgspec.Struct, tag=3, array_like=True):
    """`origin` no longer wants these topics."""

    origin: str
    topics: list[str]


class Question(msgspec.Struct, tag=4, array_like=True):
    """`origin` is new here and asks everybody what they want."""

    origin: str


class Probe(msgspec.Struct, tag=5, array_like=True):
    """Comes back to `origin` when it really hears this group."""

    origin: str
    token: int


class Command(msgspec.Struct, tag=6, array_like=True):
    """`origin` asks the process that has this `writer` to do something, once."""

    origin: str
    writer: int
    kind: str
    device_id: int


class Tips(msgspec.Struct, tag=7, array_like=True):
    """How far `origin` is, and that it is there. is_last: it ends.

    tips: (topic, n, writer, number) of what it publishes, all or some.
    """

    origin: str
    tips: list[tuple[str, int, int, int]]
    is_last: bool = False


Envelope = Publication | Interest | Disinterest | Question | Probe | Command | Tips

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, Envelope])


def pack(envelope: Envelope) -> dict[str, Any]:
    """The message for the channel layer."""
    return {"type": "hub.envelope", "content": _encoder.encode((VERSION, envelope))}


def unpack(message: dict[str, Any]) -> Envelope:
    """What came from the channel layer. Raises ValueError if it is not one of ours."""
    content = message.get("content")
    if not isinstance(content, bytes):
        raise ValueError("expected a message with content in bytes")
    try:
        version, envelope = _decoder.decode(content)
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected an envelope: {error}") from None
    if version != VERSION:
        raise ValueError(f"expected an envelope of version {VERSION}, got {version}")
    return envelope
