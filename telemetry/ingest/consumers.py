"""`/ws/device`: one device's socket.

Whatever a device does wrong ends here: it gets an `error`, a rejection or a close
code, and nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from msgspec import UNSET

from .. import counters
from ..bus.socket import HubSocket, error_message, size_of
from ..devices.entries import DeviceEntry, SeriesWanted
from ..history.journal import Mark, SessionKey
from ..protocol import clock, close_codes
from ..protocol.codec import (
    JSON,
    Frame,
    PlainData,
    Unreadable,
    choose_coding,
    decode_from_device,
)
from ..protocol.errors import (
    BadRequest,
    Conflict,
    ProtocolError,
    TooLarge,
    Unauthorized,
    Unsupported,
    quoted,
)
from ..protocol.limits import Limits
from ..protocol.messages import (
    Ack,
    Data,
    Flow,
    Hello,
    Message,
    MetricHint,
    Ping,
    Pong,
    Rejection,
    Welcome,
)
from ..protocol.names import SESSION_CHARACTERS, is_metric_name, key_prefix
from . import batch as batches
from .batch import Batch, NotPlain, Refusals, Timing
from .door import Door, count_refused, door_of
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


class DeviceConsumer(HubSocket):
    """A device's socket, from its key to its last acknowledgement."""

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
        self.bucket: TokenBucket | None = None
        self.session: SessionKey | None = None
        self.offset_us: int | None = None
        self.acked = 0
        self.submitted = 0
        self.unacked: deque[int] = deque()
        self.refusals: deque[tuple[int, Refusals]] = deque()
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
        if coding is None:
            self.bye(close_codes.NO_SUBPROTOCOL)
            return
        key = bearer_key(self.scope["headers"])
        if key is not None:
            await self._authenticate(key)

    async def on_frame(self, frame: Frame) -> None:
        self.heard_at = self.loop.time()
        most = self.limits.message_bytes
        if self.device is None:
            # Nobody knows whose it is: nothing but a `hello` is worth decoding.
            most = min(most, self.limits.hello_bytes)
        if len(frame) > most // 4:
            self._check_size(frame, most)
            if self.is_closing:
                return
        if isinstance(frame, bytes) is self.coding.is_binary:
            plain = self.coding.decode_plain(frame)
            if plain is not None and self.device is not None:
                await self._on_data(self.device, plain, frame)
                return
        await self._on_message(
            decode_from_device(self.coding, frame, self._depth), frame
        )

    @property
    def _depth(self) -> int:
        return self.limits.json_depth

    def _check_size(self, frame: Frame, most: int) -> None:
        size = size_of(frame)
        if size > most:
            self.post_error(
                TooLarge(f"expected a message of at most {most} bytes, got {size}")
            )
            self.bye(close_codes.TOO_LARGE)

    async def _on_message(self, message: Message, frame: Frame) -> None:
        if isinstance(message, Hello):
            await self._on_hello(message, frame)
        elif self.device is None:
            raise Unauthorized(
                "expected “hello” with a “key” first, got another message"
            )
        elif isinstance(message, Data):
            await self._on_data(self.device, message, frame)
        elif isinstance(message, Ping):
            self._on_ping(self.device, message)
        else:
            raise Unsupported(
                "expected no answer to commands and configurations: this hub does not "
                "send them yet"
            )

    def _on_ping(self, device: DeviceEntry, ping: Ping) -> None:
        self.door.heard(device.id)
        pong = Pong(time=clock.to_ms(clock.now_us()))
        if ping.echo is not UNSET:
            pong.echo = ping.echo
        self.post(pong)

    # --- hello ------------------------------------------------------------------

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
        if hello.clock == "uptime" and self.door.clock_behind_us:
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
            await self.door.make_series(device, wanted)
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

    # --- data -------------------------------------------------------------------

    async def _on_data(
        self, device: DeviceEntry, message: PlainData | Data, frame: Frame
    ) -> None:
        self.door.heard(device.id)
        seq = message.seq
        if seq is not None and not self._is_new(seq):
            return
        batches.check_shape(message, self.limits)
        await self._wait_for_the_turn()
        batch = await self._batch_of(device, message, frame)
        refused = batch.refused
        if refused is not None and batches.BAD_TIME in refused.reasons:
            # It may be the hub's clock that is wrong, since less than a second.
            self.door.check_clock()
            if self.door.clock_behind_us:
                await self.hold(self.door.admitted())
                batch = await self._batch_of(device, message, frame)
        if self.offset_us is None and len(batch.times_us):
            self._measure_skew(int(batch.times_us[-1]))
        if not (self.is_closing or self.door.is_draining):
            self._submit(device, batch, seq)
            if self.bucket is not None:
                # What is refused has cost as much as what is stored.
                count = len(batch) + (refused.count if refused else 0)
                self.bucket.take(count, self.loop.time())

    async def _wait_for_the_turn(self) -> None:
        """Wait until the door is open and what came before is within the rate.

        The debt is the device's, not the socket's: a new connection waits as well.
        """
        if self.bucket is not None:
            wait_seconds = self.bucket.take(0, self.loop.time())
            if wait_seconds:
                await self.hold(asyncio.sleep(wait_seconds))
        if self.door.why_closed is not None:
            await self.hold(self.door.admitted())

    def _is_new(self, seq: int) -> bool:
        """Whether a batch of this number is to be stored; else it is answered here."""
        if self.session is None:
            raise BadRequest(
                "expected a “hello” that names a “session” before “seq”, got none"
            )
        if seq <= self.acked and seq >= 1:
            self.post(Ack(seq=self.acked))
            return False
        if 1 <= seq <= self.submitted:
            return False  # On its way; its ack comes.
        if len(self.unacked) >= self.limits.window:
            self.bye(close_codes.WINDOW, after_ms=30_000)
            return False
        return True

    def _measure_skew(self, newest_us: int) -> None:
        """The clock is ahead by the most that any recent reading was.

        A reading comes late by its way and its wait, never early.
        """
        ahead_us = newest_us - clock.now_us()
        if self.ahead_us is None or ahead_us > self.ahead_us:
            self.ahead_us = ahead_us

    async def _batch_of(
        self, device: DeviceEntry, message: PlainData | Data, frame: Frame
    ) -> Batch:
        # Series must not be made on the loop, and may not be allowed at all.
        missing = batches.missing_metrics(message, device.series)
        if missing:
            await self.hold(
                self.door.ensure_series(device, message, missing, self.hints)
            )
        timing = self._timing(device)
        if isinstance(message, PlainData):
            try:
                return batches.plain_batch(message, device.series, timing)
            except NotPlain:
                # It was a good `data` a moment ago.
                again = decode_from_device(self.coding, frame, self._depth)
                message = cast(Data, again)
        return batches.detailed_batch(
            message, device.series, timing, self.limits.text_characters
        )

    def _timing(self, device: DeviceEntry) -> Timing:
        now = clock.now_us()
        return Timing(
            now_us=now,
            stamp_us=self.door.stamp_us(device.id, now),
            offset_us=self.offset_us or 0,
            future_seconds=self.limits.future_seconds,
        )

    def _submit(self, device: DeviceEntry, batch: Batch, seq: int | None) -> None:
        refused = batch.refused
        if refused is not None and refused.count:
            count_refused(refused)
        if len(batch):
            self.errors = 0  # It is not nothing but garbage.
        if seq is None or self.session is None:
            if len(batch):
                self.door.pipeline.submit(batch, self)
            if refused is not None and refused.count:
                self._tell_refused(refused)
            return
        if seq > self.submitted + 1:
            counters.SEQ_HOLES.inc(seq - self.submitted - 1)
        self.submitted = seq
        self.unacked.append(seq)
        if refused is not None and refused.count:
            self.refusals.append((seq, refused))
        mark = Mark(seq, self.offset_us)
        self.door.pipeline.submit(batch, self, seq, self.session, mark)

    def _tell_refused(self, refused: Refusals) -> None:
        """Without `seq` there is no `ack`: the first reason goes as an error."""
        first = refused.listed[0]
        error = BadRequest(
            f"expected readings that can be stored, got {refused.count} that "
            f"cannot; the first, of {quoted(first['metric'])}: {first['reason']}"
        )
        # Not garbage: it does not count towards the end of the socket.
        self.post(error_message(error))

    async def hold(self, waiting: Awaitable[T]) -> T:
        try:
            return await super().hold(waiting)
        finally:
            # The silence was ours.
            self.heard_at = self.loop.time()

    def on_event_ahead(self, event: dict[str, Any]) -> bool:
        """A `ping` is answered at once: its sender wants to know that we live."""
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

    # --- what became of it (Sender) ---------------------------------------------

    def committed(self, seq: int | None) -> None:
        if seq is None:
            return
        self.acked = seq
        unacked = self.unacked
        while unacked and unacked[0] <= seq:
            unacked.popleft()
        self.post(Ack(seq=seq) if not self.refusals else self._ack_with_refusals(seq))

    def _ack_with_refusals(self, seq: int) -> Ack:
        listed: list[Rejection] = []
        count = 0
        while self.refusals and self.refusals[0][0] <= seq:
            refused = self.refusals.popleft()[1]
            listed.extend(refused.listed)
            count += refused.count
        if not count:
            return Ack(seq=seq)
        listed = listed[: batches.LISTED_REJECTIONS]
        return Ack(seq=seq, rejected=listed, rejected_count=count)

    def refused(self, seq: int | None, reason: str) -> None:
        refusals = Refusals()
        refusals.add(seq, None, None, reason)
        counters.REJECTED.labels(reason=reason).inc()
        if seq is not None:
            self.refusals.append((seq, refusals))

    def gave_up(self) -> None:
        self.bye(close_codes.DRAINING, "not stored; send again", AGAIN_AFTER_MS)

    # --- what is wrong ----------------------------------------------------------

    def on_error(self, error: ProtocolError) -> None:
        if isinstance(error, Unauthorized) and self.device is None:
            self.post_error(error)
            self.bye(close_codes.UNAUTHORIZED)
            return
        has_seq = self.session is not None and error.seq is not None and error.seq >= 1
        if has_seq and self.device is not None:
            self._refuse_batch(self.device, error)
            return
        self.post_error(error)
        is_hole = isinstance(error, Unreadable) and error.may_be_data
        if self.session is not None and is_hole and error.seq is None:
            self.bye(close_codes.BAD_REQUEST)

    def _refuse_batch(self, device: DeviceEntry, error: ProtocolError) -> None:
        """A batch whose number can be read but not its content: done, refused."""
        seq = error.seq
        # While the hub drains, good batches before this one may have been left out:
        # an ack of this one would cover them.
        if self.is_closing or self.door.is_draining:
            return
        if seq is None or not self._is_new(seq):
            return
        if isinstance(error, Unsupported):
            self.post_error(error)
        refused = Refusals()
        refused.add(seq, None, None, batches.BAD_REQUEST)
        self._submit(device, Batch([], [], [], refused=refused), seq)

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
