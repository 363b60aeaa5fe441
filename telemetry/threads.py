"""The process's one thread for configuration: every ORM call of a socket runs here.

Rooms never call the ORM on the event loop. Readings do not come this way: the
journal has a thread and a connection of its own.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connection

P = ParamSpec("P")
T = TypeVar("T")

_executor = ThreadPoolExecutor(1, thread_name_prefix="database")


async def on_database_thread(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run `function` on the database thread and return what it returns.

    A connection that the server has dropped is replaced first, as Django does
    at the start of a request.
    """
    loop = asyncio.get_running_loop()
    call = functools.partial(_call, functools.partial(function, *args, **kwargs))
    return await loop.run_in_executor(_executor, call)


def _call(function: Callable[[], T]) -> T:
    # This thread keeps its connection, whatever CONN_MAX_AGE says for requests.
    connection.close_if_unusable_or_obsolete()
    connection.ensure_connection()
    connection.close_at = None
    try:
        return function()
    finally:
        connection.close_if_unusable_or_obsolete()
