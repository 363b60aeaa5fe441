"""What a process that runs for months asks of Python's and C's memory keepers."""

from __future__ import annotations

import ctypes
import gc

# Python looks for cycles among all objects again and again; with 1,000 devices that
# stops every thread for 0.1 s each time, and nearly nothing of ours is a cycle. So
# the objects of the start are left out for good, and it looks this seldom: after so
# many more objects, and at the older ones once in so many times.
GARBAGE_THRESHOLDS = (50_000, 20, 50)
# glibc raises this limit by itself up to 32 MiB, and then keeps what a burst took:
# larger pieces (numpy's arrays) go back to the system when they are free.
MMAP_THRESHOLD_BYTES = 1_048_576
# And each thread would have a heap of its own.
ARENAS = 2
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def settle() -> None:
    """Once, when the process has started: what there is now, stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    # Other C libraries have no such call, or one that does nothing.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        mallopt(_M_ARENA_MAX, ARENAS)
