"""What each process catches up with, whoever keeps the history.

It measures the room on disk, lets go of the tail what others have sealed, and takes
over last values and limits that others have moved. Called by `rounds.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Q

from .. import counters
from .heads import HeadRow, head_rows, read_raw_from
from .journal import READING_BYTES, to_us
from .lease import current_token
from .models import SeriesHead, Writer
from .raw_from import RawFrom
from .room import Room
from .tail import Tail

# How often what other processes have sealed and thinned out is read again.
CATCH_UP_SECONDS = 5.0
RAW_FROM_SECONDS = 60.0


@dataclass(slots=True)
class Schedule:
    """When what is due next, on the monotonic clock."""

    catch_up: float = 0.0
    raw_from: float = 0.0


class CatchUp:
    """One a process with a tail.

    on_raw_from and on_heads are called on the thread that looks: with what retention
    moved, and with last values that a writer beside this one has left.
    """

    def __init__(
        self,
        tail: Tail,
        room: Room,
        on_raw_from: Callable[[RawFrom], None],
        on_heads: Callable[[list[HeadRow]], None],
    ) -> None:
        self._tail = tail
        self._room = room
        self._on_raw_from = on_raw_from
        self._on_heads = on_heads
        # Writers that had not ended at the last look, and the newest one then.
        self._living: set[int] = set()
        self._newest_writer: int | None = None
        self._due = Schedule()
        # Of the last claim of the lease, whoever made it.
        self._token = 0

    def look(self) -> None:
        """Do what is due. Raises DatabaseError; may be called again."""
        now = time.monotonic()
        self._room.measure()
        counters.UNSEALED.set(self._room.journal_bytes // READING_BYTES)
        if now >= self._due.catch_up:
            self._due.catch_up = now + CATCH_UP_SECONDS
            self.let_go()
            self._take_over_heads()
        if now >= self._due.raw_from or self._has_another_worked():
            self._due.raw_from = now + RAW_FROM_SECONDS
            self._on_raw_from(read_raw_from())

    def let_go(self) -> None:
        """Let the tail forget what is in blocks now, whoever put it there."""
        _chunks, spans = self._tail.view()
        held = Writer.objects.filter(id__in=list(spans), sealed_to__gt=0)
        self._tail.drop_sealed(dict(held.values_list("id", "sealed_to")))

    def _has_another_worked(self) -> bool:
        """Whether somebody has held the lease since the last look.

        What it thinned out is to be refused from now on, not in a minute: a reading
        that comes again would count twice.
        """
        before, self._token = self._token, current_token()
        return self._token != before

    def _take_over_heads(self) -> None:
        """Hand over the last values of writers that have ended since the last look.

        At the start the pipeline has read what earlier writers left; one that is
        writing then is waited for.
        """
        is_living = Q(ended_at=None)
        if self._newest_writer is not None:
            is_living |= Q(id__gt=self._newest_writer) | Q(id__in=self._living)
        writers = Writer.objects.filter(is_living)
        found = list(writers.values_list("id", "started_at", "ended_at"))
        ended = [started_at for _, started_at, ended_at in found if ended_at]
        if ended:
            moved = SeriesHead.objects.filter(received_us__gte=to_us(min(ended)))
            self._on_heads(list(head_rows(moved)))
        self._living = {writer for writer, _, ended_at in found if not ended_at}
        newest = max((writer for writer, *_ in found), default=0)
        self._newest_writer = max(newest, self._newest_writer or 0)
