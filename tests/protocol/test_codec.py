"""Frames ↔ messages: round trips, two decoders that agree, and every bad frame."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, inspect

from telemetry.protocol.codec import (
    JSON,
    LIVE,
    MSGPACK,
    Coding,
    Frame,
    Unreadable,
    choose_coding,
    decode_from_browser,
    decode_from_device,
)
from telemetry.protocol.errors import BadRequest, Unsupported
from telemetry.protocol.messages import (
    FROM_BROWSER,
    FROM_DEVICE,
    TO_BROWSER,
    TO_DEVICE,
    Data,
    Message,
    Ping,
)

DEPTH = 8
CODINGS = [JSON, MSGPACK]
by_coding = pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.name)

numbers = st.integers(-(2**53), 2**53) | st.floats(
    allow_nan=False, allow_infinity=False
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def messages(shapes: dict[str, type[Message]]) -> st.SearchStrategy[Message]:
    """Any of the messages, with any content that fits its fields."""
    return st.one_of(*[fields_of(shape) for shape in shapes.values()])


def fields_of(shape: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    contents = {}
    for field in msgspec.structs.fields(shape):
        content = strategy_of(msgspec.inspect.type_info(field.type))
        left_out = st.just(UNSET) if field.default is UNSET else st.nothing()
        contents[field.name] = left_out | content
    return st.builds(shape, **contents)


def strategy_of(info: Any) -> st.SearchStrategy[Any]:
    """Contents for a field, from what msgspec knows of its type."""
    if isinstance(info, inspect.UnionType):
        return st.one_of(*map(strategy_of, info.types))
    if isinstance(info, inspect.StructType):
        return fields_of(info.cls)
    if isinstance(info, inspect.LiteralType):
        return st.sampled_from(info.values)
    if isinstance(info, inspect.ListType):
        return st.lists(strategy_of(info.item_type), max_size=3)
    if isinstance(info, inspect.DictType):
        content = strategy_of(info.value_type)
        return st.dictionaries(st.text(max_size=10), content, max_size=3)
    return SIMPLE[type(info)]


SIMPLE: dict[type, st.SearchStrategy[Any]] = {
    inspect.AnyType: anything,
    inspect.NoneType: st.none(),
    inspect.BoolType: st.booleans(),
    inspect.IntType: st.integers(-(2**53), 2**53),
    inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
    inspect.StrType: st.text(max_size=20),
    inspect.CustomType: st.just(UNSET),
}


class TestRoundTrip:
    @by_coding
    @given(message=messages(TO_DEVICE) | messages(TO_BROWSER))
    def test_of_what_the_hub_says(self, coding: Coding, message: Message):
        frame = coding.encode(message)
        assert isinstance(frame, bytes) is coding.is_binary
        decode: Any = (
            msgspec.msgpack.decode if coding.is_binary else msgspec.json.decode
        )
        content = decode(frame)
        assert content["type"] == type(message).__struct_config__.tag
        assert msgspec.convert(content, type(message)) == message

    @by_coding
    @given(message=messages(FROM_DEVICE))
    def test_of_what_a_device_says(self, coding: Coding, message: Message):
        if isinstance(message, Data):
            message.device = UNSET
            message.seq = None if message.seq is None else abs(message.seq) or 1
        assert decode_from_device(coding, coding.encode(message), 99) == message

    @given(message=messages(FROM_BROWSER))
    def test_of_what_a_browser_says(self, message: Message):
        assert decode_from_browser(LIVE.encode(message), 99) == message

    def test_what_is_always_sent(self):
        bye = json.loads(JSON.encode(TO_DEVICE["bye"](code=4400, reason="x")))
        assert bye == {"type": "bye", "code": 4400, "reason": "x", "after_ms": 0}
        flow = json.loads(JSON.encode(TO_DEVICE["flow"](window=0)))
        assert flow == {"type": "flow", "window": 0, "interval_ms": 0}
        ack = json.loads(JSON.encode(TO_DEVICE["ack"](seq=3)))
        assert ack == {"type": "ack", "seq": 3}


loose = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["data", "data", "data", "", "ping", 1]),
        "seq": st.integers(-3, 2**54) | st.none() | st.booleans() | st.just("1"),
        "time": numbers | st.none() | st.text(max_size=3),
        "values": st.dictionaries(st.text(max_size=5), anything, max_size=3) | anything,
        "base": numbers | st.none(),
        "columns": st.lists(st.text(max_size=5), max_size=3) | anything,
        "rows": st.lists(st.lists(numbers | st.none(), max_size=3), max_size=3),
        "device": st.none() | st.text(max_size=3),
        "more": anything,
    },
)


class TestTwoDecoders:
    """The short way takes a subset of what the long way takes, and reads it alike."""

    @by_coding
    @settings(max_examples=200)
    @given(content=loose)
    def test_agree(self, coding: Coding, content: dict[str, Any]):
        frame: Frame = msgspec.msgpack.encode(content)
        if not coding.is_binary:
            frame = json.dumps(content)
        plain = coding.decode_plain(frame)
        if plain is None:
            return
        seq = content.get("seq")
        if seq is not None and not 1 <= seq <= 2**53:
            with pytest.raises(Unreadable):
                decode_from_device(coding, frame, DEPTH)
            return
        detailed = decode_from_device(coding, frame, DEPTH)
        assert isinstance(detailed, Data)
        for field in ("seq", "time", "values", "base", "columns", "rows"):
            assert getattr(plain, field) == getattr(detailed, field)

    @pytest.mark.parametrize(
        "text",
        [
            '{"values":{"n":1}}',
            "{}",
            '{"type":""}',
            '{"type":"","values":{"n":1}}',
            '{"type":"ping","values":{"n":1}}',
            '{"type":null,"values":{"n":1}}',
            '{"type":"data","values":{"n":1},"device":"x"}',
            '{"type":"data","values":{"n":1},"more":1}',
            '{"type":"data","values":{"n":true}}',
            '{"type":"data","values":{"n":null}}',
            '{"type":"data","values":{"n":"1"}}',
            '{"type":"data","seq":1.0,"values":{"n":1}}',
            '{"type":"data","seq":true,"values":{"n":1}}',
        ],
    )
    def test_short_way_leaves_the_rest_to_the_long_one(self, text: str):
        assert JSON.decode_plain(text) is None
        assert MSGPACK.decode_plain(msgspec.msgpack.encode(json.loads(text))) is None

    @pytest.mark.parametrize(
        "way", [JSON.decode_plain, lambda f: JSON.decode_any(f, 8)]
    )
    def test_of_a_key_that_comes_twice_the_last_counts(self, way: Any):
        text = '{"type":"data","seq":9,"seq":1,"values":{"m":1},"values":{"n":1,"n":2}}'
        found = way(text)
        content = found if isinstance(found, dict) else msgspec.structs.asdict(found)
        assert (content["seq"], content["values"]) == (1, {"n": 2})


def deep(levels: int) -> Any:
    content: Any = 1
    for _ in range(levels):
        content = [content]
    return content


# (frame, the seq that can be read, whether it may have been a batch)
BAD_JSON: list[tuple[str | bytes, int | None, bool]] = [
    ("", None, True),
    (" ", None, True),
    ("hello", None, True),
    ("null", None, True),
    ("[]", None, True),
    ("17", None, True),
    ('"data"', None, True),
    ("{}", None, True),
    ('{"type":5}', None, True),
    ('{"type":null}', None, True),
    ('{"type":["data"]}', None, True),
    ('{"seq":3,"values":{}}', None, True),
    (b'{"type":"ping"}', None, True),
    ('{"type":"data","seq":3', None, True),
    ('{"type":"data","seq":3}x', None, True),
    ('{"type":"data","seq":3,"values":{"n":NaN}}', None, True),
    ('{"type":"data","seq":3,"values":{"n":-Infinity}}', None, True),
    ('{"type":"data","seq":3,"values":{"n":1e400}}', 3, True),
    ('{"type":"data","seq":3,"values":{"n":' + "9" * 5_000 + "}}", 3, True),
    ('{"type":"data","seq":3,"values":{"n":"\\ud800"}}', None, True),
    ('{"type":"data","seq":3,"values":{"n":[1]}}', 3, True),
    ('{"type":"data","seq":3,"values":[1]}', 3, True),
    ('{"type":"data","seq":3,"time":"now"}', 3, True),
    ('{"type":"data","seq":3,"rows":[1]}', 3, True),
    ('{"type":"data","seq":3,"columns":[1]}', 3, True),
    ('{"type":"data","seq":"3","values":{}}', None, True),
    ('{"type":"data","seq":3.5,"values":{}}', None, True),
    ('{"type":"data","seq":true,"values":{}}', None, True),
    ('{"type":"data","seq":0,"values":{}}', None, True),
    ('{"type":"data","seq":-3,"values":{"n":[]}}', None, True),
    ('{"type":"data","seq":9007199254740993,"values":{}}', None, True),
    ('{"type":"data","seq":' + "9" * 30 + ',"values":{"n":[]}}', None, True),
    ('{"type":"data","seq":' + "9" * 4_000 + "}", None, True),
    ("[" * 100_000, None, True),
    ('{"type":"data","seq":3,"values":' + "[" * 9 + "]" * 9 + "}", 3, True),
    ('{"type":"ping","echo":' + "[" * 8 + "]" * 8 + "}", None, False),
    ('{"type":"ping","echo":1e400}', None, False),
    ('{"type":"hello","session":5}', None, False),
    ('{"type":"hello","clock":"moon"}', None, False),
    ('{"type":"hello","clock":"%s"}' % ("x" * 30_000), None, False),
    ('{"type":"hello","uptime":%s}' % ("9" * 400), None, False),
    ('{"type":"hello","metrics":{"n":{"kind":"colour"}}}', None, False),
]
BAD_MSGPACK: list[tuple[str | bytes, int | None, bool]] = [
    (b"", None, True),
    (b"\xc1", None, True),
    (b"\xdf\xff\xff\xff\xff", None, True),
    (b"\xc7\x0c\xff" + b"\xff" * 12, None, True),
    (b"\x81\x80\x01", None, True),
    (b"\x81\x01\x02", None, True),
    (b"\x91" * 100_000, None, True),
    ('{"type":"ping"}', None, True),
    (
        msgspec.msgpack.encode({"type": "data", "seq": 3, "values": {"n": b"x"}}),
        3,
        True,
    ),
    (msgspec.msgpack.encode({"type": "data", "seq": 3, "values": {1: 2}}), 3, True),
    (b"\x83\xa4type\xa4data\xa3seq\x03\xa6values\x81\xa1\xff\x01", 3, True),
    (b"\x83\xa4type\xa4data\xa3seq\x03\xa6values\x81\xa1n\xd4\x05a", 3, True),
    (b"\x83\xa4type\xa4data\xa3seq\x03\xa6values\x81\xa1n\xd6\xff\0\0\0\0", 3, True),
    (b"\x83\xa4type\xa4data\xa3seq\x03\xa6values\x81\xa1n", None, True),
]


class TestBadFrames:
    @pytest.mark.parametrize(
        ("coding", "frame", "seq", "may_be_data"),
        [
            *[(JSON, *bad) for bad in BAD_JSON],
            *[(MSGPACK, *bad) for bad in BAD_MSGPACK],
        ],
        ids=lambda each: repr(each)[:40] if isinstance(each, str | bytes) else None,
    )
    def test_is_unreadable_and_says_why(
        self, coding: Coding, frame: Frame, seq: int | None, may_be_data: bool
    ):
        with pytest.raises(Unreadable) as caught:
            decode_from_device(coding, frame, DEPTH)
        error = caught.value
        assert isinstance(error, BadRequest)
        assert (error.seq, error.may_be_data) == (seq, may_be_data)
        assert error.message.startswith("expected") and len(error.message) < 400
        assert error.message.isprintable()

    @pytest.mark.parametrize(
        "name", ["dance", "welcome", "ack", "", "x" * 60_000, "\n"]
    )
    def test_unknown_type_is_unsupported(self, name: str):
        with pytest.raises(Unsupported) as caught:
            decode_from_device(JSON, json.dumps({"type": name, "seq": 3}), DEPTH)
        assert caught.value.seq is None and len(caught.value.message) < 300

    @pytest.mark.parametrize("device", ["other", None, 1, {}])
    def test_readings_of_another_device_are_unsupported(self, device: Any):
        message = {"type": "data", "seq": 3, "values": {"n": 1}, "device": device}
        with pytest.raises(Unsupported) as caught:
            decode_from_device(JSON, json.dumps(message), DEPTH)
        assert caught.value.seq == 3

    @by_coding
    def test_depth_at_the_limit(self, coding: Coding):
        ping = Ping(echo=deep(DEPTH - 1))
        assert decode_from_device(coding, coding.encode(ping), DEPTH) == ping
        with pytest.raises(Unreadable):
            decode_from_device(coding, coding.encode(Ping(echo=deep(DEPTH))), DEPTH)

    @by_coding
    @settings(max_examples=200)
    @given(st.data())
    def test_no_frame_raises_anything_else(self, coding: Coding, data: st.DataObject):
        frames: Any = (
            st.binary(max_size=60) if coding.is_binary else st.text(max_size=60)
        )
        frame: Frame = data.draw(frames)
        assert_decodes_or_says_why(coding, frame)

    @by_coding
    @settings(max_examples=150)
    @given(st.data())
    def test_nor_does_a_good_frame_with_damage(
        self, coding: Coding, data: st.DataObject
    ):
        message = data.draw(messages(FROM_DEVICE))
        frame = bytearray(
            msgspec.msgpack.encode(message)
            if coding.is_binary
            else msgspec.json.encode(message)
        )
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(frame) - 1))
            frame[at] = data.draw(st.integers(0, 255))
        damaged: Frame = bytes(frame)
        if not coding.is_binary:
            damaged = bytes(frame).decode(errors="replace")
        assert_decodes_or_says_why(coding, damaged)


def assert_decodes_or_says_why(coding: Coding, frame: Frame) -> None:
    coding.decode_plain(frame)
    try:
        message = decode_from_device(coding, frame, DEPTH)
    except (Unreadable, Unsupported) as error:
        assert error.message.startswith("expected")
        return
    # What can be read can be sent back.
    if isinstance(message, Ping) and message.echo is not UNSET:
        again = decode_from_device(coding, coding.encode(message), DEPTH)
        assert again == message or is_nan_in(message.echo)


def is_nan_in(content: Any) -> bool:
    if isinstance(content, dict):
        return any(map(is_nan_in, [*content, *content.values()]))
    if isinstance(content, list | tuple):
        return any(map(is_nan_in, content))
    return isinstance(content, float) and math.isnan(content)


class TestChoice:
    @pytest.mark.parametrize(
        ("offered", "coding"),
        [
            ([], JSON),
            (["hub.v1.json"], JSON),
            (["hub.v1.msgpack"], MSGPACK),
            (["hub.v1.msgpack", "hub.v1.json"], MSGPACK),
            (["hub.v2.json", "hub.v1.json", "hub.v1.msgpack"], JSON),
            (["hub.v2.json"], None),
            (["HUB.V1.JSON"], None),
            (["hub.live.v1"], None),
        ],
    )
    def test_first_known_wins(self, offered: list[str], coding: Coding | None):
        assert choose_coding(offered) is coding
