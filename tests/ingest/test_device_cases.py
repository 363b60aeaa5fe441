"""The golden cases of `/ws/device` (tests/protocol_cases/device_*.json).

A case is a list of steps on one device's socket, opened with its key in the header
unless `connect` says otherwise. It runs on both servers, in both codings unless it
names one.

- `send`: a message. `send_raw`, `send_hex`: a text frame, a binary frame.
- `receive`: the very next message. An `ack` of lower `seq` before it is skipped, for
  acks are cumulative. `receive_any_order`: several, in any order.
- `close`: the hub closes with this code, and has said `bye` with it.
- `connect`: {`key`: a text, or null for no header; `subprotocols`}: a new socket,
  before the old one is closed.
- `stored` of the case: all readings that the hub must hold in the end, by metric:
  [ms, value].

In what is sent, “<key>” stands for the device's key; in what is expected, “<any>”,
“<any text>”, “<any number>” and “<slug>” for what they say.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from telemetry.protocol.messages import FROM_DEVICE, TO_DEVICE
from tests.processes import ROOT, wait_until

from .conftest import DeviceHub, Known
from .wire import JSON, MSGPACK, Device

CASES = {
    path.stem.removeprefix("device_"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "tests" / "protocol_cases").glob("device_*.json"))
}
CODINGS = {"json": JSON, "msgpack": MSGPACK}
# Sent when the database is away: the tests of faults see it.
UNSEEN = {"flow"}
EXCHANGES = {"send", "receive", "receive_any_order"}


def runs() -> list[Any]:
    return [
        pytest.param(case, coding, id=f"{name}-{coding}")
        for name, case in CASES.items()
        for coding in ([case["coding"]] if "coding" in case else CODINGS)
    ]


@pytest.mark.parametrize(("case", "coding"), runs())
def test_case(device_hub: DeviceHub, case: dict[str, Any], coding: str):
    run = Run(device_hub, device_hub.new(), CODINGS[coding])
    for step in case["steps"]:
        run.step(step)
    if run.is_open:
        assert run.device is not None
        run.device.is_alive()
    if "stored" in case:
        # What has no seq is not acknowledged: nobody says when it is on disk.
        wait_until(lambda: run.has_stored(case["stored"]), "all is stored")


class Run:
    """One run of a case: its device's socket and what it came to."""

    def __init__(self, hub: DeviceHub, known: Known, subprotocol: str) -> None:
        self.hub = hub
        self.known = known
        self.subprotocol = subprotocol
        self.device: Device | None = None
        self.is_open = False

    def step(self, step: dict[str, Any]) -> None:
        ((what, content),) = step.items()
        if what != "connect" and self.device is None:
            self.connect({})
        getattr(self, what)(content)

    def connect(self, options: dict[str, Any]) -> None:
        old, self.is_open = self.device, True
        key = options.get("key", self.known.key)
        coding = options.get("subprotocols", [self.subprotocol])
        self.device = self.hub.connect(key, subprotocols=coding)
        if old is not None:
            old.socket.close()

    def send(self, message: dict[str, Any]) -> None:
        assert self.device is not None
        text = json.dumps(message).replace("<key>", self.known.key)
        self.device.send(**json.loads(text))

    def send_raw(self, text: str) -> None:
        assert self.device is not None
        self.device.send_raw(text)

    def send_hex(self, text: str) -> None:
        assert self.device is not None
        self.device.send_raw(bytes.fromhex(text))

    def receive(self, expected: dict[str, Any]) -> None:
        self.receive_any_order([expected])

    def receive_any_order(self, expected: list[dict[str, Any]]) -> None:
        assert self.device is not None
        left = list(expected)
        while left:
            message = self.device.receive()
            found = [each for each in left if matches(message, self.named(each))]
            if found:
                left.remove(found[0])
            else:
                assert is_lower_ack(message, left), (message, left)

    def named(self, expected: dict[str, Any]) -> Any:
        return json.loads(json.dumps(expected).replace("<slug>", self.known.slug))

    def has_stored(self, expected: dict[str, Any]) -> bool:
        readings = {
            metric: [[time_us / 1000, value] for time_us, value in of_metric]
            for metric, of_metric in self.hub.stored(self.known).items()
        }
        return matches(readings, expected)

    def close(self, code: int) -> None:
        assert self.device is not None
        assert self.device.is_sent_away(code) == []
        self.is_open = False


def is_lower_ack(message: dict[str, Any], expected: list[dict[str, Any]]) -> bool:
    """Whether a later ack covers this one, which listed no refusal."""
    if message["type"] != "ack" or "rejected" in message:
        return False
    return any(e["type"] == "ack" and e["seq"] > message["seq"] for e in expected)


def matches(came: Any, expected: Any) -> bool:
    if expected == "<any>":
        return True
    if expected == "<any number>":
        return type(came) in (int, float)
    if expected == "<any text>":
        return isinstance(came, str) and came != ""
    if isinstance(expected, dict):
        return (
            isinstance(came, dict)
            and came.keys() == expected.keys()
            and all(matches(came[key], expected[key]) for key in expected)
        )
    if isinstance(expected, list):
        return (
            isinstance(came, list)
            and len(came) == len(expected)
            and all(map(matches, came, expected))
        )
    # 1 is not true here, and 1.0 is 1.
    if isinstance(expected, bool) or isinstance(came, bool):
        return came is expected
    return bool(came == expected)


def test_every_message_of_the_protocol_is_in_a_case():
    seen: set[str] = set()
    for case in CASES.values():
        for step in case["steps"]:
            for what, content in step.items():
                several = content if isinstance(content, list) else [content]
                seen.update(m["type"] for m in several if what in EXCHANGES)
                seen.update(["bye"] if what == "close" else [])
    assert seen >= (FROM_DEVICE.keys() | TO_DEVICE.keys()) - UNSEEN


@pytest.mark.parametrize("name", CASES)
def test_case_is_well_formed(name: str):
    case = CASES[name]
    assert case.keys() <= {"name", "description", "coding", "steps", "stored"}
    assert case["name"] == name.replace("_", " ")
    assert case["description"].endswith(".")
    assert case.get("coding", "json") in CODINGS
