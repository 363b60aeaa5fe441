"""What every door for devices shares: who may come in, and whose socket it is.

One a process. It holds the open device sockets, gives each device at most one, and
tells them all when the gate behind it opens or closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection
from typing import Any, Protocol

from django.db import DatabaseError, InterfaceError

from .. import counters
from ..devices.auth_limit import AuthLimit
from ..devices.entries import Change, DeviceEntry
from ..devices.presence import Presence
from ..devices.registry import Registry
from ..devices.sharing import is_shared
from ..devices.tallies import Tallies
from ..history import owners
from ..history.heads import Heads
from ..history.journal import Mark, SessionKey
from ..history.raw_from import RawFrom
from ..history.room import Room
from ..protocol import clock, close_codes
from ..protocol.errors import Busy, RateLimited, Unauthorized
from ..protocol.limits import Limits
from ..threads import on_database_thread
from .batch import Refusals
from .gate import Gate
from .new_series import NewSeries
from .pipeline import Pipeline
from .rate import TokenBucket
from .takeover import SUPERSEDED, Takeover

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
# Devices come back spread over this long after a restart.
DRAIN_AFTER_MS = 15_000
DRAIN_SLICE = 200
FLAPPING_AFTER_MS = 60_000


class DeviceSocket(Protocol):
    """A device's open socket, as the door sees it."""

    device: DeviceEntry | None
    prefix: str
    ticket: int
    session: SessionKey | None
    is_closing: bool

    def bye(self, code: int, reason: str = "", after_ms: int = 0) -> None: ...
    def drop(self) -> None: ...
    def flow(self, window: int) -> None: ...
    def check_deadline(self, now_seconds: float) -> None: ...


class Door:
    """All methods belong to the event loop."""

    def __init__(
        self,
        registry: Registry,
        presence: Presence,
        heads: Heads,
        pipeline: Pipeline,
        room: Room,
        limits: Limits,
        tallies: Tallies | None = None,
    ) -> None:
        self.registry = registry
        self.tallies = tallies or Tallies()
        self.presence = presence
        self.pipeline = pipeline
        self.limits = limits
        self.takeover = Takeover(pipeline)
        self.gate = Gate(pipeline, heads, room, self._tell_flow)
        self.new_series = NewSeries(registry, self.gate)
        self._heads = heads
        self._sockets: set[DeviceSocket] = set()
        self._of_device: dict[int, DeviceSocket] = {}
        self._buckets: dict[int, TokenBucket] = {}
        self._connects: dict[int, list[float]] = {}
        self._stamps_us: dict[int, int] = {}
        self._heard: set[int] = set()
        self._tickets = 0
        self._limiter = AuthLimit(limits.auth_failures_per_minute)
        self._task: asyncio.Task[None] | None = None
        self._asides: set[asyncio.Future[None]] = set()

    # --- life -------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to look after the sockets. The pipeline runs already."""
        self.registry.listen(self._on_change)
        self.presence.listen_for_takeovers(self._on_taken_over)
        self.pipeline.listen_for_stalls(self._on_stall)
        await self.gate.start()
        self._task = asyncio.get_running_loop().create_task(self._sweep(), name="door")

    async def drain(self, seconds: float) -> None:
        """Take no more, send the last acks, and send all devices away.

        In slices, so that they come back spread.
        """
        self.gate.drain()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.pipeline.flush(), seconds)
        sockets = list(self._sockets)
        for start in range(0, len(sockets), DRAIN_SLICE):
            for socket in sockets[start : start + DRAIN_SLICE]:
                socket.bye(close_codes.DRAINING, "restart", DRAIN_AFTER_MS)
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- who may come in --------------------------------------------------------

    async def authenticate(self, key: str, address: str) -> DeviceEntry:
        """The device that a key belongs to.

        The key is checked first, so that a good device never waits for the bad one
        behind the same address. Raises Unauthorized, Forbidden, or RateLimited.
        """
        try:
            return await self.registry.authenticate(key)
        except Unauthorized:
            counters.AUTH_FAILURES.inc()
            loop = asyncio.get_running_loop()
            wait_seconds = self._limiter.failed(address, loop.time())
            if wait_seconds:
                raise RateLimited(
                    "expected a good key, got too many wrong ones from this address; "
                    f"wait {wait_seconds:.0f} s"
                ) from None
            raise
        except DatabaseError:
            raise Busy(
                "expected to find the key, but the database is away; try again"
            ) from None

    def ticket(self) -> int:
        """A socket's place in the order in which keys came."""
        self._tickets += 1
        return self._tickets

    def join(self, socket: DeviceSocket) -> None:
        """A socket opened; nobody knows whose it is."""
        self._sockets.add(socket)
        counters.SOCKETS.labels(kind="device").set(len(self._sockets))
        if self.gate.is_draining:
            socket.bye(close_codes.DRAINING, "restart", DRAIN_AFTER_MS)

    def leave(self, socket: DeviceSocket, close_code: int | None) -> None:
        """A socket is gone."""
        self._sockets.discard(socket)
        counters.SOCKETS.labels(kind="device").set(len(self._sockets))
        device = socket.device
        if device is None:
            return
        if self._of_device.get(device.id) is socket:
            del self._of_device[device.id]
        self.presence.disconnect(device.id, close_code or 0, clock.now_us())

    def enter(self, socket: DeviceSocket, device: DeviceEntry, address: str) -> bool:
        """Give a device its one socket; an older one is told to go.

        False: this one has been told to go, for flapping, or for the key of a newer
        one has been checked sooner.
        """
        now = asyncio.get_running_loop().time()
        connects = self._connects.setdefault(device.id, [])
        while connects and connects[0] <= now - 60:
            del connects[0]
        if len(connects) >= self.limits.connects_per_minute:
            socket.bye(close_codes.WINDOW, "too many connects", FLAPPING_AFTER_MS)
            return False
        connects.append(now)
        other = self._of_device.get(device.id)
        if other is not None and other.ticket > socket.ticket:
            socket.bye(close_codes.SUPERSEDED)
            return False
        self._of_device[device.id] = socket
        if other is not None:
            other.bye(close_codes.SUPERSEDED)
        self.presence.connect(device.id, address, clock.now_us())
        return True

    async def watermark(self, device_id: int, session: str) -> Mark | None:
        """How far a session got, once the device's older socket's commits ended."""
        await self.pipeline.flush()
        if is_shared():
            return await self.takeover.watermark(device_id, session)
        return await self.pipeline.watermark(device_id, session)

    # --- whose it is now --------------------------------------------------------

    def on_command(self, kind: str, device_id: int) -> None:
        """Another process asks for something."""
        if kind == SUPERSEDED:
            self._look_whose(device_id)

    def _on_taken_over(self, device_ids: Collection[int]) -> None:
        """Newer sockets of these devices are open in other processes."""
        for device_id in device_ids:
            socket = self._of_device.get(device_id)
            if socket is not None and socket.session is None:
                # It sends without numbers, so nobody claims it.
                socket.bye(close_codes.SUPERSEDED)
            else:
                self._look_whose(device_id)

    def _look_whose(self, device_id: int) -> None:
        """End the device's socket if it has gone to another process since its `hello`.

        The news may be late: by now it may be back here, with a newer socket.
        """
        socket = self._of_device.get(device_id)
        if socket is not None and socket.session is not None:
            task = asyncio.ensure_future(self._end_if_gone(socket, device_id))
            self._asides.add(task)
            task.add_done_callback(self._asides.discard)

    async def _end_if_gone(self, socket: DeviceSocket, device_id: int) -> None:
        # What it cannot find out now, its next commit will.
        with contextlib.suppress(DatabaseError, InterfaceError):
            owner = await on_database_thread(owners.owner_of, device_id)
            if owner not in (0, self.pipeline.writer) and not socket.is_closing:
                self.presence.moved(device_id)
                socket.bye(close_codes.SUPERSEDED)

    # --- what a device may send -------------------------------------------------

    @property
    def raw_from(self) -> RawFrom:
        """Before which times no readings are taken."""
        return self._heads.raw_from

    @property
    def window(self) -> int:
        """The window that devices are asked to keep now."""
        return 0 if self.gate.is_closed else self.limits.window

    def heard(self, device_id: int) -> None:
        """Something came from the device."""
        self._heard.add(device_id)

    def stamp_us(self, device_id: int, now_us: int) -> int:
        """The hub's stamp for readings without a time: each a µs after the last."""
        last = self._stamps_us.get(device_id, 0)
        # Only a collision is moved: after a step back of the clock, stamps follow it.
        stamp = last + 1 if last - 1_000 < now_us <= last else now_us
        self._stamps_us[device_id] = stamp
        return stamp

    def bucket_of(self, device_id: int) -> TokenBucket | None:
        """What counts a device's readings, over all its sockets; None: no limit."""
        if not self.limits.device_rate:
            return None
        bucket = self._buckets.get(device_id)
        if bucket is None:
            bucket = TokenBucket(self.limits.device_rate, self.limits.device_burst)
            self._buckets[device_id] = bucket
        return bucket

    async def note_firmware(self, device: DeviceEntry, firmware: str) -> None:
        """Keep the version that the device reports, if the database is there."""
        with contextlib.suppress(DatabaseError):
            await self.registry.report_firmware(device, firmware)

    # --- what goes on beside ----------------------------------------------------

    def _on_stall(self, is_stalled: bool) -> None:
        self._tell_flow()

    def _tell_flow(self) -> None:
        for socket in self._of_device.values():
            socket.flow(self.window)

    def _on_change(self, change: Change) -> None:
        for device_id in change.devices | change.credentials:
            socket = self._of_device.get(device_id)
            if socket is None:
                continue
            why = self.registry.is_valid(device_id, socket.prefix)
            if why is not None:
                is_forbidden = why == "forbidden"
                socket.bye(
                    close_codes.FORBIDDEN if is_forbidden else close_codes.UNAUTHORIZED
                )

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                self.gate.check_clock()
                self.gate.check_room()
                heard, self._heard = self._heard, set()
                self.presence.heard(heard, clock.now_us())
                now = loop.time()
                for socket in list(self._sockets):
                    socket.check_deadline(now)
            except Exception:
                # The edge of the process: the next round must come.
                logger.exception("looking after the device sockets failed")


def count_refused(refused: Refusals) -> None:
    """Add refused readings to the hub's own counters."""
    for reason, count in refused.reasons.items():
        counters.REJECTED.labels(reason=reason).inc(count)


def door_of(scope: Any) -> Door:
    """The process's door, from an ASGI scope."""
    door: Door = scope["telemetry.hub"].door
    return door
