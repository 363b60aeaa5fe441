"""Which process a device belongs to, where several write to one database.

A device that leaves a process may still have batches on their way to the disk there.
The process that it comes to *claims* it, waits until a commit that runs in the old
one is through, and only then reads how far the device got. The old one finds in each
later commit that the device is another's, and leaves its batches out.

What makes the two meet is a lock of PostgreSQL that belongs to a writer, not to a
row: each commit with numbered batches holds its own writer's lock, **then** reads
the owners, and lets go as it ends; who has claimed waits for that lock once. Either
the commit had the lock first, and the claimer sees what it stored; or the claimer
had it first, and the commit sees the claim (docs/adr/0011-owners.md). A SQLite file
has one process, and none of this.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q

from ..devices.entry_rows import slices
from .models import DeviceOwner, Journal, Writer

# Of all advisory locks in the database: those of writers.
LOCKS = 0x7E1E
# The thread that waits for a commit serves others as well: so long at once.
WAIT_MS = 250
# A process that is stopped inside its commit holds up who waits for it so long; then
# PostgreSQL ends that commit. Twenty times what one takes.
STOPPED_MS = 10_000
_LOCK_NOT_AVAILABLE = "55P03"
_OF_OTHERS = (
    f"SELECT device_id FROM {DeviceOwner._meta.db_table}"  # noqa: S608
    " WHERE device_id = ANY(%s) AND writer_id <> %s"
)


class Superseded(Exception):
    """Nothing was stored: `devices` of the commit belong to another writer now."""

    def __init__(self, devices: Collection[int]) -> None:
        super().__init__(f"{len(devices)} devices have another owner")
        self.devices = frozenset(devices)


def claim(devices: Collection[int], writer: int) -> dict[int, int]:
    """Make `writer` the owner; whose those were that another had, by device.

    The old ones' commits that run now are not through yet: see `is_through`.
    """
    before: dict[int, int] = {}
    for part in slices(devices):
        before |= _claim(part, writer)
    return before


def _claim(devices: list[int], writer: int) -> dict[int, int]:
    owned = DeviceOwner.objects.filter(device_id__in=devices)
    known = dict(owned.values_list("device_id", "writer_id"))
    if all(known.get(device) == writer for device in devices):
        return {}
    with transaction.atomic():
        # First the new ones: the rows can then be locked, all in one order.
        DeviceOwner.objects.bulk_create(
            [
                DeviceOwner(device_id=device, writer_id=writer)
                for device in devices
                if device not in known
            ],
            ignore_conflicts=True,
        )
        rows = owned.select_for_update(no_key=True).order_by("device_id")
        found = dict(rows.values_list("device_id", "writer_id"))
        before = {device: old for device, old in found.items() if old != writer}
        DeviceOwner.objects.filter(device_id__in=list(before)).update(writer_id=writer)
    return before


def is_through(writer: int) -> bool:
    """Wait a moment for the writer's commit that runs; False: it still does.

    True: every later one sees what was claimed before this call.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, true)", [f"{WAIT_MS}ms"]
            )
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", _lock(writer))
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == _LOCK_NOT_AVAILABLE:
            return False
        raise
    return True


def lost(devices: Collection[int], writer: int) -> set[int]:
    """Which of the devices belong to another writer, until this transaction ends.

    Call it first in the commit's transaction. An earlier try of the same writer,
    whose answer was lost, has then ended, whichever way.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true),"
            " pg_advisory_xact_lock(%s, %s)",
            [f"{STOPPED_MS}ms", *_lock(writer)],
        )
        # A statement of its own: it has to see what was claimed while it waited. As
        # an array: a thousand values in a list take the ORM longer than the look-up.
        cursor.execute(_OF_OTHERS, [list(devices), writer])
        return {device for (device,) in cursor.fetchall()}


def owner_of(device: int) -> int:
    """The writer that the device belongs to; 0: it was never claimed."""
    rows = DeviceOwner.objects.filter(device_id=device)
    return rows.values_list("writer_id", flat=True).first() or 0


def possible_writers(without: int) -> set[int]:
    """All that may have stored what nobody has sealed yet, or still do.

    Not only who has not ended: one that was taken for dead may have woken up.
    """
    has_rows = Exists(Journal.objects.filter(writer_id=OuterRef("id")))
    rows = Writer.objects.filter(Q(ended_at=None) | has_rows).exclude(id=without)
    return set(rows.values_list("id", flat=True))


def heartbeats() -> dict[int, datetime]:
    """When each writer that has not ended last said that it lives."""
    rows = Writer.objects.filter(ended_at=None)
    return dict(rows.values_list("id", "heartbeat_at"))


def _lock(writer: int) -> list[int]:
    # Two numbers of 32 bits; nobody starts two thousand million processes.
    return [LOCKS, writer % (1 << 31)]
