"""Writing blocks: changes of series, in short transactions that ingest gets between."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import DataError, IntegrityError

from . import blocks, faults
from .blocks import NewBlock
from .lease import Held
from .models import Block

logger = logging.getLogger(__name__)

# A write transaction holds up the commits of ingest: so short it is to be.
WRITE_SECONDS = 0.01
FIRST_WRITE_BLOCKS = 64
# A busy machine makes any transaction slow: smaller ones would only be more.
LEAST_WRITE_BLOCKS = 64
MOST_WRITE_BLOCKS = 512


@dataclass(slots=True)
class Change:
    """What becomes of one series' blocks in one transaction."""

    made: list[NewBlock]
    deleted: list[int]
    closed: list[int]


class Pace:
    """How much one transaction does, so that it takes about WRITE_SECONDS / 2."""

    def __init__(self, count: int, least: int = 1, most: int = 4_096) -> None:
        self.count = count
        self._least = least
        self._most = most
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._started
        if seconds > WRITE_SECONDS * 0.7:
            self.count = max(self._least, self.count // 2)
        elif seconds < WRITE_SECONDS * 0.4:
            self.count = min(self._most, self.count + self.count // 4 + 1)


class Writing:
    """Writes changes of blocks in short transactions."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._pace = Pace(FIRST_WRITE_BLOCKS, LEAST_WRITE_BLOCKS, MOST_WRITE_BLOCKS)

    def write(self, changes: Sequence[Change]) -> Iterator[int]:
        """Yields after each transaction how many blocks it has made."""
        start = 0
        while start < len(changes):
            some = changes[start : start + self._pace.count]
            start += len(some)
            try:
                with self._pace:
                    self._write_once(some)
            except (DataError, IntegrityError) as error:
                if len(some) == 1:
                    self._set_aside(some[0], error)
                else:
                    for change in some:
                        yield from self.write([change])
                    continue
            yield sum(len(change.made) for change in some)

    def _write_once(self, changes: Sequence[Change]) -> None:
        deleted = [block for change in changes for block in change.deleted]
        closed = [block for change in changes for block in change.closed]
        with self._held.transaction():
            if deleted:
                Block.objects.filter(id__in=deleted).delete()
            if closed:
                Block.objects.filter(id__in=closed).update(is_open=False)
            blocks.insert(block for change in changes for block in change.made)

    def _set_aside(self, change: Change, error: Exception) -> None:
        """One bad series never stops the pass: its blocks get parts of their own."""
        made = [
            block._replace(is_open=False)
            for block in blocks.with_free_parts(change.made, change.deleted)
        ]
        self._write_once([Change(made, change.deleted, change.closed)])
        first = change.made[0]
        logger.error("series %s was sealed apart: %s", first.series_id, error)
        faults.note(
            first.series_id, blocks.RAW, first.start_us, first.end_us, str(error)
        )
