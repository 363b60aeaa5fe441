"""Ends a process that does not end: at a point in time, and says what it waits for.

Safe at any moment: nothing is acknowledged that is not on disk. A supervisor would
kill it a little later, or the system, but neither knows why.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

logger = logging.getLogger(__name__)

# Whoever reads the log may hang as well.
TELLING_SECONDS = 0.3
_OURS = ("telemetry", "hub_project")
_ROOT = Path(__file__).resolve().parent.parent


class LastResort:
    """From `begin` on, this process has so many seconds.

    is_drained: whether all was done, so that what hangs is no failure.
    """

    def __init__(self, seconds: float) -> None:
        self.is_drained = False
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """The time runs; it does so once."""
        if self._timer is None:
            self._timer = threading.Timer(self._seconds, self._end)
            # It must not keep a process that is done.
            self._timer.daemon = True
            self._timer.name = "last resort"
            self._timer.start()

    def _end(self) -> None:
        telling = threading.Thread(target=self._tell, daemon=True, name="last words")
        telling.start()
        telling.join(TELLING_SECONDS)
        os._exit(0 if self.is_drained else 1)

    def _tell(self) -> None:
        logger.error(
            "this process did not end within %g s and is ended now; it waits for: %s",
            *(self._seconds, "; ".join(hanging()) or "nothing"),
        )


def hanging() -> Iterator[str]:
    """Each thread that keeps this process, and where it is."""
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is not None and not thread.daemon:
            yield f"{thread.name} in {place(frame)}"


def place(frame: FrameType) -> str:
    """The innermost line that is the hub's, and the function that it has called."""
    inner = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
    at: FrameType | None = frame
    while at is not None:
        path = Path(at.f_code.co_filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _OURS:
            own = f"{path.relative_to(_ROOT)}:{at.f_lineno} ({at.f_code.co_name})"
            return own if at is frame else f"{own}, {frame.f_code.co_name}"
        at = at.f_back
    return inner
