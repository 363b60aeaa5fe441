"""What a backup counts and leaves out, and what a restored database must change."""

from __future__ import annotations

import time

from django.contrib.sessions.models import Session
from django.db.migrations.recorder import MigrationRecorder

from ...devices.models import Device, Series
from ..models import Block, Journal, Lease, TextReading, Writer

# Who has a session's key is logged in as its user: it is not for a file that is
# carried around.
LEFT_OUT = Session._meta.db_table
MIGRATIONS = MigrationRecorder.Migration._meta.db_table
WRITERS = Writer._meta.db_table

# The same on both databases: (name, statement).
COUNTS = {
    "devices": f"SELECT count(*) FROM {Device._meta.db_table}",  # noqa: S608
    "series": f"SELECT count(*) FROM {Series._meta.db_table}",  # noqa: S608
    "readings": (
        f"SELECT (SELECT coalesce(sum(length), 0) FROM {Block._meta.db_table}"  # noqa: S608
        " WHERE resolution_seconds = 0) + (SELECT coalesce(sum(j.count), 0)"
        f" FROM {Journal._meta.db_table} j JOIN {WRITERS} w"
        " ON w.id = j.writer_id WHERE j.number > w.sealed_to)"
    ),
    "texts": f"SELECT count(*) FROM {TextReading._meta.db_table}",  # noqa: S608
}
APPLIED = f"SELECT app, name FROM {MIGRATIONS} ORDER BY app, name"  # noqa: S608

_LONG_AGO = "1970-01-01 00:00:00+00:00"
# Writers and leases of the hub that was backed up do not live here: the first start
# takes over from them at once.
SETTLE = (
    f"UPDATE {WRITERS} SET heartbeat_at = '{_LONG_AGO}'"  # noqa: S608
    " WHERE ended_at IS NULL",
    f"UPDATE {Lease._meta.db_table} SET expires_at = '{_LONG_AGO}'",  # noqa: S608
)


def first_writer() -> int:
    """The id for the first writer of a restored hub: one that nobody else has.

    The hub that was backed up has gone on counting from the same number, and the
    same backup may be restored twice. Milliseconds grow faster than starts.
    """
    return time.time_ns() // 1_000_000
