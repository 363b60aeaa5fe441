"""Frames ↔ messages, in JSON and in MessagePack.

Nearly every frame is a `data` of plain numbers: it is decoded in one typed step.
What that step refuses (other messages, texts, unknown keys, bad input) is decoded
a second time in detail, where each error gets its sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from .errors import QUOTED_CHARACTERS, BadRequest, Unsupported, quoted
from .limits import MAX_SAFE_INTEGER
from .messages import FROM_BROWSER, FROM_DEVICE, Data, Message

JSON_SUBPROTOCOL: Final = "hub.v1.json"
MSGPACK_SUBPROTOCOL: Final = "hub.v1.msgpack"
LIVE_SUBPROTOCOL: Final = "hub.live.v1"

Frame = str | bytes


class PlainData(Struct, tag="data", tag_field="type", forbid_unknown_fields=True):
    """`Data` with numbers only and no unknown key: its depth is bounded by its type."""

    seq: int | None = None
    time: float | None = None
    values: dict[str, float] | None = None
    base: float | None = None
    columns: list[str] | None = None
    rows: list[list[float]] | None = None


class _Untyped(Struct, tag="", tag_field="type"):
    """Makes `PlainData` one of two, for then its `type` must not be missing."""


class _Envelope(Struct):
    """What can still be read of a message whose content cannot."""

    type: str = ""
    seq: Any = None


class Unreadable(BadRequest):
    """A frame that is not a good message.

    `may_be_data` says that it may have been a batch: where its `seq` cannot be read
    either, a later cumulative ack would cover the hole.
    """

    def __init__(
        self, message: str, seq: int | None = None, *, may_be_data: bool = True
    ) -> None:
        super().__init__(message, seq)
        self.may_be_data = may_be_data


@dataclass(frozen=True, slots=True)
class Coding:
    """One way to write messages into frames."""

    subprotocol: str
    is_binary: bool
    name: str
    _plain: Any
    _any: Any
    _envelope: Any
    _encoder: Any

    def encode(self, message: Message) -> Frame:
        """One message as one frame: text for JSON, bytes for MessagePack."""
        encoded: bytes = self._encoder.encode(message)
        return encoded if self.is_binary else encoded.decode()

    def decode_plain(self, frame: Frame) -> PlainData | None:
        """A `data` message of plain numbers, or None: then decode in detail."""
        try:
            plain = self._plain.decode(frame)
        except (ValueError, RecursionError):
            return None
        return plain if type(plain) is PlainData else None

    def decode(
        self, frame: Frame, messages: Mapping[str, type[Message]], depth: int
    ) -> Message:
        """Any of `messages`. Raises Unreadable, or Unsupported for an unknown type."""
        content = self.decode_any(frame, depth)
        if not isinstance(content, dict):
            raise Unreadable(f"expected a map with “type”, got {_kind(content)}")
        name = content.get("type")
        if not isinstance(name, str):
            raise Unreadable(
                f"expected “type” to be a text, got {_kind(name)}", _seq_of(content)
            )
        shape = messages.get(name)
        if shape is None:
            expected = ", ".join(messages)
            raise Unsupported(f"expected one of {expected}, got {quoted(name)}")
        try:
            return msgspec.convert(content, shape, strict=True)
        except (ValueError, TypeError) as error:
            raise Unreadable(
                f"expected a “{name}” of the documented form: {_cut(error)}",
                _seq_of(content),
                may_be_data=shape is Data,
            ) from None

    def decode_any(self, frame: Frame, depth: int) -> Any:
        """Whatever a frame holds, nested at most `depth` levels. Raises Unreadable."""
        if isinstance(frame, bytes) is not self.is_binary:
            expected, came = (
                ("binary", "text") if self.is_binary else ("text", "binary")
            )
            raise Unreadable(
                f"expected {expected} frames on {self.subprotocol}, got a {came} frame"
            )
        if not frame:
            raise Unreadable("expected a message, got an empty frame")
        try:
            content = self._any.decode(frame)
        except RecursionError:
            raise self._unreadable(
                frame, f"expected at most {depth} levels of nesting, got far more"
            ) from None
        except (ValueError, TypeError) as error:
            # UnicodeDecodeError quotes bytes; its reason says enough.
            why = getattr(error, "reason", None) or _cut(error)
            raise self._unreadable(frame, f"expected {self.name}: {why}") from None
        if _is_deeper(content, depth):
            raise self._unreadable(
                frame, f"expected at most {depth} levels of nesting, got more"
            )
        return content

    def _unreadable(self, frame: Frame, message: str) -> Unreadable:
        """With the `seq` of a frame whose other content is bad, if it can be read."""
        try:
            envelope = self._envelope.decode(frame)
        except (ValueError, TypeError, RecursionError):
            return Unreadable(message)
        if envelope.type == "data":
            return Unreadable(message, _good_seq(envelope.seq))
        return Unreadable(message, may_be_data=not envelope.type)


def _json_coding(subprotocol: str) -> Coding:
    return Coding(
        subprotocol=subprotocol,
        is_binary=False,
        name="JSON",
        _plain=msgspec.json.Decoder(PlainData | _Untyped),
        _any=msgspec.json.Decoder(),
        _envelope=msgspec.json.Decoder(_Envelope),
        _encoder=msgspec.json.Encoder(),
    )


JSON: Final = _json_coding(JSON_SUBPROTOCOL)
LIVE: Final = _json_coding(LIVE_SUBPROTOCOL)
# A message may nest this deep at most, whatever the setting says: one level more is
# decoded, so that the error can say what is wrong.
DEEPEST = 8


def _nested(levels: int) -> Any:
    """Scalars, lists and maps with text keys, nested so many levels.

    MessagePack allows any key: a map keyed by lists hashes them one by one, and a
    hostile one makes them collide.
    """
    scalar: Any = bool | int | float | str | None
    nested = scalar
    for _ in range(levels):
        deeper: Any = list[nested] | dict[str, nested]  # type: ignore[valid-type]
        nested = scalar | deeper
    return nested


MSGPACK: Final = Coding(
    subprotocol=MSGPACK_SUBPROTOCOL,
    is_binary=True,
    name="MessagePack",
    _plain=msgspec.msgpack.Decoder(PlainData | _Untyped),
    _any=msgspec.msgpack.Decoder(_nested(DEEPEST + 1)),
    _envelope=msgspec.msgpack.Decoder(_Envelope),
    _encoder=msgspec.msgpack.Encoder(),
)


def choose_coding(offered: list[str]) -> Coding | None:
    """The coding for the subprotocols that a device offers, in its order.

    Nothing offered: JSON, so that any WebSocket tool works. None: none is known.
    """
    if not offered:
        return JSON
    known = {coding.subprotocol: coding for coding in (JSON, MSGPACK)}
    return next((known[name] for name in offered if name in known), None)


def decode_from_device(coding: Coding, frame: Frame, depth: int) -> Message:
    """A device's message in detail. Raises Unreadable or Unsupported."""
    message = coding.decode(frame, FROM_DEVICE, depth)
    if isinstance(message, Data):
        check_seq(message.seq)
        if message.device is not UNSET:
            raise Unsupported(
                "expected readings of this device alone; “device” is for gateways, "
                "which this hub does not serve yet",
                message.seq,
            )
    return message


def check_seq(seq: int | None) -> None:
    """Raise Unreadable for a `seq` that is no number of a batch."""
    if seq is not None and _good_seq(seq) is None:
        # Thousands of digits of it may have come.
        raise Unreadable(f"expected “seq” from 1 to 2^53, got {quoted(seq)}")


def decode_from_browser(frame: Frame, depth: int) -> Message:
    """A browser's message. Raises Unreadable or Unsupported."""
    return LIVE.decode(frame, FROM_BROWSER, depth)


def _seq_of(content: dict[Any, Any]) -> int | None:
    return _good_seq(content.get("seq")) if content.get("type") == "data" else None


def _good_seq(seq: Any) -> int | None:
    # True is an int to Python, not a number on the wire.
    return seq if type(seq) is int and 1 <= seq <= MAX_SAFE_INTEGER else None


def _cut(error: Exception) -> str:
    """An error's sentence; it may quote what came, which may be long."""
    sentence = str(error)
    most = 2 * QUOTED_CHARACTERS
    return sentence if len(sentence) <= most else sentence[:most] + "…"


def _kind(content: Any) -> str:
    names = {
        dict: "a map",
        list: "a list",
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
        bytes: "bytes",
    }
    return names.get(type(content), "something else")


def _is_deeper(content: Any, depth: int) -> bool:
    """Whether maps and lists are nested more than `depth` levels."""
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(depth):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return bool(level)
