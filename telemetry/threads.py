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

from django.db import close_old_connections

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
    close_old_connections()
    try:
        return function()
    finally:
        close_old_connections()
