"""A device's socket up to its readings: whose it is, and where its session stands.

Key, `hello` and `welcome`, and what the door may do with the socket at any time.
The readings themselves are `consumers.py`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from msgspec import UNSET

from .. import counters
from ..bus.socket import HubSocket, error_message, size_of
from ..devices.entries import DeviceEntry, SeriesWanted
from ..history.journal import Mark, SessionKey
from ..protocol import clock, close_codes
from ..protocol.codec import JSON, Frame, choose_coding, decode_from_device
from ..protocol.errors import (
    BadRequest,
    Conflict,
    ProtocolError,
    TooLarge,
    Unauthorized,
)
from ..protocol.limits import Limits
from ..protocol.messages import Flow, Hello, MetricHint, Ping, Pong, Welcome
from ..protocol.names import SESSION_CHARACTERS, is_metric_name, key_prefix
from .door import Door, door_of
from .rate import TokenBucket

# A client that sends nothing but garbage is told so this often, then closed.
MOST_ERRORS = 100
# A device's clock is measured over this long.
SKEW_SECONDS = 30.0
# A device whose readings could not be taken comes again within this time.
AGAIN_AFTER_MS = 15_000
# No `ping` worth answering out of turn is longer.
PING_BYTES = 256
T = TypeVar("T")


class SessionSocket(HubSocket):
    """The socket of one device, which shows its key and says `hello`."""

    __slots__ = (
        *("door", "limits", "device", "prefix", "ticket", "address", "coding"),
        *("has_hello", "is_greeted", "is_at_the_door", "bucket", "session"),
        *("offset_us", "acked", "submitted", "errors", "hints"),
        *("ahead_us", "ahead_until", "heard_at", "deadline"),
    )
    door: Door
    limits: Limits

    async def opened(self) -> None:
        self.door = door_of(self.scope)
        self.limits = self.door.limits
        self.device: DeviceEntry | None = None
        self.prefix = ""
        self.ticket = 0
        self.address = client_address(self.scope)
        self.has_hello = False
        self.is_greeted = False
        self.is_at_the_door = False
        self.bucket: TokenBucket | None = None
        self.session: SessionKey | None = None
        self.offset_us: int | None = None
        self.acked = 0
        self.submitted = 0
        self.errors = 0
        self.hints: dict[str, MetricHint] = {}
        self.ahead_us: int | None = None
        self.ahead_until = 0.0
        now = self.loop.time()
        self.heard_at = now
        self.deadline: float | None = now + self.limits.credential_seconds
        offered = list(self.scope.get("subprotocols") or ())
        coding = choose_coding(offered)
        self.coding = coding or JSON
        await self.accept(
            subprotocol=coding.subprotocol if coding and offered else None
        )
        self.door.join(self)
        self.listen_for_round_trips(self._on_round_trip)
        if coding is None:
            self.bye(close_codes.NO_SUBPROTOCOL)
            return
        key = bearer_key(self.scope["headers"])
        # The server's own list: nobody needs it any more, and it holds the key.
        self.scope["headers"].clear()
        if key is not None:
            await self._authenticate(key)

    @property
    def _depth(self) -> int:
        return self.limits.json_depth

    # --- whose it is ------------------------------------------------------------

    async def _authenticate(self, key: str) -> None:
        """Find out whose the socket is, or tell it to go."""
        self.ticket = self.door.ticket()
        self.deadline = None  # It has shown a key; the rest is our time.
        try:
            device = await self.hold(self.door.authenticate(key, self.address))
        except ProtocolError as error:
            self.post_error(error)
            self.bye(error.close_code, after_ms=60_000 if error.retryable else 0)
            return
        if self.is_closing or not self.door.enter(self, device, self.address):
            return
        self.device = device
        self.prefix = key_prefix(key)
        self.bucket = self.door.bucket_of(device.id)

    async def _on_hello(self, hello: Hello, frame: Frame) -> None:
        size_bytes = size_of(frame)
        if size_bytes > self.limits.hello_bytes:
            raise TooLarge(
                f"expected a “hello” of at most {self.limits.hello_bytes} bytes, "
                f"got {size_bytes}"
            )
        if self.has_hello:
            raise Conflict("expected one “hello” a connection, got another")
        self._check_hello(hello)
        if self.device is None:
            if hello.key is None:
                raise Unauthorized("expected “key” in “hello” or in the handshake")
            await self._authenticate(hello.key)
        if self.device is not None and not self.is_closing:
            await self._greet(self.device, hello)

    async def _greet(self, device: DeviceEntry, hello: Hello) -> None:
        self.has_hello = True
        self.door.heard(device.id)
        self._check_names(hello)
        if hello.clock == "uptime" and self.door.gate.clock_behind_us:
            # The session's times would be anchored in the past for good.
            self.bye(close_codes.DRAINING, "the hub's clock is behind", AGAIN_AFTER_MS)
            return
        await self.hold(self._describe(device, hello))
        await self.hold(self._resume(device, hello))
        if not self.is_closing:
            self.post(self._welcome(device))
            self.is_greeted = True
            if self.door.window < self.limits.window:
                # `welcome` says how many may ever be un-acked; this asks for fewer.
                self.flow(self.door.window)

    def _check_hello(self, hello: Hello) -> None:
        session = hello.session
        if session is not None and not 1 <= len(session) <= SESSION_CHARACTERS:
            raise BadRequest(
                f"expected a “session” of 1 to {SESSION_CHARACTERS} characters, "
                f"got {len(session)}"
            )
        if session is not None and "\0" in session:
            raise BadRequest("expected a printable “session”, got a NUL in it")
        if hello.clock == "uptime" and hello.uptime is None:
            raise BadRequest("expected “uptime” with clock uptime, got none")
        if hello.uptime is not None and not 0 <= hello.uptime < 1e13:
            raise BadRequest(f"expected “uptime” in ms since boot, got {hello.uptime}")

    def _check_names(self, hello: Hello) -> None:
        for name in hello.metrics:
            if not is_metric_name(name):
                self.post_error(
                    BadRequest(f"expected the name of a metric, got {name[:64]!r}")
                )

    async def _describe(self, device: DeviceEntry, hello: Hello) -> None:
        """What the device says of its metrics; fills only what is empty.

        Where it did not say the kind, the first value makes the series.
        """
        self.hints = hello.metrics
        wanted = [
            SeriesWanted(name, hint.kind or "", hint.unit, hint.label)
            for name, hint in hello.metrics.items()
            if is_metric_name(name) and (hint.kind or name in device.series)
        ]
        if wanted:
            await self.door.new_series.make(device, wanted)
        if hello.firmware:
            await self.door.note_firmware(device, hello.firmware[:64])

    async def _resume(self, device: DeviceEntry, hello: Hello) -> None:
        """Where the session stands. Anything older of this device is on disk first."""
        mark: Mark | None = None
        if hello.session is not None:
            mark = await self.door.watermark(device.id, hello.session)
            self.session = (device.id, hello.session)
            self.acked = self.submitted = mark.last_seq if mark else 0
        if hello.clock == "uptime" and hello.uptime is not None:
            kept = mark.offset_us if mark else None
            self.offset_us = clock.anchor(hello.uptime, clock.now_us(), kept)

    def _welcome(self, device: DeviceEntry) -> Welcome:
        limits = self.limits
        has_rate = limits.device_rate > 0
        return Welcome(
            device=device.slug,
            time=clock.to_ms(clock.now_us()),
            acked=self.acked,
            window=limits.window,
            max_bytes=limits.message_bytes,
            max_rows=limits.batch_rows,
            heartbeat=limits.heartbeat_seconds,
            rate=[limits.device_rate, limits.device_burst] if has_rate else None,
        )

    # --- while it waits ---------------------------------------------------------

    def _on_ping(self, device: DeviceEntry, ping: Ping) -> None:
        self.door.heard(device.id)
        pong = Pong(time=clock.to_ms(clock.now_us()))
        if ping.echo is not UNSET:
            pong.echo = ping.echo
        self.post(pong)

    def _on_round_trip(self, seconds: float) -> None:
        if self.device is not None:
            self.door.tallies.of(self.device.id).took(seconds)

    async def hold(self, waiting: Awaitable[T]) -> T:
        try:
            return await super().hold(waiting)
        finally:
            # The silence was ours.
            self.heard_at = self.loop.time()

    async def _wait_at_the_door(self) -> None:
        """Wait until readings are let in."""
        self.is_at_the_door = True
        try:
            await self.hold(self.door.gate.admitted())
        finally:
            self.is_at_the_door = False

    def on_event_ahead(self, event: dict[str, Any]) -> bool:
        """A `ping` is answered at once: its sender wants to know that we live."""
        is_gone = event["type"] == "websocket.disconnect"
        if is_gone and self.is_at_the_door and self.door.gate.is_paused:
            # That may last for days, and the device is not online meanwhile. What
            # waits here was never acknowledged.
            if self.close_code is None:
                self.close_code = event.get("code")
            self.drop()
            return False
        frame = event.get("text") or event.get("bytes")
        if not frame or len(frame) > PING_BYTES or self.device is None:
            return False
        try:
            message = decode_from_device(self.coding, frame, self._depth)
        except ProtocolError:
            return False  # It gets its error in its turn.
        if isinstance(message, Ping):
            self._on_ping(self.device, message)
            return True
        return False

    def _measure_skew(self, newest_us: int) -> None:
        """The clock is ahead by the most that any recent reading was.

        A reading comes late by its way and its wait, never early.
        """
        ahead_us = newest_us - clock.now_us()
        if self.ahead_us is None or ahead_us > self.ahead_us:
            self.ahead_us = ahead_us

    def post_error(self, error: ProtocolError) -> None:
        """Tell of an error; garbage without end closes the socket."""
        self.errors += 1
        counters.ERRORS.labels(code=error.code).inc()
        self.post(error_message(error, error.seq))
        if self.errors >= MOST_ERRORS:
            self.bye(close_codes.BAD_REQUEST, "too many errors")

    # --- the door's side --------------------------------------------------------

    def flow(self, window: int) -> None:
        """Ask for a smaller or the full window."""
        if self.is_greeted:
            self.post(Flow(window=window))

    def check_deadline(self, now_seconds: float) -> None:
        """Close what is silent."""
        if self.ahead_us is not None and now_seconds > self.ahead_until:
            if self.device is not None:
                self.door.presence.measured(self.device.id, self.ahead_us / 1000)
            self.ahead_us = None
            self.ahead_until = now_seconds + SKEW_SECONDS
        if self.is_closing:
            return
        if self.deadline is not None:
            if now_seconds > self.deadline:
                self.deadline = None
                self.bye(close_codes.SILENT, "no key in time")
        elif (
            not self.is_held
            and now_seconds - self.heard_at > self.limits.silence_seconds
        ):
            self.bye(close_codes.SILENT)

    def closed(self) -> None:
        door = getattr(self, "door", None)
        if door is not None:
            door.leave(self, self.close_code)


def client_address(scope: Any) -> str:
    """The peer's address, as the server gives it."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def bearer_key(headers: Any) -> str | None:
    """The key of an `Authorization: Bearer` header, or None without that header."""
    for name, content in headers:
        if name == b"authorization":
            scheme, _, key = content.decode("latin-1").partition(" ")
            return key.strip() if scheme.lower() == "bearer" else ""
    return None
