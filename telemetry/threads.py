"""The process's one thread for configuration: every ORM call of a socket runs here.

Rooms never call the ORM on the event loop. Readings do not come this way: the
journal has a thread and a connection of its own.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

P = ParamSpec("P")
T = TypeVar("T")

# A connection that was lost after so long was waited for in vain.
VAIN_SECONDS = 1.0

_executor = ThreadPoolExecutor(1, thread_name_prefix="database")
# When the last call ended that waited in vain (time.monotonic).
_vain_at = 0.0


async def on_database_thread(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run `function` on the database thread and return what it returns.

    A connection that the server has dropped is replaced first, as Django does
    at the start of a request.
    """
    loop = asyncio.get_running_loop()
    work = functools.partial(function, *args, **kwargs)
    call = functools.partial(_call, work, time.monotonic())
    return await loop.run_in_executor(_executor, call)


def _call(function: Callable[[], T], asked_at: float) -> T:
    global _vain_at
    began = time.monotonic()
    if asked_at < _vain_at:
        # One after another they would wait for minutes, each as long as the first.
        raise OperationalError("the database has not answered who asked before")
    try:
        return _on_connection(function)
    except (OperationalError, InterfaceError):
        now = time.monotonic()
        if connection.connection is None and now - began >= VAIN_SECONDS:
            _vain_at = now
        raise


def _on_connection(function: Callable[[], T]) -> T:
    # This thread keeps its connection, whatever CONN_MAX_AGE says for requests.
    connection.close_if_unusable_or_obsolete()
    connection.ensure_connection()
    connection.close_at = None
    try:
        return function()
    finally:
        connection.close_if_unusable_or_obsolete()
