"""Measures the link to a hub, as a device sees it: a client of `/ws/echo`.

Connects, sends short messages ten times a second, then a burst of long ones, and
times how they come back.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from ..protocol import close_codes
from ..protocol.codec import JSON
from ..protocol.errors import ProtocolError
from ..protocol.messages import TO_DEVICE, Bye, Error
from .link_figures import (
    BURST_MESSAGES,
    GUESS_BYTES,
    Figures,
    bits_per_second,
    burst_bytes,
    figures,
)

PATH = "/ws/echo"
# Whoever copies the address of another socket of the hub means the hub.
KNOWN_PATHS = ("", "/", "/ws/device", "/ws/live", PATH)
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
# Half of the hub's limit.
ROUND_TRIP_EVERY_SECONDS = 0.1
ROUND_TRIP_BYTES = 32
# What has not come back so long after the last one was sent does not count.
LATE_SECONDS = 5.0
BURST_SECONDS = 10.0
NUMBER_BYTES = 8
HUB_MESSAGE_DEPTH = 16


class LinkError(Exception):
    """The link cannot be measured; one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured. `ended`: why it is less than was asked for, if it is."""

    url: str
    connect_ms: float
    figures: Figures | None
    bits_per_second: float | None
    ended: str | None


def echo_url(address: str) -> str:
    """A hub's address (http, https, ws or wss) → that of its link check.

    Raises ValueError for anything else.
    """
    try:
        parts = urlsplit(address)
        scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}[parts.scheme]
        is_good = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except (KeyError, ValueError):
        is_good = False
    if not is_good or parts.path not in KNOWN_PATHS or parts.query or parts.fragment:
        raise ValueError(
            "expected the address of a hub, such as https://hub.example.org or "
            f"ws://127.0.0.1:8000, got “{address[:200]}”"
        )
    return urlunsplit((scheme, parts.netloc, PATH, "", ""))


async def check_link(
    url: str,
    key: str,
    seconds: float,
    *,
    ca_file: str | None = None,
    on_round_trip: Callable[[float], None] = lambda ms: None,
) -> Result:
    """Measure for about `seconds`, and a moment more for the data rate.

    url: as `echo_url` gives it. Raises LinkError where nothing could be measured.
    """
    started = time.perf_counter()
    connection = await _open(url, key, ca_file)
    try:
        link = _Link(connection, _ms_since(started), on_round_trip)
        return await link.measure(url, seconds)
    finally:
        await connection.close()


async def _open(url: str, key: str, ca_file: str | None) -> ClientConnection:
    parts = urlsplit(url)
    options: dict[str, Any] = {}
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        # A proxy of the environment knows nothing of this machine's loopback.
        options["proxy"] = None
    try:
        if parts.scheme == "wss":
            options["ssl"] = ssl.create_default_context(cafile=ca_file)
        return await connect(
            url,
            additional_headers={"Authorization": f"Bearer {key}"},
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            user_agent_header=None,
            **options,
        )
    except (OSError, WebSocketException, UnicodeError) as error:
        raise LinkError(_why_not_open(error, parts, ca_file)) from None


def _why_not_open(error: Exception, parts: SplitResult, ca_file: str | None) -> str:
    """One sentence about a connection that could not be made."""
    at = parts.netloc
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        hint = "" if ca_file else "; name its PEM file with --ca if it is the hub's own"
        return f"expected a certificate that is trusted at {at}, got: {why}{hint}"
    if isinstance(error, ssl.SSLError):
        return (
            f"expected TLS at {at}, got something else ({error.reason or error}); "
            "is it ws:// there?"
        )
    if isinstance(error, (socket.gaierror, UnicodeError, InvalidURI)):
        return f"expected the name of a machine, got none that is known: {at}"
    if isinstance(error, TimeoutError):
        return f"expected an answer of {at} within {OPEN_SECONDS:.0f} s, got none"
    if isinstance(error, ConnectionRefusedError):
        return f"expected a hub at {at}, got refused: nothing listens there"
    if isinstance(error, InvalidStatus):
        return (
            f"expected a hub at {at}, got HTTP {error.response.status_code} from "
            "something that has no link check"
        )
    if isinstance(error, InvalidHandshake):
        hint = "; is it wss:// there?" if parts.scheme == "ws" else ""
        return f"expected a WebSocket at {at}, got another answer{hint}"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"expected a connection to {at}, got: {reason}"


class _Link:
    """One open link check: numbers its messages and times their return."""

    def __init__(
        self,
        connection: ClientConnection,
        connect_ms: float,
        on_round_trip: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._connect_ms = connect_ms
        self._on_round_trip = on_round_trip
        self._number = 0
        self._payload = os.urandom(65_536)  # Nothing on the way can shorten it.
        # What is on its way, by number: when it was sent, and what waits for it.
        self._sent: dict[int, tuple[float, bytes, asyncio.Future[float]]] = {}
        self._bye: Bye | None = None
        self._error: str | None = None
        self._ended: str | None = None

    async def measure(self, url: str, seconds: float) -> Result:
        reading = asyncio.ensure_future(self._read())
        try:
            # The hub looks up the key before it echoes anything: that is no round trip.
            first = await self._send(ROUND_TRIP_BYTES)
            is_there = bool(await self._back([first], LATE_SECONDS))
            round_trips = await self._measure_round_trips(seconds) if is_there else []
            found = figures(round_trips)
            rate = None
            if found is not None and self._ended is None:
                rate = await self._measure_rate(found.p50_ms)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if found is None:
            raise LinkError(
                self._ended
                or "expected a message to come back within "
                f"{LATE_SECONDS:g} s, got none"
            )
        return Result(url, self._connect_ms, found, rate, self._ended)

    async def _measure_round_trips(self, seconds: float) -> list[float]:
        started = time.perf_counter()
        waiting: list[asyncio.Future[float]] = []
        for at in range(max(1, round(seconds / ROUND_TRIP_EVERY_SECONDS))):
            due = started + at * ROUND_TRIP_EVERY_SECONDS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if self._ended is not None:
                break
            future = await self._send(ROUND_TRIP_BYTES)
            future.add_done_callback(self._tell)
            waiting.append(future)
        back = await self._back(waiting, LATE_SECONDS)
        if self._ended is None and len(back) < len(waiting):
            self._ended = (
                f"expected {len(waiting)} messages to come back, got {len(back)} "
                f"within {LATE_SECONDS:g} s"
            )
        return back

    def _tell(self, future: asyncio.Future[float]) -> None:
        if not future.cancelled():
            self._on_round_trip(future.result())

    async def _measure_rate(self, p50_ms: float) -> float | None:
        """Bits a second of a burst, there and back at once; None: too few came back."""
        guess = await self._back([await self._send(GUESS_BYTES)], BURST_SECONDS)
        if not guess:
            return None
        size_bytes = burst_bytes(guess[0], p50_ms)
        started = time.perf_counter()
        burst = [await self._send(size_bytes) for _ in range(BURST_MESSAGES)]
        last = 0.0

        def note(future: asyncio.Future[float]) -> None:
            nonlocal last
            last = _ms_since(started)

        for future in burst:
            future.add_done_callback(note)
        count = len(await self._back(burst, BURST_SECONDS))
        # Of one or two the round trip is most of the time.
        return bits_per_second(count * size_bytes, last) if count > 2 else None

    async def _back(
        self, waiting: list[asyncio.Future[float]], seconds: float
    ) -> list[float]:
        """Milliseconds of those that come back in time, in the order of sending."""
        if waiting and self._ended is None:
            await asyncio.wait(waiting, timeout=seconds)
        return [
            each.result() for each in waiting if each.done() and not each.cancelled()
        ]

    async def _send(self, size_bytes: int) -> asyncio.Future[float]:
        self._number += 1
        number = self._number.to_bytes(NUMBER_BYTES, "big")
        frame = number + self._payload[: size_bytes - NUMBER_BYTES]
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._sent[self._number] = (time.perf_counter(), frame, future)
        try:
            await self._connection.send(frame)
        except ConnectionClosed:
            future.cancel()  # The reader knows why.
        return future

    async def _read(self) -> None:
        try:
            async for frame in self._connection:
                if isinstance(frame, str):
                    self._hear(frame)
                elif not self._take(frame):
                    self._ended = "expected what was sent to come back, got another"
                    return
            self._ended = self._why_closed()
        except ConnectionClosed:
            self._ended = self._why_closed()
        finally:
            for _, _, future in self._sent.values():
                future.cancel()

    def _take(self, frame: bytes) -> bool:
        """Note what came back; False: nothing like it was sent."""
        number = int.from_bytes(frame[:NUMBER_BYTES], "big")
        sent_at, expected, future = self._sent.pop(number, (0.0, b"", None))
        if future is None or frame != expected:
            return False
        if not future.done():
            future.set_result(_ms_since(sent_at))
        return True

    def _hear(self, frame: str) -> None:
        """The hub's own word: what is wrong, and goodbye."""
        try:
            message = JSON.decode(frame, TO_DEVICE, HUB_MESSAGE_DEPTH)
        except ProtocolError:
            return
        if isinstance(message, Bye):
            self._bye = message
        elif isinstance(message, Error):
            self._error = message.message

    def _why_closed(self) -> str:
        code = self._connection.close_code or 1006
        reasons = {
            close_codes.UNAUTHORIZED: "the hub does not know this key",
            close_codes.FORBIDDEN: "the device of this key is disabled or deleted",
            close_codes.NOT_FOUND: "the hub has no link check; is it an older one?",
        }
        said = self._error or (self._bye.reason if self._bye else "")
        reason = reasons.get(code) or said or self._connection.close_reason
        return f"the connection was closed ({code}): {reason or 'no reason was given'}"


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
