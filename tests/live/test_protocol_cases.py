"""The golden cases of `/ws/live` (tests/protocol_cases/live_*.json).

live_store_*.json: `messages` in order, and what a page then holds (`expect`); read by
the page's own tests as well. The others are steps on one page's socket, opened with
the session of a staff user unless `connect` says otherwise:

- `commit`: [series, ms, value]…, a commit of readings; a series is "device/metric".
- `send`, `send_raw`: a message, a text frame. `receive`: the very next message.
- `silence`: nothing comes for a while. `close`: the hub closes with this code.
- `connect`: {`cookie`, `origin`, `subprotocols`}: a new socket instead of the old one.

"#device/metric" stands for the series' id, “<epoch>” for that of the hub, “<any
text>” and “<any number>” for what they say. Revisions are those of a fresh hub.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.processes import ROOT

from .conftest import SUBPROTOCOL, T0, do
from .model import Stores

FOLDER = ROOT / "tests" / "protocol_cases"
FILES = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("live_*.json")}
STORE = {name: case for name, case in FILES.items() if name.startswith("live_store_")}
SOCKET = {name: case for name, case in FILES.items() if name not in STORE}


@pytest.mark.parametrize("name", sorted(STORE))
def test_store_case(name):
    stores = Stores()
    for message in STORE[name]["messages"]:
        stores.take(message)
    assert stores.held() == STORE[name]["expect"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", sorted(SOCKET))
async def test_socket_case(name, live, staff, plant):
    run = Run(live, staff, await do(ids_of_series))
    for step in SOCKET[name]["steps"]:
        await run.step(step)


def ids_of_series() -> dict[str, int]:
    from telemetry.devices.models import Series

    rows = Series.objects.values_list("device__slug", "name", "pk")
    return {f"{slug}/{name}": pk for slug, name, pk in rows}


class Run:
    """One run of a case."""

    def __init__(self, live: Any, cookie: str, ids: dict[str, int]) -> None:
        self.live = live
        self.cookie = cookie
        self.ids = ids
        self.page: Any = None

    async def step(self, step: dict[str, Any]) -> None:
        ((what, content),) = step.items()
        if self.page is None and what not in ("connect", "commit"):
            await self.connect({})
        await getattr(self, what)(content)

    async def connect(self, options: dict[str, Any]) -> None:
        if self.page is not None:
            await self.page.socket.close()
        self.page = await self.live.page(
            options.get("cookie", self.cookie),
            origin=options.get("origin", "own"),
            subprotocols=options.get("subprotocols", [SUBPROTOCOL]),
        )

    async def commit(self, readings: list[list[Any]]) -> None:
        self.live.hub.commit(
            *((self.ids[name], ms - T0 / 1000, value) for name, ms, value in readings)
        )

    async def send(self, message: dict[str, Any]) -> None:
        await self.send_raw(json.dumps(self.named(message)))

    async def send_raw(self, text: str) -> None:
        await self.page.socket.send(text)

    async def receive(self, expected: dict[str, Any]) -> None:
        message = await self.page.receive()
        assert is_like(message, self.named(expected)), (message, expected)

    async def silence(self, _: bool) -> None:
        assert await self.page.is_silent(0.3)

    async def close(self, code: int) -> None:
        with pytest.raises(ConnectionClosed) as closed:
            await self.page.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code

    def named(self, content: Any) -> Any:
        """`content` with the ids and the epoch of this run."""
        if isinstance(content, dict):
            return {key: self.named(value) for key, value in content.items()}
        if isinstance(content, list):
            return [self.named(each) for each in content]
        if isinstance(content, str) and content.startswith("#"):
            return self.ids[content[1:]]
        return self.live.hub.feed.epoch if content == "<epoch>" else content


def is_like(came: Any, expected: Any) -> bool:
    if expected == "<any text>":
        return isinstance(came, str)
    if expected == "<any number>":
        return isinstance(came, int | float) and not isinstance(came, bool)
    if isinstance(expected, dict):
        return (
            isinstance(came, dict)
            and came.keys() == expected.keys()
            and all(is_like(came[key], value) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(came, list)
            and len(came) == len(expected)
            and all(map(is_like, came, expected))
        )
    return (
        type(came) is type(expected)
        and came == expected
        or (
            isinstance(came, int | float)
            and not isinstance(came, bool)
            and not isinstance(expected, bool)
            and came == expected
        )
    )
