"""Takes devices offline whose process is gone, which could not say so itself.

For processes that share a database. One of them, or `runjobs`, looks every few
seconds; more than one do no harm. All runs on a thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from .entry_rows import slices
from .models import DevicePresence
from .presence import ABNORMAL
from .records import DeviceEvent, EventKind

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
# Four heartbeats. Together with looks and reads: right within 30 s of a `kill -9`.
SILENT_SECONDS = 20.0
# Who did not look himself for so long knows nothing of others' silence: the database
# was away, for all of them.
BLIND_SECONDS = 10.0


class Sweep:
    """Remembers when each process was last seen to live.

    Told by their heartbeats' changing and not by the clocks they are of: those of
    several machines differ. read_living: when each writer that has not ended gave its
    last sign of life.
    """

    def __init__(
        self,
        read_living: Callable[[], Mapping[int, datetime]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_living = read_living
        self._monotonic = monotonic
        self._beats: dict[int, tuple[datetime, float]] = {}
        self._looked_at = monotonic()
        self._due = monotonic()

    def look(self) -> None:
        """Do what is due. Raises DatabaseError; may be called again."""
        now = self._monotonic()
        if now < self._due:
            return
        self._due = now + LOOK_SECONDS
        # First the devices: a process is there before its first one.
        online = DevicePresence.objects.filter(is_online=True)
        writers = set(online.order_by().values_list("writer_id", flat=True).distinct())
        silent = self._silent(now)
        gone = writers - (self._beats.keys() - silent)
        if gone:
            count = take_offline(gone)
            logger.warning("%d devices of processes that are gone are offline", count)

    def _silent(self, now: float) -> set[int]:
        """Writers that have said nothing for too long."""
        was_blind = now - self._looked_at > BLIND_SECONDS
        living = self._read_living()
        self._looked_at = now
        before, self._beats = self._beats, {}
        for writer, beat_at in living.items():
            known = before.get(writer)
            is_old = known is not None and known[0] == beat_at and not was_blind
            self._beats[writer] = known if known and is_old else (beat_at, now)
        return {
            writer
            for writer, (_, since) in self._beats.items()
            if now - since >= SILENT_SECONDS
        }


def take_offline(writers: Collection[int]) -> int:
    """Say of the devices that are online in these processes that they were cut off.

    Returns how many. A process that wakes up finds it in the rows, and says better.
    """
    rows = DevicePresence.objects.filter(is_online=True, writer_id__in=list(writers))
    count = 0
    for part in slices(set(rows.values_list("device_id", flat=True))):
        with transaction.atomic():
            locked = rows.filter(device_id__in=part).select_for_update(no_key=True)
            found = list(
                locked.order_by("device_id").values_list("device_id", flat=True)
            )
            DevicePresence.objects.filter(device_id__in=found).update(
                is_online=False,
                close_code=ABNORMAL,
                changed_at=Coalesce(F("last_seen_at"), Now()),
                writer_id=0,
                written_at=Now(),
            )
            now = timezone.now()
            DeviceEvent.objects.bulk_create(
                DeviceEvent(
                    device_id=device_id,
                    at=now,
                    kind=EventKind.DISCONNECTED,
                    code=ABNORMAL,
                )
                for device_id in found
            )
        count += len(found)
    return count
