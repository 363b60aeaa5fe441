"""Keeps the history in shape: seal, thin out, remove, give space back.

A hub of one process does it beside its readings; with several workers `runjobs` does
it for all. Whoever does it, the lease lets one at a time change blocks. Called by
`rounds.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from .. import conf, counters
from ..protocol import clock
from . import seal, space
from .journal import READING_BYTES
from .keeping import records, removal, retention
from .lease import Held, claimed
from .room import Room

logger = logging.getLogger(__name__)

# What is due for retention says so itself: asking costs a query or two.
RETENTION_SECONDS = 60.0
# How often a long pass measures the room, and looks whether sealing is due.
MEASURE_SECONDS = 5.0
# Free pages that stay, for the journal grows into them again: 64 MiB. What is
# beyond goes back to the disk, some pages a second, each time in about 10 ms.
KEPT_PAGES = 16_384
PAGES = 1_000


class Keeper:
    """Sealing and retention. `room` has just been measured when `look` is called.

    on_sealed: called after each pass, on the same thread.
    """

    def __init__(
        self,
        room: Room,
        stopping: threading.Event,
        on_sealed: Callable[[], None] = lambda: None,
        *,
        seal_readings: int,
        seal_seconds: float,
        sessions_per_device: int,
    ) -> None:
        self._room = room
        self._stopping = stopping
        self._on_sealed = on_sealed
        self._seal_readings = seal_readings
        self._seal_us = int(seal_seconds * 1e6)
        self._sessions_per_device = sessions_per_device
        # Not at once: a hub that starts has other things to do.
        self._retention_due = time.monotonic() + RETENTION_SECONDS

    def look(self) -> None:
        """Do what is due. Raises DatabaseError and LeaseLost; may be called again."""
        if space.free_pages() > KEPT_PAGES:
            space.give_back(PAGES)
        is_seal_due = self._is_seal_due()
        is_retention_due = time.monotonic() >= self._retention_due
        if not is_seal_due and not is_retention_due:
            return
        with claimed() as held:
            if held is None:
                return
            if is_seal_due:
                self._seal(held)
            if is_retention_due:
                self._thin_out(held)

    # --- sealing ----------------------------------------------------------------

    def _is_seal_due(self) -> bool:
        readings = self._unsealed()
        if readings >= self._seal_readings or self._room.is_journal_full:
            return True
        return bool(readings) and seal.oldest_us() < clock.now_us() - self._seal_us

    def _unsealed(self) -> int:
        return self._room.journal_bytes // READING_BYTES

    def _seal(self, held: Held) -> None:
        """Passes until little is left."""
        while not self._stopping.is_set():
            seal.fold_dead(held, clock.now_us(), self._sessions_per_device)
            started = time.monotonic()
            sealed = seal.Sealed()
            for _ in seal.seal_steps(held, self._seal_readings, sealed):
                self._room.measure()
                if self._stopping.is_set():
                    return
            self._on_sealed()
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

    # --- retention --------------------------------------------------------------

    def _thin_out(self, held: Held) -> None:
        """Steps of removal and retention; sealing comes first when it is due."""
        steps = self._steps(held)
        looked = time.monotonic()
        with suppress(StopIteration):
            while not self._stopping.is_set():
                next(steps)
                if time.monotonic() > looked + MEASURE_SECONDS:
                    looked = time.monotonic()
                    self._room.measure()
                    if self._is_seal_due():
                        self._seal(held)
            return
        self._retention_due = time.monotonic() + RETENTION_SECONDS

    def _steps(self, held: Held) -> Iterator[None]:
        yield from removal.steps(held)
        yield from records.steps(held)
        yield from retention.steps(held)


def new_room() -> Room:
    """Room as the settings bound it."""
    return Room(int(conf.value("JOURNAL_BYTES")), int(conf.value("DISK_RESERVE_BYTES")))


def new_keeper(
    room: Room,
    stopping: threading.Event,
    on_sealed: Callable[[], None] = lambda: None,
) -> Keeper:
    """A keeper with the settings of this installation."""
    return Keeper(
        room,
        stopping,
        on_sealed,
        seal_readings=int(conf.value("SEAL_READINGS")),
        seal_seconds=float(conf.value("SEAL_SECONDS")),
        sessions_per_device=conf.limits().sessions_per_device,
    )
