"""What goes on beside the readings, on one thread: seal, thin out, remove, give back.

Every process of the hub has one; the lease lets one at a time change blocks. What
all of them do: measure the room on disk, and let the tail go that is sealed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q

from .. import counters
from ..protocol import clock
from . import seal, space
from .heads import HeadRow, head_rows, read_raw_from
from .journal import READING_BYTES, to_us
from .keeping import records, removal, retention
from .lease import Held, LeaseLost, claimed, current_token
from .models import SeriesHead, Writer
from .raw_from import RawFrom
from .room import Room
from .tail import Tail

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# How often what other processes have sealed and thinned out is read again.
CATCH_UP_SECONDS = 5.0
RAW_FROM_SECONDS = 60.0
# What is due for retention says so itself: asking costs a query or two.
RETENTION_SECONDS = 60.0
# After an error nobody foresaw.
PAUSE_SECONDS = 60.0
# Free pages that stay, for the journal grows into them again: 64 MiB. What is
# beyond goes back to the disk, some pages a second, each time in about 10 ms.
KEPT_PAGES = 16_384
PAGES = 1_000


@dataclass(slots=True)
class Schedule:
    """When what is due next, on the monotonic clock."""

    catch_up: float = 0.0
    raw_from: float = 0.0
    # Not at once: a hub that starts has other things to do.
    retention: float = field(default_factory=lambda: time.monotonic() + 60.0)


class Upkeep:
    """One daemon thread.

    on_raw_from and on_heads are called on it: with what retention moved, and with
    last values that a writer beside the hubs (an import) has left.
    """

    def __init__(
        self,
        tail: Tail,
        room: Room,
        on_raw_from: Callable[[RawFrom], None],
        on_heads: Callable[[list[HeadRow]], None],
        *,
        seal_readings: int,
        seal_seconds: float,
        sessions_per_device: int,
    ) -> None:
        self._tail = tail
        self._room = room
        self._on_raw_from = on_raw_from
        self._on_heads = on_heads
        # Writers that had not ended at the last look, and the newest one then.
        self._living: set[int] = set()
        self._newest_writer: int | None = None
        self._seal_readings = seal_readings
        self._seal_us = int(seal_seconds * 1e6)
        self._sessions_per_device = sessions_per_device
        self._due = Schedule()
        # Of the last claim of the lease, whoever made it.
        self._token = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin; the database has been migrated."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End after the step that runs now: each can be repeated. Blocks."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            pause = LOOK_SECONDS
            try:
                self.look()
            except LeaseLost as error:
                logger.warning("another process keeps the history: %s", error)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("upkeep waits for the database: %s", error)
                connection.close()
            except Exception:
                # The edge of the thread: ingest goes on, and so must this.
                logger.exception("upkeep failed, and is tried again")
                connection.close()
                pause = PAUSE_SECONDS
            self._stop.wait(pause)
        connection.close()

    def look(self) -> None:
        """Do what is due. Raises DatabaseError and LeaseLost; may be called again."""
        now = time.monotonic()
        self._room.measure()
        if now >= self._due.catch_up:
            self._due.catch_up = now + CATCH_UP_SECONDS
            self._let_go()
            self._take_over_heads()
        if now >= self._due.raw_from or self._has_another_worked():
            self._due.raw_from = now + RAW_FROM_SECONDS
            self._on_raw_from(read_raw_from())
        if space.free_pages() > KEPT_PAGES:
            space.give_back(PAGES)
        is_seal_due = self._is_seal_due()
        is_retention_due = now >= self._due.retention
        if not is_seal_due and not is_retention_due:
            return
        with claimed() as held:
            if held is None:
                return
            if is_seal_due:
                self._seal(held)
            if is_retention_due:
                self._thin_out(held)

    def _has_another_worked(self) -> bool:
        """Whether another process has held the lease since the last look.

        What it thinned out is to be refused from now on, not in a minute: a reading
        that comes again would count twice.
        """
        before, self._token = self._token, current_token()
        return self._token != before

    # --- sealing ----------------------------------------------------------------

    def _is_seal_due(self) -> bool:
        readings = self._unsealed()
        counters.UNSEALED.set(readings)
        if readings >= self._seal_readings or self._room.is_journal_full:
            return True
        return bool(readings) and seal.oldest_us() < clock.now_us() - self._seal_us

    def _unsealed(self) -> int:
        return self._room.journal_bytes // READING_BYTES

    def _seal(self, held: Held) -> None:
        """Passes until little is left."""
        while not self._stop.is_set():
            seal.fold_dead(held, clock.now_us(), self._sessions_per_device)
            started = time.monotonic()
            sealed = seal.Sealed()
            for _ in seal.seal_steps(held, self._seal_readings, sealed):
                self._room.measure()
                if self._stop.is_set():
                    return
            self._let_go()
            if not sealed.rows:
                return
            counters.SEALED.inc(sealed.readings)
            logger.info(
                "sealed %s readings of %s commits into %s blocks in %.1f s",
                sealed.readings,
                sealed.rows,
                sealed.blocks,
                time.monotonic() - started,
            )
            if not space.is_sqlite():
                # What was rewritten is dead there until it is vacuumed.
                space.give_back(PAGES)
            self._room.measure()
            if self._unsealed() < self._seal_readings:
                return

    def _let_go(self) -> None:
        """Let the tail forget what is in blocks now, whoever put it there."""
        _chunks, spans = self._tail.view()
        held = Writer.objects.filter(id__in=list(spans), sealed_to__gt=0)
        self._tail.drop_sealed(dict(held.values_list("id", "sealed_to")))

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

    # --- retention --------------------------------------------------------------

    def _thin_out(self, held: Held) -> None:
        """Steps of removal and retention; sealing comes first when it is due."""
        steps = self._steps(held)
        looked = time.monotonic()
        with suppress(StopIteration):
            while not self._stop.is_set():
                next(steps)
                if time.monotonic() > looked + CATCH_UP_SECONDS:
                    looked = time.monotonic()
                    self._room.measure()
                    if self._is_seal_due():
                        self._seal(held)
            return
        self._due.retention = time.monotonic() + RETENTION_SECONDS
        self._due.raw_from = 0.0

    def _steps(self, held: Held) -> Iterator[None]:
        yield from removal.steps(held)
        yield from records.steps(held)
        yield from retention.steps(held)
