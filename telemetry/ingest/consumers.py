"""`/ws/device`: one device's socket.

Whatever a device does wrong ends here: it gets an `error`, a rejection or a close
code, and nobody else notices.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from operator import itemgetter
from typing import cast

from .. import counters
from ..bus.socket import error_message, size_of
from ..devices.entries import DeviceEntry
from ..history.journal import Mark
from ..protocol import clock, close_codes
from ..protocol.codec import Frame, PlainData, Unreadable, decode_from_device
from ..protocol.errors import (
    BadRequest,
    ProtocolError,
    TooLarge,
    Unauthorized,
    Unsupported,
    quoted,
)
from ..protocol.messages import Ack, Data, Hello, Message, Ping, Rejection
from . import batch as batches
from .batch import Batch, NotPlain, Refusals, Timing
from .door import count_refused
from .session import AGAIN_AFTER_MS, SessionSocket


class DeviceConsumer(SessionSocket):
    """A device's socket, from its key to its last acknowledgement."""

    __slots__ = ("refusals", "unacked")

    async def opened(self) -> None:
        # Both by `seq`, ascending, and at most a window long.
        self.unacked: list[int] = []
        self.refusals: list[tuple[int, Refusals]] = []
        await super().opened()

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

    # --- data -------------------------------------------------------------------

    async def _on_data(
        self, device: DeviceEntry, message: PlainData | Data, frame: Frame
    ) -> None:
        self.door.heard(device.id)
        seq = message.seq
        if seq is not None and not self._is_new(device, seq):
            return
        batches.check_shape(message, self.limits)
        await self._wait_for_the_turn()
        batch = await self._batch_of(device, message, frame)
        refused = batch.refused
        if refused is not None and batches.BAD_TIME in refused.reasons:
            # It may be the hub's clock that is wrong, since less than a second.
            self.door.gate.check_clock()
            if self.door.gate.clock_behind_us:
                await self._wait_at_the_door()
                batch = await self._batch_of(device, message, frame)
        if self.offset_us is None and len(batch.times_us):
            self._measure_skew(int(batch.times_us[-1]))
        if not (self.is_closing or self.door.gate.is_draining):
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
        if self.door.gate.why_closed is not None:
            await self._wait_at_the_door()

    def _is_new(self, device: DeviceEntry, seq: int) -> bool:
        """Whether a batch of this number is to be stored; else it is answered here."""
        if self.session is None:
            raise BadRequest(
                "expected a “hello” that names a “session” before “seq”, got none"
            )
        if 1 <= seq <= self.submitted:
            self.door.tallies.of(device.id).sent_again += 1
            if seq <= self.acked:
                self.post(Ack(seq=self.acked))
            return False  # Else it is on its way; its ack comes.
        if len(self.unacked) >= self.limits.window:
            self.bye(close_codes.WINDOW, after_ms=30_000)
            return False
        return True

    async def _batch_of(
        self, device: DeviceEntry, message: PlainData | Data, frame: Frame
    ) -> Batch:
        # Series must not be made on the loop, and may not be allowed at all.
        missing = batches.missing_metrics(message, device.series)
        if missing:
            await self.hold(
                self.door.new_series.of_message(device, message, missing, self.hints)
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
            raw_from=self.door.raw_from,
        )

    def _submit(self, device: DeviceEntry, batch: Batch, seq: int | None) -> None:
        refused = batch.refused
        tally = self.door.tallies.of(device.id)
        tally.readings += len(batch)
        if refused is not None and refused.count:
            count_refused(refused)
            tally.rejected += refused.count
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
            tally.left_out(seq - self.submitted - 1)
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

    # --- what became of it (Sender) ---------------------------------------------

    def committed(self, seq: int | None) -> None:
        if seq is None:
            return
        self.acked = seq
        unacked = self.unacked
        while unacked and unacked[0] <= seq:
            del unacked[0]
        self.post(Ack(seq=seq) if not self.refusals else self._ack_with_refusals(seq))

    def _ack_with_refusals(self, seq: int) -> Ack:
        listed: list[Rejection] = []
        count = 0
        while self.refusals and self.refusals[0][0] <= seq:
            refused = self.refusals.pop(0)[1]
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
        if self.device is not None:
            self.door.tallies.of(self.device.id).rejected += 1
        if seq is not None:
            # Later batches may have theirs already; the next ack looks at the first.
            insort(self.refusals, (seq, refusals), key=itemgetter(0))

    def superseded(self) -> None:
        # What is not acked it will send again where it is now.
        if self.device is not None:
            self.door.presence.moved(self.device.id)
        self.bye(close_codes.SUPERSEDED)

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
        if self.is_closing or self.door.gate.is_draining:
            return
        if seq is None or not self._is_new(device, seq):
            return
        if isinstance(error, Unsupported):
            self.post_error(error)
        refused = Refusals()
        refused.add(seq, None, None, batches.BAD_REQUEST)
        self._submit(device, Batch([], [], [], refused=refused), seq)
