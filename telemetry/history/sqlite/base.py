"""Django's SQLite backend, with the write transactions of a process in one line.

With it, ingest's commit waits for the transaction before it, not for the next look
of SQLite's busy handler: docs/adr/0009. Other processes are still waited for by that.
"""

from __future__ import annotations

import threading
from typing import Any

from django.db.backends.sqlite3 import base

from .turn import Turn

_turns: dict[str, Turn] = {}
_turns_lock = threading.Lock()


def turn_of(name: str) -> Turn:
    """The turn of all connections of this process to one file."""
    with _turns_lock:
        return _turns.setdefault(name, Turn())


class DatabaseWrapper(base.DatabaseWrapper):
    """Has the turn of its file from BEGIN to COMMIT, ROLLBACK or close.

    The methods are Django's own, which its type stubs leave out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn: Turn | None = None

    def _start_transaction_under_autocommit(self) -> None:
        turn = turn_of(str(self.settings_dict["NAME"]))
        seconds = self.get_connection_params().get("timeout", 5.0)
        # If it never comes, SQLite says "database is locked", as it always does.
        if self._turn is None and turn.take(seconds):
            self._turn = turn
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._give()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._give()

    def _rollback(self) -> None:
        super()._rollback()  # type: ignore[misc]
        self._give()

    def _close(self) -> None:
        # Whatever becomes of it, the file is free of this connection's transaction.
        self._give()
        super()._close()  # type: ignore[misc]

    def _give(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.give()
