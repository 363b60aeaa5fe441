"""Settings of a hub that a test can hurt while it runs: a full disk, a wrong clock.

FAULTS_DIR is a directory; a file in it is a fault as long as it is there.
"""

from __future__ import annotations

import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.backends.signals import connection_created
from django.utils import timezone

from hub_project import child
from hub_project.settings import *  # noqa: F403

_directory = Path(os.environ["FAULTS_DIR"])


def _fault(name: str) -> int | None:
    """The number in the file `name`, or None without that file."""
    try:
        return int((_directory / name).read_text())
    except FileNotFoundError:
        return None


def _limit_pages(connection: Any, **kwargs: Any) -> None:
    # SQLite keeps the limit with the connection; the hub opens a new one after
    # each error, and so notices that there is space again.
    pages = _fault("most_pages")
    if pages is not None:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {pages}")


connection_created.connect(_limit_pages, dispatch_uid="faults")


def _sync_late(connection: Any, **kwargs: Any) -> None:
    """PostgreSQL says that it has committed before it is on disk."""
    if _fault("late_sync") is not None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")


connection_created.connect(_sync_late, dispatch_uid="late_sync")

_right_disk_usage = shutil.disk_usage


def _disk_usage(path: Any) -> Any:
    """The disk as it is, with as much free as the fault says."""
    usage, free = _right_disk_usage(path), _fault("free_bytes")
    return usage if free is None else usage._replace(free=free)


shutil.disk_usage = _disk_usage


def _hurry(connection: Any, **kwargs: Any) -> None:
    """What a hub does every minute it does all the time, to be killed meanwhile."""
    if _fault("hurry") is None:
        return
    # Models cannot be imported before there are settings.
    from telemetry.history import lease, rounds
    from telemetry.ingest import folding

    rounds.LOOK_SECONDS = 0.05
    folding.FOLD_SECONDS = 0.1
    # Of a process that was killed.
    lease.claimed.__wrapped__.__defaults__ = (0.3, lease.NAME)  # type: ignore[attr-defined]


connection_created.connect(_hurry, dispatch_uid="hurry")

if _fault("hurry") is not None:
    # One that is killed every few seconds has no broken start to be spared.
    child.LONGEST_DELAY_SECONDS = 0.5

_right_time, _right_time_ns, _right_now = time.time, time.time_ns, timezone.now
_clocks = ("clock_us", f"clock_us-{os.environ.get('HUB_WORKER')}")


def _step_us() -> int:
    """By how much the clock of the machine, or of this one process, is wrong."""
    return sum(_fault(name) or 0 for name in _clocks)


time.time = lambda: _right_time() + _step_us() / 1e6
time.time_ns = lambda: _right_time_ns() + _step_us() * 1_000
timezone.now = lambda: _right_now() + timedelta(microseconds=_step_us())
