"""How far a long command is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django.utils.translation import gettext as _
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Off a terminal each line stays, so there are few.
PLAIN_SECONDS = 5.0


class Count(Protocol):
    """Told of every step; may be told often."""

    def at(self, done: int, readings: int) -> None:
        """So much of the total is done, and so many readings."""


@contextmanager
def counting(stderr: Any, total: int) -> Iterator[Count]:
    """Show how far the work in the block is. stderr: a command's; total: 0 unknown."""
    if not stderr.isatty():
        yield _Lines(stderr, total)
        return
    columns = (
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, total)


class _Bar:
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(_text(0), total=total or None)

    def at(self, done: int, readings: int) -> None:
        self._progress.update(self._task, completed=done, description=_text(readings))


class _Lines:
    def __init__(self, stderr: Any, total: int) -> None:
        self._stderr = stderr
        self._total = total
        self._next = time.monotonic() + PLAIN_SECONDS

    def at(self, done: int, readings: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PLAIN_SECONDS
        share = f"{min(done / self._total, 1.0):4.0%}  " if self._total else ""
        self._stderr.write(share + _text(readings))
        self._stderr.flush()


def _text(readings: int) -> str:
    return _("%(readings)s readings") % {"readings": f"{readings:,}"}
