"""Django's PostgreSQL backend, that gives up a server which does not answer in time.

Who waits hears what it hears of a server that is gone, OperationalError: what is done
then is done already. A commit that was given up may yet reach the disk; its row says
so when it is repeated (history/journal.py).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout

from . import limit_seconds


class Connection(psycopg.Connection[Any]):
    """psycopg's, whose every wait for the server has an end."""

    def wait(
        self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None
    ) -> RV:
        seconds = limit_seconds() if timeout is None else timeout
        try:
            return super().wait(gen, interval, seconds)
        except _WaitTimeout:
            if timeout is not None:
                raise  # It was psycopg that asked for it.
            # No word of the server could be understood any more. Nor is it asked to
            # cancel: of a commit that waits for a standby that would make a lie.
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"PostgreSQL has not answered within {seconds:g} s"
            ) from None


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects with `Connection`."""

    # Django knows no other way to choose the class.
    Database: Any = SimpleNamespace(**{**vars(psycopg), "connect": Connection.connect})
