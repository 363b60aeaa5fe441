"""Frames for browsers: a topic's state as text, encoded once for all in step. Pure.

Clients with the same revision and metrics share one frame, whatever their number.
"""

from __future__ import annotations

import msgspec

from ..protocol.clock import to_ms
from ..protocol.messages import Reset, Snapshot, Update
from .rows import Float64, Int32, Int64, Rows
from .state import GroupState
from .topic_rows import Changes, DeviceRow, Metrics, Page, SeriesRow

Row = tuple[object, ...]

_encoder = msgspec.json.Encoder()
# Clients may sit at many revisions and choose many metrics: beyond this many frames
# at one revision sharing no longer pays, and memory stays bounded.
_KEPT_FRAMES = 64


class Frames:
    """Encodes for one topic; keeps what it encoded until the revision moves."""

    def __init__(self, topic: str, snapshot_rows: int) -> None:
        self._topic = topic
        self._snapshot_rows = snapshot_rows
        self._state: GroupState | None = None
        self._revision = -1
        self._updates: dict[tuple[int, Metrics], str | None] = {}
        self._snapshots: dict[Metrics, list[str]] = {}

    def snapshot(self, state: GroupState, metrics: Metrics) -> list[str]:
        """The pages of a snapshot of `state`, each one frame."""
        self._forget_older(state)
        pages = self._snapshots.get(metrics)
        if pages is None:
            pages = [
                _text(_snapshot(self._topic, state, page))
                for page in state.pages(metrics, self._snapshot_rows)
            ]
            self._snapshots[metrics] = pages
        return pages

    def update(
        self, state: GroupState, revision: int, metrics: Metrics, now_us: int
    ) -> str | None:
        """What is newer than `revision`, which the state covers; None for nothing."""
        self._forget_older(state)
        key = (revision, metrics)
        if key not in self._updates:
            changes = state.since(revision, metrics)
            self._updates[key] = (
                _text(_update(self._topic, state, changes, now_us)) if changes else None
            )
        return self._updates[key]

    def heartbeat(self, revision: int, now_us: int) -> str:
        """An empty update: the topic is alive, and what time it is."""
        message = Update(self._topic, revision, to_ms(now_us), rows=[])
        return _text(message)

    def _forget_older(self, state: GroupState) -> None:
        is_full = len(self._updates) + len(self._snapshots) >= _KEPT_FRAMES
        if state is not self._state or state.revision != self._revision or is_full:
            self._state = state
            self._revision = state.revision
            self._updates.clear()
            self._snapshots.clear()


def reset(topic: str, reason: str) -> str:
    """A `reset`: gap, changed, forbidden or gone."""
    return _text(Reset(topic, reason))  # type: ignore[arg-type]


def _text(message: msgspec.Struct) -> str:
    return _encoder.encode(message).decode()


def _snapshot(topic: str, state: GroupState, page: Page) -> Snapshot:
    return Snapshot(
        group=topic,
        revision=state.revision,
        series=[_series(state.series[place]) for place in page.series.tolist()],
        rows=_value_rows(state, page.valued),
        more=not page.is_last,
        devices=[_device(row) for row in page.devices],
    )


def _update(topic: str, state: GroupState, changes: Changes, now_us: int) -> Update:
    rows = changes.rows
    message = Update(
        group=topic,
        revision=state.revision,
        time=to_ms(now_us),
        rows=_rows(state, rows),  # type: ignore[arg-type]
    )
    if changes.series:
        message.series = [_series(row) for row in changes.series]
    if rows.late:
        ids = state.ids
        message.late = [
            [int(ids[place]), to_ms(start), to_ms(end)]
            for place, start, end in rows.late
        ]
    if changes.devices:
        message.devices = [_device(row) for row in changes.devices]
    return message


def _series(row: SeriesRow) -> list[object]:
    return [row.id, row.device, row.metric, row.unit, _seconds(row.period_us)]


def _device(row: DeviceRow) -> list[object]:
    return [
        row.slug,
        row.name,
        row.is_online,
        None if row.changed_us is None else to_ms(row.changed_us),
        None if row.last_seen_us is None else to_ms(row.last_seen_us),
        row.is_paused,
        _seconds(row.period_us),
        row.is_estimated,
    ]


def _seconds(period_us: int | None) -> float | None:
    return None if period_us is None else period_us / 1e6


def _value_rows(state: GroupState, places: Int32) -> list[list[object]]:
    """[id, time, value] of the last values."""
    values: list[object] = _values(state, places, state.last[places])
    if state.texts:
        values = [
            state.texts.get(place, value)
            for place, value in zip(places.tolist(), values, strict=True)
        ]
    times = _times_ms(state.time_us[places])
    ids = state.ids[places].tolist()
    return [list(row) for row in zip(ids, times, values, strict=True)]


def _rows(state: GroupState, rows: Rows) -> list[Row]:
    """[id, time, value], or with min, max, count where several were merged."""
    ids = state.ids[rows.positions].tolist()
    times = _times_ms(rows.time_us)
    last = _values(state, rows.positions, rows.last)
    encoded: list[Row]
    if (rows.count == 1).all():
        encoded = list(zip(ids, times, last, strict=True))
    else:
        columns = zip(
            ids,
            times,
            last,
            _values(state, rows.positions, rows.minimum),
            _values(state, rows.positions, rows.maximum),
            rows.count.tolist(),
            strict=True,
        )
        encoded = [row if row[5] != 1 else row[:3] for row in columns]
    for place, time_us, value in rows.texts:
        encoded.append((int(state.ids[place]), to_ms(time_us), value))
    return encoded


def _values(state: GroupState, places: Int32, values: Float64) -> list[object]:
    listed: list[object] = values.tolist()
    for index in state.is_boolean[places].nonzero()[0].tolist():
        listed[index] = bool(listed[index])
    return listed


def _times_ms(times_us: Int64) -> list[float] | list[int]:
    """Whole milliseconds as integers where all are: shorter, and the usual case."""
    if (times_us % 1000).any():
        fractions: list[float] = (times_us / 1000).tolist()
        return fractions
    whole: list[int] = (times_us // 1000).tolist()
    return whole
