"""`serve --workers N`: what it needs, and the programs that the supervisor keeps."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections
from django.utils.translation import gettext as _

from hub_project.child import Program
from hub_project.server import BACKLOG
from hub_project.supervisor import Supervisor
from hub_project.worker import is_listening

from .. import conf

# Each takes a core and 100 MB, and about ten connections to PostgreSQL, which has 100
# as it comes. Beyond it a second machine is the better answer.
MOST = 64
# Of a unix socket's address (unix(7)), its end included.
ADDRESS_BYTES = 107
# What a worker may take beyond the draining itself, and the jobs after them.
BEYOND_SECONDS = 5.0
JOBS_STOP_SECONDS = 4.0
RUN_DIR_MODE = 0o750
# Workers whose parent was killed remove their sockets as soon as they know.
LEAVING_SECONDS = 5.0


def checked(given: str) -> int:
    """How many workers; raises CommandError with one sentence if they cannot be."""
    is_number = given.isascii() and given.isdigit() and len(given) < 10
    count = int(given) if is_number else 0
    if not 1 <= count <= MOST:
        raise CommandError(
            _("--workers: expected a number from 1 to %(most)d, got %(given)s.")
            % {"most": MOST, "given": repr(given[:100])},
            returncode=2,
        )
    if connections["default"].vendor != "postgresql":
        raise CommandError(
            _(
                "--workers: expected PostgreSQL in DATABASE_URL, got SQLite, which "
                "lets one process write at a time; leave --workers out, or set it."
            ),
            returncode=2,
        )
    if "InMemory" in settings.CHANNEL_LAYERS["default"]["BACKEND"]:
        raise CommandError(
            _(
                "--workers: expected Redis in REDIS_URL, by which pages see what other "
                "workers receive, got none; leave --workers out, or set it."
            ),
            returncode=2,
        )
    _check_addresses(count)
    return count


def _check_addresses(count: int) -> None:
    longest = os.fsencode(socket_path(count))
    if len(longest) > ADDRESS_BYTES:
        raise CommandError(
            _(
                "HUB_RUN_DIR: expected a shorter path, for the address of a unix "
                "socket has %(most)d bytes at most, got %(path)s."
            )
            % {"most": ADDRESS_BYTES, "path": socket_path(count)},
            returncode=2,
        )


def socket_path(worker: int) -> Path:
    """Where a worker listens for a proxy."""
    return Path(settings.HUB_RUN_DIR) / f"worker-{worker}.sock"


def supervisor(
    listener: socket.socket, count: int, on_started: Callable[[], None]
) -> Supervisor:
    """The parent of so many workers on `listener`, and of their jobs."""
    _make_run_dir(count)
    manage = Path(settings.BASE_DIR) / "manage.py"
    programs = [
        Program(
            name=f"worker-{worker}",
            manage=manage,
            arguments=("serve", "--worker", str(worker), "--line-fd", "{line}"),
            variables={"HUB_WORKER": f"worker-{worker}"},
        )
        for worker in range(1, count + 1)
    ]
    jobs = Program(
        name="jobs",
        manage=manage,
        arguments=("runjobs", "--line-fd", "{line}"),
        variables={"HUB_WORKER": "jobs"},
    )
    draining = conf.value("DRAIN_WAIT_SECONDS") + conf.value("DRAIN_SECONDS")
    return Supervisor(
        listener,
        programs,
        jobs,
        backlog=BACKLOG,
        worker_stop_seconds=draining + BEYOND_SECONDS,
        jobs_stop_seconds=JOBS_STOP_SECONDS,
        on_started=on_started,
    )


def _make_run_dir(count: int) -> None:
    """Make the directory of the sockets. Raises CommandError if they cannot be."""
    path = Path(settings.HUB_RUN_DIR)
    try:
        if not path.exists():
            path.mkdir(parents=True)
            # Whatever the umask: the proxy is in the group.
            path.chmod(RUN_DIR_MODE)
        is_ours = os.access(path, os.W_OK | os.X_OK)
    except OSError:
        is_ours = False
    if not is_ours:
        raise CommandError(
            _("HUB_RUN_DIR: expected a directory that the hub may write, got %(path)s.")
            % {"path": path},
            returncode=2,
        )
    until = time.monotonic() + LEAVING_SECONDS
    for worker in range(1, count + 1):
        while is_listening(socket_path(worker)):
            if time.monotonic() > until:
                raise CommandError(
                    _(
                        "HUB_RUN_DIR: expected a directory of this hub alone, got "
                        "%(path)s, where another hub listens."
                    )
                    % {"path": socket_path(worker)},
                    returncode=2,
                )
            time.sleep(0.1)
