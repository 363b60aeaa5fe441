"""The state of a watched topic: last values, a revision, a ring of changes. Pure.

The law: a client that took a snapshot and then every update from its revision on
holds what a fresh snapshot holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from .rows import Int64, Mask, Rows, merge, single
from .told_devices import ToldDevices, has_moved
from .topic_rows import Changes, DeviceRow, HeadRows, Metrics, Page, SeriesRow

BOOLEAN = "boolean"


class GroupState:
    """Last values of a topic's series, and the ring of ticks since some revision.

    Series are only ever appended; any other change of the members makes a new state
    (`successor`), which no older revision can be brought up to.
    """

    def __init__(
        self,
        series: Sequence[SeriesRow],
        devices: Iterable[DeviceRow],
        heads: HeadRows,
        *,
        ring_bytes: int,
        revision: int = 1,
    ) -> None:
        """heads: for the series that have a reading."""
        self.revision = revision
        # Clients of an earlier revision saw other members.
        self.changed_revision = revision
        # Revisions before this one have left the ring.
        self.floor = revision
        self.series: list[SeriesRow] = []
        self.ids = np.empty(0, np.int32)
        self.time_us = np.empty(0, np.int64)
        self._effective_us = np.empty(0, np.int64)
        self.last = np.empty(0, np.float64)
        self.has_value = np.empty(0, np.bool_)
        self.is_boolean = np.empty(0, np.bool_)
        # What was told of the series, 0: nothing, and in which revision.
        self._periods_us = np.empty(0, np.int64)
        self._period_revisions = np.empty(0, np.int64)
        self._periods_revision = revision
        self.texts: dict[int, str] = {}
        self.position: dict[int, int] = {}
        self._born: list[int] = []
        self._masks: dict[frozenset[str], Mask] = {}
        self._ring: deque[tuple[int, Rows, int]] = deque()
        self._ring_bytes = 0
        self._ring_limit_bytes = ring_bytes
        self._devices = ToldDevices(devices, revision)
        self._append(series, revision)
        self._keep_heads(heads)

    def successor(
        self,
        series: Sequence[SeriesRow],
        devices: Iterable[DeviceRow],
        heads: HeadRows,
    ) -> GroupState:
        """The state after members, names or units changed: one revision further.

        Of `heads` and what is held here the newer stays: other processes' readings
        are known only here.
        """
        kept = {
            row.id: self._head(self.position[row.id])
            for row in series
            if row.id in self.position and self.has_value[self.position[row.id]]
        }
        for series_id, head in heads.items():
            if series_id not in kept or head[1] >= kept[series_id][1]:
                kept[series_id] = head
        return GroupState(
            series,
            devices,
            kept,
            ring_bytes=self._ring_limit_bytes,
            revision=self.revision + 1,
        )

    # --- what happens ---------------------------------------------------------------

    def apply(self, rows: Rows, received_us: int) -> None:
        """Take what one tick changed: one revision further, unless it is nothing.

        A reading older than the value that is held (it came by another process) moves
        nothing and is told as late.
        """
        effective_us = np.minimum(rows.time_us, received_us)
        newer = effective_us >= self._effective_us[rows.positions]
        rows = self._only_newer(rows, newer, received_us)
        if not rows:
            return
        self.revision += 1
        self._effective_us[rows.positions] = effective_us[newer]
        self._keep(rows, received_us)
        self._remember(rows)

    def add_series(
        self,
        series: Sequence[SeriesRow],
        heads: HeadRows,
    ) -> None:
        """Append series not seen before: one revision further."""
        self.revision += 1
        self._append(series, self.revision)
        rows = self._keep_heads(heads)
        if rows:
            self._remember(rows)

    def catch_up(self, heads: HeadRows) -> None:
        """Take heads that are newer than what is held: one revision further."""
        newer = {
            series_id: head
            for series_id, head in heads.items()
            if head[1] > self._effective_us[self.position[series_id]]
        }
        if newer:
            self.revision += 1
            self._remember(self._keep_heads(newer))

    def break_off(self) -> None:
        """Something in between is missing: every client starts afresh, by a `gap`."""
        self.revision += 1
        self.floor = self.revision
        self._ring.clear()
        self._ring_bytes = 0

    def set_devices(self, rows: Iterable[DeviceRow]) -> None:
        """New facts about devices: one revision further if any of them differs."""
        changed = self._devices.news(rows)
        if not changed:
            return
        self.revision += 1
        self._devices.put(changed, self.revision)

    def set_periods(self, periods_us: Int64) -> None:
        """How far apart the series' readings come now, 0: not known yet.

        One revision further if any has moved far enough to be told again.
        """
        moved = has_moved(self._periods_us, periods_us)
        devices = self._devices.moved(periods_us, self._effective_us)
        if not devices and not moved.any():
            return
        self.revision += 1
        if moved.any():
            self._periods_us[moved] = periods_us[moved]
            self._period_revisions[moved] = self._periods_revision = self.revision
            for place in np.flatnonzero(moved).tolist():
                row = self.series[place]
                self.series[place] = replace(row, period_us=int(periods_us[place]))
        if devices:
            self._devices.put(devices, self.revision)

    # --- what clients are told ------------------------------------------------------

    def device(self, slug: str) -> DeviceRow | None:
        """What is known of a device of this topic."""
        return self._devices.get(slug)

    def covers(self, revision: int) -> bool:
        """Whether `since(revision)` is still possible."""
        return self.floor <= revision <= self.revision

    def lost_reason(self, revision: int) -> Literal["changed", "gap"]:
        """Why a client of `revision`, which is not covered, must start afresh."""
        return "changed" if revision < self.changed_revision else "gap"

    def since(self, revision: int, metrics: Metrics = None) -> Changes | None:
        """Everything newer than `revision`, each series once; None past the ring."""
        if not self.covers(revision):
            return None
        parts: list[Rows] = []
        for entry_revision, rows, _ in reversed(self._ring):
            if entry_revision <= revision:
                break
            parts.append(rows)
        parts.reverse()
        merged = merge(parts)
        series = self._series_since(revision)
        if metrics is not None:
            merged = merged.at(self._mask(metrics))
            series = [row for row in series if row.metric in metrics]
        return Changes(merged, tuple(series), self._devices.since(revision))

    def pages(self, metrics: Metrics, page_rows: int) -> Iterator[Page]:
        """A snapshot, in pages of at most `page_rows` series and as many devices."""
        places = np.arange(len(self.series), dtype=np.int32)
        if metrics is not None:
            places = places[self._mask(metrics)]
        devices = self._devices.since(-1)
        longest = max(len(places), len(devices), 1)
        for start in range(0, longest, page_rows):
            part = slice(start, start + page_rows)
            page = places[part]
            is_last = start + page_rows >= longest
            yield Page(page, page[self.has_value[page]], devices[part], is_last)

    # --- inside ---------------------------------------------------------------------

    def _series_since(self, revision: int) -> list[SeriesRow]:
        """Series that came since, and those whose period has moved."""
        first = bisect_right(self._born, revision)
        born = self.series[first:]
        if self._periods_revision <= revision:
            return born
        moved = np.flatnonzero(self._period_revisions[:first] > revision)
        return [self.series[place] for place in moved.tolist()] + born

    def _append(self, series: Sequence[SeriesRow], revision: int) -> None:
        for row in series:
            self.position[row.id] = len(self.series)
            self.series.append(row)
            self._born.append(revision)
        new = len(series)
        ids = np.array([row.id for row in series], np.int32)
        booleans = np.array([row.kind == BOOLEAN for row in series], np.bool_)
        self.ids = np.concatenate([self.ids, ids])
        never = np.zeros(new, np.int64)
        self.time_us = np.concatenate([self.time_us, never])
        self._effective_us = np.concatenate([self._effective_us, never])
        self.last = np.concatenate([self.last, np.zeros(new)])
        self.has_value = np.concatenate([self.has_value, np.zeros(new, np.bool_)])
        self.is_boolean = np.concatenate([self.is_boolean, booleans])
        self._periods_us = np.concatenate([self._periods_us, never])
        self._period_revisions = np.concatenate([self._period_revisions, never])
        self._devices.append(series)
        self._masks.clear()

    def _head(self, position: int) -> tuple[int, int, float | str]:
        return (
            int(self.time_us[position]),
            int(self._effective_us[position]),
            self.texts.get(position, float(self.last[position])),
        )

    def _keep_heads(self, heads: HeadRows) -> Rows:
        numbers: list[tuple[int, int, float]] = []
        texts: list[tuple[int, int, str]] = []
        for series_id, (time_us, effective_us, value) in heads.items():
            position = self.position[series_id]
            self._effective_us[position] = effective_us
            if isinstance(value, str):
                texts.append((position, time_us, value))
            else:
                numbers.append((position, time_us, value))
        positions, times_us, values = (
            zip(*numbers, strict=True) if numbers else [()] * 3
        )
        rows = replace(
            single(
                np.array(positions, np.int32),
                np.array(times_us, np.int64),
                np.array(values, np.float64),
            ),
            texts=tuple(texts),
        )
        self._keep_values(rows)
        return rows

    def _only_newer(self, rows: Rows, newer: Mask, received_us: int) -> Rows:
        late = list(rows.late)
        if not newer.all():
            older = rows.where(~newer)
            times = older.time_us.tolist()
            late += zip(older.positions.tolist(), times, times, strict=True)
        texts = []
        for position, time_us, value in rows.texts:
            if min(time_us, received_us) >= self._effective_us[position]:
                texts.append((position, time_us, value))
            else:
                late.append((position, time_us, time_us))
        if len(late) == len(rows.late):
            return rows
        return replace(rows.where(newer), late=tuple(late), texts=tuple(texts))

    def _keep(self, rows: Rows, received_us: int) -> None:
        self._keep_values(rows)
        for position, time_us, _ in rows.texts:
            self._effective_us[position] = min(time_us, received_us)

    def _keep_values(self, rows: Rows) -> None:
        self.time_us[rows.positions] = rows.time_us
        self.last[rows.positions] = rows.last
        self.has_value[rows.positions] = True
        for position, time_us, value in rows.texts:
            self.time_us[position] = time_us
            self.texts[position] = value
            self.has_value[position] = True

    def _remember(self, rows: Rows) -> None:
        size = rows.size_bytes
        self._ring.append((self.revision, rows, size))
        self._ring_bytes += size
        while self._ring_bytes > self._ring_limit_bytes:
            self.floor, _, size = self._ring.popleft()
            self._ring_bytes -= size

    def _mask(self, metrics: frozenset[str]) -> Mask:
        mask = self._masks.get(metrics)
        if mask is None:
            if len(self._masks) >= 64:
                # Clients choose their metrics: nobody may grow this without end.
                self._masks.clear()
            mask = np.array([row.metric in metrics for row in self.series], np.bool_)
            self._masks[metrics] = mask
        return mask
