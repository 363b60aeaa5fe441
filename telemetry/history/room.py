"""Whether there is room on disk for more readings; if not, the doors close.

Two bounds: what the journal holds that no block has yet (a sealer that does not get
on must not fill the disk), and what the disk has free: deleting needs space as
well, so a disk that is quite full could never be emptied.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from django.db.models import F, Max, Q, Sum

from .journal import READING_BYTES
from .models import Journal, Writer
from .space import free_bytes

MIB = 1_048_576
# Open again only well within the bounds: the doors must not flap.
JOURNAL_AGAIN = 0.9
RESERVE_AGAIN = 1.1
# Rows that are counted as one: when they are sealed, they go as one.
PART_ROWS = 16


class Unsealed:
    """How many readings the journal holds, of all writers.

    Asked again and again: each look reads the rows since the last one alone.
    """

    def __init__(self) -> None:
        # By writer: (last number, readings) of some rows in a row, oldest first.
        self._parts: dict[int, deque[tuple[int, int]]] = {}
        self._newest_writer = 0
        # Those that had not ended at the last look: they may have written since.
        self._unended: list[int] = []

    def count(self) -> int:
        """Readings in rows that are not sealed; too many by PART_ROWS at most.

        Blocks. Raises DatabaseError.
        """
        for writer, sealed_to in self._writers():
            parts = self._parts.setdefault(writer, deque())
            self._look(writer, sealed_to, parts)
            if not parts:
                del self._parts[writer]
        return sum(count for parts in self._parts.values() for _, count in parts)

    def _writers(self) -> list[tuple[int, int]]:
        """(id, sealed_to) of the writers that may have rows."""
        may_have = Q(ended_at=None) | Q(id__in=[*self._parts, *self._unended])
        if self._newest_writer:
            # One may have begun and ended since the last look.
            may_have |= Q(id__gt=self._newest_writer)
        else:
            rows = Journal.objects.order_by("writer_id").distinct()
            may_have |= Q(id__in=list(rows.values_list("writer_id", flat=True)))
        found = list(
            Writer.objects.filter(may_have)
            .order_by("id")
            .values_list("id", "sealed_to", "ended_at")
        )
        newest = found[-1][0] if found else 0
        self._newest_writer = max(newest, self._newest_writer)
        self._unended = [writer for writer, _, ended_at in found if ended_at is None]
        return [(writer, sealed_to) for writer, sealed_to, _ in found]

    def _look(self, writer: int, sealed_to: int, parts: deque[tuple[int, int]]) -> None:
        while parts and parts[0][0] <= sealed_to:
            parts.popleft()
        known = parts[-1][0] if parts else sealed_to
        new = (
            Journal.objects.filter(writer_id=writer, number__gt=known)
            .values(some=F("number") / PART_ROWS)
            .annotate(last=Max("number"), readings=Sum("count"))
            .order_by("last")
        )
        parts.extend(new.values_list("last", "readings"))


class Room:
    """What of the disk may still be used. Thread-safe.

    most_journal_bytes: of readings that are not sealed. reserve_bytes: what the
    database's disk keeps free; 0, or a database that is elsewhere: not looked at.
    """

    def __init__(
        self,
        most_journal_bytes: int,
        reserve_bytes: int,
        *,
        free: Callable[[], int | None] = free_bytes,
    ) -> None:
        self._most_journal_bytes = most_journal_bytes
        self._reserve_bytes = reserve_bytes
        self._free = free
        self._unsealed = Unsealed()
        self._lock = threading.Lock()
        self._measuring = threading.Lock()
        self._measured = 0
        # Committed by this process, and in no measurement yet.
        self._since = 0
        self._is_journal_full = False
        self._free_bytes: int | None = None
        self._is_disk_full = False

    @property
    def why_full(self) -> str | None:
        """Why no readings may come in, or None. Changes in `measure` and `add`."""
        if self._is_journal_full:
            held = -(-self.journal_bytes // MIB)
            return (
                f"the journal holds {held:,} MiB that are in no block yet, of at most "
                f"{self._most_journal_bytes // MIB:,} MiB"
            )
        free = self._free_bytes
        if self._is_disk_full and free is not None:
            return (
                f"the disk has {free // MIB:,} MiB free, and "
                f"{self._reserve_bytes // MIB:,} MiB are kept free"
            )
        return None

    @property
    def is_journal_full(self) -> bool:
        """Whether it is the journal that is too large: sealing makes room."""
        return self._is_journal_full

    @property
    def journal_bytes(self) -> int:
        """What the journal holds, as far as is known here."""
        return (self._measured + self._since) * READING_BYTES

    def add(self, readings: int) -> None:
        """This process has committed so many more."""
        with self._lock:
            self._since += readings
            self._judge()

    def measure(self) -> None:
        """Look at the journal and the disk. Blocks. Raises DatabaseError."""
        with self._measuring:
            self._measure_disk()
            self._measure_journal()

    def _measure_disk(self) -> None:
        free = self._free()
        with self._lock:
            self._free_bytes = free
            self._judge()

    def _measure_journal(self) -> None:
        with self._lock:
            counted = self._since
        measured = self._unsealed.count()
        with self._lock:
            self._measured = measured
            # What was committed meanwhile may be counted twice until the next time.
            self._since -= counted
            self._judge()

    def _judge(self) -> None:
        most = self._most_journal_bytes
        if self._is_journal_full:
            most = int(most * JOURNAL_AGAIN)
        self._is_journal_full = self.journal_bytes > most
        reserve: float = self._reserve_bytes
        if self._is_disk_full:
            reserve *= RESERVE_AGAIN
        free = self._free_bytes
        self._is_disk_full = free is not None and free < reserve
