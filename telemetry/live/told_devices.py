"""The devices of a topic as its clients know them, and how often each sends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..history.intervals import device_periods_us
from .rows import Int64, Mask
from .topic_rows import DeviceRow, SeriesRow

# An estimated period that has moved by more than this part of it is told again.
PERIOD_MOVED = 0.25


class ToldDevices:
    """Rows of devices, each with the revision in which it was told."""

    def __init__(self, rows: Iterable[DeviceRow], revision: int) -> None:
        self._rows = {row.slug: (row, revision) for row in rows}
        self._revision = revision
        # The device of each series: its place in _slugs; and what was told of those.
        self._device_of = np.empty(0, np.int32)
        self._slugs: list[str] = []
        self._places: dict[str, int] = {}
        self._estimates_us = np.empty(0, np.int64)

    def append(self, series: Sequence[SeriesRow]) -> None:
        """The topic has these series too."""
        places = [
            self._places.setdefault(row.device, len(self._places)) for row in series
        ]
        self._slugs = list(self._places)
        more = np.zeros(len(self._slugs) - len(self._estimates_us), np.int64)
        self._estimates_us = np.concatenate([self._estimates_us, more])
        self._device_of = np.concatenate([self._device_of, np.array(places, np.int32)])

    def get(self, slug: str) -> DeviceRow | None:
        """What was told of a device last."""
        kept = self._rows.get(slug)
        return kept and kept[0]

    def news(self, rows: Iterable[DeviceRow]) -> list[DeviceRow]:
        """Those of new facts that differ from what was told.

        That a device was seen later is no news of its own: it is at every reading.
        """
        return [row for row in map(self._estimated, rows) if self._is_news(row)]

    def moved(self, periods_us: Int64, effective_us: Int64) -> list[DeviceRow]:
        """Devices that send clearly more or less often than was told.

        Of each series how far apart its readings come, and its newest one.
        """
        estimates_us = device_periods_us(
            periods_us, effective_us, self._device_of, len(self._slugs)
        )
        moved = has_moved(self._estimates_us, estimates_us)
        self._estimates_us[moved] = estimates_us[moved]
        rows = []
        for place in np.flatnonzero(moved).tolist():
            row = self.get(self._slugs[place])
            if row is not None and row.is_estimated:
                rows.append(replace(row, period_us=int(estimates_us[place])))
        return rows

    def put(self, rows: Iterable[DeviceRow], revision: int) -> None:
        """These are told, in this revision."""
        self._revision = revision
        for row in rows:
            self._rows[row.slug] = (row, revision)

    def since(self, revision: int) -> tuple[DeviceRow, ...]:
        """All that were told after `revision`."""
        if self._revision <= revision:
            return ()
        return tuple(row for row, told in self._rows.values() if told > revision)

    def _estimated(self, row: DeviceRow) -> DeviceRow:
        if not row.is_estimated:
            return row
        place = self._places.get(row.slug)
        estimate_us = 0 if place is None else int(self._estimates_us[place])
        return replace(row, period_us=estimate_us or None)

    def _is_news(self, row: DeviceRow) -> bool:
        kept = self.get(row.slug)
        return kept is None or replace(row, last_seen_us=kept.last_seen_us) != kept


def has_moved(told_us: Int64, periods_us: Int64) -> Mask:
    """Which periods are to be told; one that is not known any more is not."""
    is_far = np.abs(periods_us - told_us) > PERIOD_MOVED * told_us
    moved: Mask = (periods_us > 0) & ((told_us == 0) | is_far)
    return moved
