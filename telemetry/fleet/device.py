"""A device in software: one session with a hub, kept up across connections.

Follows the hub's protocol to the letter (`docs/reference/protocol.md`): what was
handed to `send` is delivered once, or the device says why it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from ..protocol.codec import JSON, Coding
from ..protocol.errors import ProtocolError
from ..protocol.messages import (
    TO_DEVICE,
    Ack,
    Bye,
    Data,
    Error,
    Flow,
    Hello,
    Message,
    MetricHint,
    Ping,
    Welcome,
)
from .backoff import ABNORMAL, Action, Backoff, Ending
from .batch import Batch
from .outbox import Outbox, Sent

DEVICE_PATH = "/ws/device"
# Hub messages nest three deep; this is only a bound.
HUB_MESSAGE_DEPTH = 16
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
# A hub answers `hello` only when the commits of an older socket have ended.
WELCOME_SECONDS = 60.0
# Ping before the heartbeat is over, so that the ping itself arrives in time.
IDLE_PART = 0.8
# Silence after a ping, in heartbeats, before the connection counts as dead.
DEAF_HEARTBEATS = 2.0


class Stopped(Exception):
    """The device gave up; says why."""


class Observer(Protocol):
    """Is told what happens to a device's batches, on the event loop."""

    def sent(self, device: Device, sent: Sent) -> None: ...
    def acked(self, device: Device, sent: Sent, seconds: float) -> None: ...
    def rejected(self, device: Device, ack: Ack) -> None: ...
    def connected(self, device: Device) -> None: ...
    def disconnected(self, device: Device, ending: Ending) -> None: ...
    def error(self, device: Device, message: str) -> None: ...


class Silent:
    """An observer that does nothing; subclass it and override what matters."""

    def sent(self, device: Device, sent: Sent) -> None:
        pass

    def acked(self, device: Device, sent: Sent, seconds: float) -> None:
        pass

    def rejected(self, device: Device, ack: Ack) -> None:
        pass

    def connected(self, device: Device) -> None:
        pass

    def disconnected(self, device: Device, ending: Ending) -> None:
        pass

    def error(self, device: Device, message: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Account:
    """Where a device connects and as whom. The key is never shown."""

    url: str
    slug: str
    key: str = field(repr=False)
    # For wss: a CA file beside the system's, for a hub with a certificate of its own.
    ca_file: str | None = None


def device_url(address: str) -> str:
    """A hub's address → its device socket's: http(s) or ws(s), with or without path.

    Raises ValueError for anything else.
    """
    parts = urlsplit(address)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError(
            f"expected an address such as ws://127.0.0.1:8000, got “{address[:200]}”"
        )
    path = parts.path if parts.path not in ("", "/") else DEVICE_PATH
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


class Device:
    """One device. `run` keeps it connected; `send` hands it batches.

    capacity: batches held before `send` waits, so memory is bounded.
    metrics: unit, label and kind by name, for `hello`.
    is_patient: after a refusal try again once an hour instead of giving up.
    """

    def __init__(
        self,
        account: Account,
        *,
        metrics: Mapping[str, MetricHint] | None = None,
        observer: Observer | None = None,
        coding: Coding = JSON,
        capacity: int = 64,
        firmware: str | None = None,
        rng: random.Random | None = None,
        is_patient: bool = False,
    ) -> None:
        self.account = account
        self.session = secrets.token_urlsafe(12)
        self.observer: Observer = observer or Silent()
        self.outbox = Outbox(capacity, self._encode)
        self.stopped: str | None = None
        # The close code that stopped it, if one did.
        self.stopped_code: int | None = None
        self._metrics = dict(metrics or {})
        self._firmware = firmware
        self._is_patient = is_patient
        self._coding = coding
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._backoff = Backoff(self._rng)
        # One thing changed that somebody waits for: room, an ack, the end.
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._is_welcome = asyncio.Event()
        self._bye: Bye | None = None
        self._interval_seconds = 0.0
        self._heartbeat_seconds = 30.0
        self._heard_at = 0.0
        self._sent_at = 0.0
        self._fault_wait_seconds: float | None = None
        # Connections left open behind a newer one, and what will close them.
        self._abandoned: set[ClientConnection] = set()
        self._closers: set[asyncio.Task[None]] = set()

    @property
    def slug(self) -> str:
        return self.account.slug

    @property
    def is_connected(self) -> bool:
        return self._is_welcome.is_set()

    # --- what the owner calls -----------------------------------------------------

    async def run(self) -> None:
        """Connect, and again after each loss, until `close` or a refusal.

        A refusal (wrong key, disabled) ends it: `stopped` says why.
        """
        try:
            while not self._closing.is_set():
                ending = await self._connection()
                if self._closing.is_set():
                    return
                if not await self._wait_after(ending):
                    return
        finally:
            self.stopped = self.stopped or "closed"
            await self._announce()

    async def send(self, batch: Batch) -> None:
        """Hand over a batch; waits while the device holds its capacity.

        Raises Stopped when the device has given up.
        """
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.stopped is not None or not self.outbox.is_full
            )
        self._raise_if_stopped()
        self.outbox.put(batch)
        self._wake.set()

    async def drained(self) -> None:
        """Wait until all that was sent is acked. Raises Stopped."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.stopped is not None or not len(self.outbox)
            )
        if len(self.outbox):
            self._raise_if_stopped()

    async def welcomed(self) -> None:
        """Wait for the first `welcome` of the hub. Raises Stopped."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.stopped is not None or self.is_connected
            )
        self._raise_if_stopped()

    async def close(self) -> None:
        """End `run`; what is not acked stays in the outbox."""
        self._closing.set()
        for closer in tuple(self._closers):
            closer.cancel()
        if self._socket is not None:
            await self._socket.close()

    # --- faults, for chaos --------------------------------------------------------

    def drop(self, wait_seconds: float, *, reset: bool) -> bool:
        """Lose the connection without a close frame; `reset` by a TCP reset."""
        connection = self._take_for_fault(wait_seconds)
        if connection is None:
            return False
        if reset:
            linger_zero(connection)
        connection.transport.abort()
        return True

    async def hang_up(self, wait_seconds: float) -> bool:
        """Close politely in the middle of everything, and come back."""
        connection = self._take_for_fault(wait_seconds)
        if connection is None:
            return False
        await connection.close(code=1001)
        return True

    def overlap(self, seconds: float) -> bool:
        """Connect again while the old connection stays open, as behind a dead NAT."""
        connection = self._take_for_fault(0.0)
        if connection is None:
            return False
        self._abandoned.add(connection)
        closer = asyncio.ensure_future(self._close_later(connection, seconds))
        self._closers.add(closer)
        closer.add_done_callback(self._closers.discard)
        self._wake.set()
        return True

    async def _close_later(self, connection: ClientConnection, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            await connection.close()
        finally:
            self._abandoned.discard(connection)

    async def repeat(self, sent: Sent) -> None:
        """Send a batch again as it was, acked or not."""
        if self._socket is not None and self.is_connected:
            frame = self._encode(sent.batch.message(sent.seq))
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(frame)

    def _take_for_fault(self, wait_seconds: float) -> ClientConnection | None:
        if self._socket is None or not self.is_connected:
            return None
        self._fault_wait_seconds = wait_seconds
        return self._socket

    # --- one connection -----------------------------------------------------------

    async def _connection(self) -> Ending:
        self._is_welcome.clear()
        self._bye = None
        try:
            connection = await self._open()
        except (OSError, asyncio.TimeoutError, InvalidHandshake) as error:
            self.observer.error(self, f"cannot connect: {error}"[:300])
            return Ending(ABNORMAL)
        self._socket = connection
        opened_at = time.monotonic()
        self._heard_at = self._sent_at = opened_at
        try:
            await self._converse(connection)
        finally:
            self._socket = None
            self._is_welcome.clear()
        ending = Ending(
            connection.close_code or ABNORMAL,
            self._bye.after_ms if self._bye else None,
            time.monotonic() - opened_at,
        )
        self.observer.disconnected(self, ending)
        return ending

    async def _open(self) -> ClientConnection:
        host = urlsplit(self.account.url).hostname or ""
        options: dict[str, Any] = {}
        if self.account.url.startswith("wss:"):
            options["ssl"] = ssl.create_default_context(cafile=self.account.ca_file)
        if host in ("localhost", "::1") or host.startswith("127."):
            # A proxy of the environment knows nothing of this machine's loopback.
            options["proxy"] = None
        return await connect(
            self.account.url,
            additional_headers={"Authorization": f"Bearer {self.account.key}"},
            subprotocols=[self._coding.subprotocol],  # type: ignore[list-item]
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            user_agent_header=None,
            **options,
        )

    async def _converse(self, connection: ClientConnection) -> None:
        """Read and write until the connection is over, whoever ended it."""
        await self._transmit(
            connection,
            Hello(session=self.session, metrics=self._metrics, firmware=self._firmware),
        )
        tasks = [
            asyncio.ensure_future(self._read(connection)),
            asyncio.ensure_future(self._write(connection)),
            asyncio.ensure_future(self._beat(connection)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if connection not in self._abandoned:
                # The writer may notice the end first; `bye` is still to be read.
                await asyncio.wait(tasks[:1], timeout=CLOSE_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            if connection not in self._abandoned:
                connection.transport.abort()
        for result in results:
            if isinstance(result, Exception) and not isinstance(
                result, ConnectionClosed
            ):
                raise result

    async def _read(self, connection: ClientConnection) -> None:
        async for frame in connection:
            self._heard_at = time.monotonic()
            try:
                message = self._coding.decode(frame, TO_DEVICE, HUB_MESSAGE_DEPTH)
            except ProtocolError:
                # A message of a later version of the protocol: not for this device.
                continue
            await self._obey(message)

    async def _obey(self, message: Message) -> None:
        if isinstance(message, Ack):
            self._settle(self.outbox.ack(message.seq))
            if message.rejected or message.rejected_count:
                self.observer.rejected(self, message)
            await self._announce()
        elif isinstance(message, Welcome):
            self._settle(
                self.outbox.welcome(
                    message.acked, message.window, message.max_bytes, message.max_rows
                )
            )
            self._heartbeat_seconds = message.heartbeat
            self._interval_seconds = 0.0
            self._is_welcome.set()
            self.observer.connected(self)
            await self._announce()
        elif isinstance(message, Flow):
            self.outbox.flow(message.window)
            self._interval_seconds = message.interval_ms / 1000
        elif isinstance(message, Bye):
            self._bye = message
        elif isinstance(message, Error):
            self.observer.error(self, f"{message.code}: {message.message}"[:300])
        self._wake.set()

    def _settle(self, done: list[Sent]) -> None:
        if not done:
            return
        self._backoff.acked()
        now = time.monotonic()
        for sent in done:
            self.observer.acked(self, sent, now - sent.sent_at)

    async def _write(self, connection: ClientConnection) -> None:
        while True:
            if connection in self._abandoned:
                return
            due = self.outbox.next(time.monotonic()) if self.is_connected else None
            if due is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            sent, frame = due
            self.observer.sent(self, sent)
            self._sent_at = time.monotonic()
            await connection.send(frame)
            if self._interval_seconds:
                await asyncio.sleep(self._interval_seconds)

    async def _beat(self, connection: ClientConnection) -> None:
        """Say something each heartbeat; end the connection when nothing comes back."""
        try:
            await asyncio.wait_for(self._is_welcome.wait(), WELCOME_SECONDS)
        except asyncio.TimeoutError:
            connection.transport.abort()
            return
        pinged_at: float | None = None
        while True:
            idle = IDLE_PART * self._heartbeat_seconds
            deaf = DEAF_HEARTBEATS * self._heartbeat_seconds
            now = time.monotonic()
            if pinged_at is not None and self._heard_at >= pinged_at:
                pinged_at = None
            if pinged_at is not None and now - pinged_at >= deaf:
                connection.transport.abort()
                return
            if now - self._sent_at >= idle:
                await self._transmit(connection, Ping())
                pinged_at = pinged_at if pinged_at is not None else now
            ends = [self._sent_at + idle]
            if pinged_at is not None:
                ends.append(pinged_at + deaf)
            await asyncio.sleep(max(0.01, min(ends) - time.monotonic()))

    async def _transmit(self, connection: ClientConnection, message: Message) -> None:
        self._sent_at = time.monotonic()
        with contextlib.suppress(ConnectionClosed):
            await connection.send(self._coding.encode(message))

    # --- between connections ------------------------------------------------------

    async def _wait_after(self, ending: Ending) -> bool:
        """Wait as the close code asks. False: give up."""
        if self._fault_wait_seconds is not None:
            # A fault of our own says nothing about the hub.
            seconds, self._fault_wait_seconds = self._fault_wait_seconds, None
        else:
            decision = self._backoff.after(ending)
            if decision.action is Action.STOP or (
                decision.action is Action.REFUSED and not self._is_patient
            ):
                self.stopped = self._why(ending)
                self.stopped_code = ending.code
                return False
            if decision.action is Action.CUT:
                self.outbox.cut_at_welcome()
            seconds = decision.wait_seconds
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return True

    def _why(self, ending: Ending) -> str:
        reason = self._bye.reason if self._bye else ""
        return f"the hub closed with {ending.code} {reason[:120]}".rstrip()

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _raise_if_stopped(self) -> None:
        if self.stopped is not None:
            raise Stopped(f"{self.slug}: {self.stopped}")

    def _encode(self, message: Data) -> str | bytes:
        return self._coding.encode(message)


def linger_zero(connection: ClientConnection) -> None:
    """Make the coming abort a TCP reset: what is unsent is thrown away."""
    raw = connection.transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
