"""A device in tests: one real WebSocket, and what the hub's database holds of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from django.db import connections
from django.db.utils import load_backend
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from telemetry.devices.models import Series
from telemetry.history.models import TextReading
from telemetry.history.queries.query import read_sync

JSON = "hub.v1.json"
MSGPACK = "hub.v1.msgpack"
# Far longer than anything here takes: only a hub that hangs meets it.
PATIENCE_SECONDS = 20.0
FOR_EVER_US = 1 << 61

Message = dict[str, Any]


class Device:
    """One socket on `/ws/device`. Every receive fails the test rather than hang."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        subprotocols: Sequence[str] = (JSON,),
        path: str = "/ws/device",
        **options: Any,
    ) -> None:
        if key is not None:
            options["additional_headers"] = {"Authorization": f"Bearer {key}"}
        open_socket: Any = connect  # Its overloads do not fit options.
        self.socket: ClientConnection = open_socket(
            f"ws{url.removeprefix('http')}{path}",
            subprotocols=list(subprotocols) or None,
            compression=None,
            max_size=None,
            legacy=True,  # Not a context manager: this class is one.
            proxy=None,
            open_timeout=PATIENCE_SECONDS,
            close_timeout=2,
            **options,
        )
        self.is_binary = self.socket.subprotocol == MSGPACK

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *args: object) -> None:
        self.socket.close()

    def send(self, **message: Any) -> None:
        """One message in the socket's coding."""
        self.send_raw(self.encoded(message))

    def send_raw(self, frame: str | bytes) -> None:
        self.socket.send(frame)

    def encoded(self, message: Message) -> str | bytes:
        if self.is_binary:
            return msgspec.msgpack.encode(message)
        return json.dumps(message, ensure_ascii=False)

    def receive(self, seconds: float = PATIENCE_SECONDS) -> Message:
        """The next message. Raises ConnectionClosed, or TimeoutError.

        `flow` is left out: on a busy machine a slow commit may bring it any time.
        """
        decode: Any = msgspec.msgpack.decode if self.is_binary else json.loads
        while True:
            frame = self.socket.recv(timeout=seconds)
            assert isinstance(frame, bytes) is self.is_binary
            message = decode(frame)
            assert isinstance(message, dict) and isinstance(message["type"], str)
            if message["type"] != "flow":
                return message

    def ask(self, **message: Any) -> Message:
        """Send, and the next message."""
        self.send(**message)
        return self.receive()

    def hello(self, session: str | None = None, **fields: Any) -> Message:
        """Say hello; returns the welcome."""
        if session is not None:
            fields["session"] = session
        welcome = self.ask(type="hello", **fields)
        assert welcome["type"] == "welcome", welcome
        return welcome

    def data(self, seq: int | None = None, /, **fields: Any) -> None:
        """Send a `data` message."""
        number = {} if seq is None else {"seq": seq}
        self.send(type="data", **number, **fields)

    def acked(self, seq: int) -> Message:
        """The ack that covers `seq`; earlier ones are skipped: they are cumulative."""
        while True:
            message = self.receive()
            assert message["type"] == "ack", message
            assert message["seq"] <= seq, message
            if message["seq"] == seq:
                return message

    def error(self) -> Message:
        """The next message, which is an error that says what was expected."""
        message = self.receive()
        assert message["type"] == "error", message
        assert "expected" in message["message"].lower(), message
        assert len(message["message"]) < 500, message
        return message

    def ended(self) -> tuple[int, list[Message]]:
        """The close code, and all that came before it."""
        messages: list[Message] = []
        until = time.monotonic() + PATIENCE_SECONDS
        try:
            while time.monotonic() < until:
                messages.append(self.receive())
        except ConnectionClosed as closed:
            return (closed.rcvd.code if closed.rcvd else 1006), messages
        raise AssertionError("the socket stayed open")

    def is_sent_away(self, code: int) -> list[Message]:
        """Assert `bye` and a close with `code`; what came before the bye."""
        came, messages = self.ended()
        assert came == code, (came, messages)
        assert messages, "closed without a bye"
        bye = messages.pop()
        assert bye["type"] == "bye" and bye["code"] == code, bye
        assert bye["reason"] and bye["after_ms"] >= 0
        return messages

    def says_nothing(self, seconds: float = 0.5) -> None:
        """Assert that no message comes for this long."""
        try:
            message = self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(message)

    def is_alive(self) -> None:
        """Assert that the hub answers, and has nothing else to say."""
        echo = time.monotonic_ns()
        pong = self.ask(type="ping", echo=echo)
        assert (pong["type"], pong.get("echo")) == ("pong", echo), pong


Stored = dict[str, list[tuple[int, float | str]]]


def stored(data_dir: Path, slug: str) -> Stored:
    """All readings of a device in a hub's database: by metric, (time µs, value)."""
    found: Stored = in_database(data_dir, lambda: _stored(slug))
    return found


def in_database(data_dir: Path, work: Callable[[], Any]) -> Any:
    """`work()` with a hub's database as the default one."""

    # Connections are a thread's own: there, the hub's database is the default one.
    def run() -> Any:
        connections["default"] = connection = _connection(data_dir)
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(run).result()


def _stored(slug: str) -> Stored:
    series = Series.objects.filter(device__slug=slug)
    names = dict(series.values_list("id", "name"))
    numbers = read_sync(names, -FOR_EVER_US, FOR_EVER_US)
    texts: dict[int, list[tuple[int, str]]] = {}
    rows = TextReading.objects.filter(series_id__in=names).order_by("time_us", "id")
    # A reading is (series, time, value): a repeat is the same one.
    for pk, time_us, text in rows.values_list("series_id", "time_us", "value"):
        if (time_us, text) not in texts.setdefault(pk, []):
            texts[pk].append((time_us, text))
    readings: Stored = {}
    for pk, name in names.items():
        times_us, values = numbers[pk]
        both = [
            *zip(times_us.tolist(), values.tolist(), strict=True),
            *texts.get(pk, []),
        ]
        if both:
            readings[name] = both
    return readings


def _connection(data_dir: Path) -> Any:
    settings = dict(connections.settings["default"])
    settings["NAME"] = str(data_dir / "hub.sqlite3")
    return load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "default")
