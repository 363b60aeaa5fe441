"""What a device has not got rid of yet: numbering, window, sending again, cutting.

Pure: frames come out, acks go in. A batch gets its `seq` when it is first sent and
keeps seq and content until it is acked; only a cut numbers anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..protocol.codec import Frame
from ..protocol.messages import Data
from .batch import Batch


@dataclass(slots=True)
class Sent:
    """A numbered batch. `times` counts how often it went out."""

    seq: int
    batch: Batch
    sent_at: float = 0.0
    times: int = 0


class Outbox:
    """One session's batches, oldest first.

    capacity: at most so many batches are held, sent or not.
    encode: a message as a frame; its size decides whether a batch must be cut.
    """

    def __init__(self, capacity: int, encode: Callable[[Data], Frame]) -> None:
        self.acked = 0
        self.last_seq = 0
        self._capacity = capacity
        self._encode = encode
        self._numbered: deque[Sent] = deque()
        self._waiting: deque[Batch] = deque()
        # How many of _numbered are out on this socket.
        self._in_flight = 0
        self._window = 0
        self._asked_window = 0
        self._max_bytes = 0
        self._max_rows = 0
        self._must_cut = False

    def __len__(self) -> int:
        return len(self._numbered) + len(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self) >= self._capacity

    @property
    def in_flight(self) -> int:
        """Batches sent on this socket and not acked."""
        return self._in_flight

    @property
    def window(self) -> int:
        """How many may be: `flow` only ever asks for less than `welcome` allows."""
        return min(self._window, self._asked_window)

    def unacked(self) -> list[Sent]:
        """Batches that went out at least once and are not acked."""
        return [sent for sent in self._numbered if sent.times]

    def put(self, batch: Batch) -> None:
        """Take a batch. Raises OverflowError above the capacity."""
        if self.is_full:
            raise OverflowError(f"expected at most {self._capacity} batches")
        self._waiting.append(batch)

    def welcome(
        self, acked: int, window: int, max_bytes: int, max_rows: int
    ) -> list[Sent]:
        """Begin on a new socket; return what turned out to be on disk already."""
        self._window = self._asked_window = window
        self._max_bytes, self._max_rows = max_bytes, max_rows
        done = self.ack(acked)
        self._in_flight = 0
        if self._must_cut:
            self._cut_unacked()
        # A session that the hub knows further than this device does.
        self.last_seq = max(self.last_seq, acked)
        return done

    def flow(self, window: int) -> None:
        self._asked_window = window

    def ack(self, seq: int) -> list[Sent]:
        """Everything up to `seq` is on disk; return what that newly covers."""
        done = []
        while self._numbered and self._numbered[0].seq <= seq:
            done.append(self._numbered.popleft())
            self._in_flight = max(0, self._in_flight - 1)
        self.acked = max(self.acked, seq)
        return done

    def cut_at_welcome(self) -> None:
        """Number smaller batches anew, once `welcome` says from where.

        Not before: the hub may hold more than the last ack that arrived says.
        """
        self._must_cut = True

    def next(self, now: float) -> tuple[Sent, Frame] | None:
        """The next frame to send, if there is one and the window lets it."""
        if self._in_flight >= self.window:
            return None
        if self._in_flight < len(self._numbered):
            sent = self._numbered[self._in_flight]
            frame = self._encode(sent.batch.message(sent.seq))
        else:
            numbered = self._number_next()
            if numbered is None:
                return None
            sent, frame = numbered
        self._in_flight += 1
        sent.sent_at = now
        sent.times += 1
        return sent, frame

    def _number_next(self) -> tuple[Sent, Frame] | None:
        """Number the oldest waiting batch, cut until it fits the hub's limits."""
        while self._waiting:
            batch = self._waiting.popleft()
            frame = self._encode(batch.message(self.last_seq + 1))
            size = len(frame) if isinstance(frame, bytes) else len(frame.encode())
            if len(batch.rows) > 1 and (
                size > self._max_bytes or len(batch.rows) > self._max_rows
            ):
                self._waiting.extendleft(reversed(batch.cut()))
                continue
            self.last_seq += 1
            sent = Sent(self.last_seq, batch)
            self._numbered.append(sent)
            return sent, frame
        return None

    def _cut_unacked(self) -> None:
        self._must_cut = False
        pieces = [piece for sent in self._numbered for piece in sent.batch.cut()]
        self._waiting.extendleft(reversed(pieces))
        self._numbered.clear()
        self.last_seq = self.acked
