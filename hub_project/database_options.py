"""How the hub connects to PostgreSQL: what its promises need, and what has an end.

The options of DATABASE_URL go before, but for what an acknowledgement rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A machine without power says nothing, and TCP alone would wait for hours. Who does
# not answer is given up after 11 s of silence, or 15 s with something on its way;
# one that is connected to, after 5 s each address. Not used on a unix socket.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# A process that is stopped within a transaction holds its locks for so long at most.
_PATIENCE_OF_SERVER = "-c idle_in_transaction_session_timeout=10s"
# What a process that is gone, or has given up, still waits for ends. Servers on
# Windows refuse it: the URL may say 0.
_CLIENT_CHECK = "client_connection_check_interval"
# On disk means on disk, and a commit sees what was claimed while it waited, also for
# a role whose own defaults are others. The last word holds.
_PROMISES = "-c synchronous_commit=on -c default_transaction_isolation=read\\ committed"


def postgresql(given: Mapping[str, Any]) -> dict[str, Any]:
    """Django's OPTIONS; `given` are those of the URL."""
    options = str(given.get("options") or "")
    check = "" if _CLIENT_CHECK in options else f"-c {_CLIENT_CHECK}=5s"
    words = (_PATIENCE_OF_SERVER, check, options, _PROMISES)
    return {**_PATIENCE, **given, "options": " ".join(filter(None, words))}
