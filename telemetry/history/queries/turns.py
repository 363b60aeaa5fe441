"""How many requests read history at the same time: each holds what it reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

READS_AT_ONCE = 2
WAIT_SECONDS = 10.0

_reads = threading.BoundedSemaphore(READS_AT_ONCE)


class Busy(Exception):
    """Other requests have been reading for WAIT_SECONDS."""


@contextmanager
def turn() -> Iterator[None]:
    """One of the process's places for readers, waited for. Raises Busy. Blocks."""
    if not _reads.acquire(timeout=WAIT_SECONDS):
        raise Busy
    try:
        yield
    finally:
        _reads.release()
