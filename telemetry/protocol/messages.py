"""The shape of every message, as on the wire. Times are ms since the epoch, UTC.

Device messages go over `/ws/device` in JSON or MessagePack, live messages over
`/ws/live` in JSON. The `type` of a message is its struct's tag.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

Value = bool | int | float | str | None
Rejection = dict[str, Any]


class Message(Struct, tag_field="type", omit_defaults=True):
    """Any message; subclasses name their `type`."""


# --- device → hub ---------------------------------------------------------------


class MetricHint(Struct):
    """What a device says of one of its metrics; fills only what is empty."""

    unit: str = ""
    label: str = ""
    kind: Literal["number", "boolean", "text"] | None = None


class Hello(Message, tag="hello"):
    session: str | None = None
    key: str | None = None
    clock: Literal["utc", "uptime"] = "utc"
    uptime: float | None = None
    metrics: dict[str, MetricHint] = {}
    firmware: str | None = None
    config: int | None = None


class Data(Message, tag="data"):
    """One instant (`time`, `values`) or a batch (`base`, `columns`, `rows`)."""

    seq: int | None = None
    time: float | None = None
    values: dict[str, Value] | None = None
    base: float | None = None
    columns: list[str] | None = None
    rows: list[list[Value]] | None = None
    device: Any = UNSET


class Result(Message, tag="result"):
    id: Any = None
    status: Any = None


class Applied(Message, tag="applied"):
    version: Any = None
    status: Any = None


class Ping(Message, tag="ping"):
    echo: Any = UNSET


# --- hub → device ---------------------------------------------------------------


class Welcome(Message, tag="welcome"):
    device: str
    time: float
    acked: int
    window: int
    max_bytes: int
    max_rows: int
    heartbeat: float
    rate: list[int] | None


class Ack(Message, tag="ack"):
    seq: int
    rejected: list[Rejection] | None = None
    rejected_count: int | None = None


class Flow(Message, tag="flow", omit_defaults=False):
    window: int
    interval_ms: int = 0


class Pong(Message, tag="pong"):
    time: float
    echo: Any = UNSET


class Error(Message, tag="error"):
    code: str
    message: str
    retryable: bool
    ref: Any = UNSET


class Bye(Message, tag="bye", omit_defaults=False):
    code: int
    reason: str
    after_ms: int = 0


# --- browser → hub --------------------------------------------------------------


class LiveHello(Message, tag="hello"):
    interval_ms: Literal[100, 250, 1000, 5000] = 250
    token: str | None = None


class Resume(Struct):
    epoch: str
    revisions: dict[str, int]


class Subscribe(Message, tag="subscribe"):
    id: int | str
    groups: list[str] = []
    devices: list[str] = []
    metrics: list[str] | None = None
    resume: Resume | None = None


class Unsubscribe(Message, tag="unsubscribe"):
    groups: list[str]


class LiveAck(Message, tag="ack"):
    group: str
    revision: int


# --- hub → browser --------------------------------------------------------------


class LiveWelcome(Message, tag="welcome"):
    time: float
    epoch: str
    user: str
    limits: dict[str, int]


class Subscribed(Message, tag="subscribed"):
    id: int | str
    groups: list[str]
    refused: dict[str, str]


class Snapshot(Message, tag="snapshot"):
    """One page of the state of a group; `more` says that another page follows."""

    group: str
    revision: int
    series: list[list[Any]]
    rows: list[list[Any]]
    more: bool
    devices: list[list[Any]] | UnsetType = UNSET


class Update(Message, tag="update"):
    """What changed since the revision that the client had."""

    group: str
    revision: int
    time: float
    rows: list[list[Any]]
    series: list[list[Any]] | UnsetType = UNSET
    late: list[list[Any]] | UnsetType = UNSET
    devices: list[list[Any]] | UnsetType = UNSET


class Reset(Message, tag="reset"):
    group: str
    reason: Literal["gap", "changed", "forbidden", "gone"]


FROM_DEVICE: dict[str, type[Message]] = {
    "hello": Hello,
    "data": Data,
    "result": Result,
    "applied": Applied,
    "ping": Ping,
}
TO_DEVICE: dict[str, type[Message]] = {
    "welcome": Welcome,
    "ack": Ack,
    "flow": Flow,
    "pong": Pong,
    "error": Error,
    "bye": Bye,
}
FROM_BROWSER: dict[str, type[Message]] = {
    "hello": LiveHello,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "ack": LiveAck,
    "ping": Ping,
}
TO_BROWSER: dict[str, type[Message]] = {
    "welcome": LiveWelcome,
    "subscribed": Subscribed,
    "snapshot": Snapshot,
    "update": Update,
    "reset": Reset,
    "pong": Pong,
    "error": Error,
    "bye": Bye,
}
