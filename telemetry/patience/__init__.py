"""How long a statement may take, by what the process is and what its thread does.

TCP gives up a machine that falls silent (hub_project/database_options.py). A server
that is stopped, or whose disk does not answer, still has a kernel that does: nothing
but the clock tells. `base` is the PostgreSQL backend that looks at it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

# For what goes over much at once, and nobody waits for: a VACUUM takes the longest.
LONG = 60

_seconds: float | None = None
_own = threading.local()


def begin(seconds: float) -> None:
    """From now on statements of this process end, one way or the other.

    Commands that do one thing and end do not call it: a migration or a restore takes
    as long as it takes, and somebody sits before it.
    """
    global _seconds
    _seconds = seconds


def limit_seconds() -> float | None:
    """How long a statement of this thread may take; None: as long as it takes."""
    return None if _seconds is None else _seconds * getattr(_own, "times", 1)


def long(work: Callable[[], None]) -> Callable[[], None]:
    """The same work, whose statements may take `LONG` times as long."""

    @functools.wraps(work)
    def patiently() -> None:
        _own.times = LONG
        try:
            work()
        finally:
            del _own.times

    return patiently
