"""A lock that threads get in the order in which they asked for it.

SQLite lets one connection write at a time, and the others try again after pauses
that grow to 100 ms: one that asks often starves the rest. Inside a process nobody
has to guess when a transaction ends.
"""

from __future__ import annotations

import threading
from collections import deque


class Turn:
    """First come, first served; a turn that ends is handed to the next in line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self, seconds: float) -> bool:
        """Wait for the turn; False if it has not come after so many seconds."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        if gate.acquire(timeout=seconds):
            return True
        with self._lock:
            if gate not in self._waiting:
                # It came just now.
                return True
            self._waiting.remove(gate)
            return False

    def give(self) -> None:
        """End the turn. Only who has it may call this."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False
