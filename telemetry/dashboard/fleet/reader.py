"""Every device that one may see, with its state and the values of two metrics.

A constant number of queries however many devices there are; what the hub holds in
memory (last values, presence) is asked there, a slice at a time, so that the event
loop never waits long.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest

from ...devices.access import visible_devices, visible_groups
from ...devices.models import Device, Kind, Series
from ...devices.presence import Presence
from ...devices.status import fastest_period_us, judge, late_after_us
from ...devices.times import us_of
from ...history.heads import Heads
from ...history.models import SeriesHead
from ..running_hub import hub_of, on_loop
from .shown import Cell, Fleet, FleetDevice, Metric, SeriesRow, Value

# Series and devices that one step of the event loop looks up: a few ms.
SLICE = 5_000
# What the live socket takes at most (live.consumers: metrics).
MOST_FOLLOWED = 32
_EASIEST = (Kind.NUMBER, Kind.BOOLEAN, Kind.TEXT)


class FleetReader:
    """Reads a fleet for one request, in two steps: what there is, then its columns."""

    def __init__(self, request: HttpRequest, now_us: int) -> None:
        self._request = request
        self._groups = visible_groups(request.user)
        # As values: a person's rights are decided once, by a subquery.
        self._device_ids = visible_devices(request.user).values("pk")
        self._series = self._read_series()
        self._periods = self._read_periods()
        self.fleet = Fleet(
            now_us,
            self._read_devices(),
            list(self._groups.order_by(Lower("name"), "slug")),
            _metrics_of(self._series),
        )
        self._heads = self._read_heads()
        self._join_groups()
        self._judge()

    def choose(self, names: Iterable[str]) -> Fleet:
        """The fleet with the columns of these names, or else the most frequent."""
        known = {metric.name: metric for metric in self.fleet.metrics}
        columns = [known[name] for name in names if name in known]
        rest = [metric for metric in self.fleet.metrics if metric not in columns]
        # Numbers first: two that one can compare, and one that has a line.
        rest.sort(key=lambda metric: _EASIEST.index(Kind(metric.kind)))
        columns = [*columns, *rest][:2]
        cells: dict[tuple[int, str], Cell] = {}
        wanted = {metric.name for metric in columns}
        for series in self._series:
            if series.name in wanted:
                last = self._heads.get(series.id)
                cells[series.device_id, series.name] = Cell(series, last)
        for device in self.fleet.devices:
            device.cells = [cells.get((device.id, column.name)) for column in columns]
        self.fleet.columns = columns
        self.fleet.followed = self._followed(columns)
        return self.fleet

    # --- reading --------------------------------------------------------------------

    def _read_series(self) -> list[SeriesRow]:
        rows = Series.objects.alive().filter(device__in=self._device_ids).order_by()
        return [SeriesRow(*row) for row in rows.values_list(*SeriesRow._fields)]

    def _read_periods(self) -> dict[int, int]:
        """series id → µs between its readings, where the hub has estimated it."""
        rows = self._head_rows().filter(period_us__isnull=False)
        periods = rows.values_list("series_id", "period_us")
        return {series: period_us or 0 for series, period_us in periods}

    def _head_rows(self) -> QuerySet[SeriesHead]:
        alive = Series.objects.alive().filter(device__in=self._device_ids)
        return SeriesHead.objects.filter(series_id__in=alive.values("pk"))

    def _read_devices(self) -> list[FleetDevice]:
        rows = Device.objects.filter(pk__in=self._device_ids).order_by("slug")
        found = [
            FleetDevice(
                *(pk, slug, name, serial, tags, is_paused, bool(is_online)),
                changed_us=us_of(changed_at),
                last_seen_us=us_of(seen_at),
                period_us=None if seconds is None else round(seconds * 1e6),
            )
            for (
                pk,
                slug,
                name,
                serial,
                tags,
                is_paused,
                is_online,
                changed_at,
                seen_at,
                seconds,
            ) in rows.values_list(
                *("id", "slug", "name", "serial", "tags", "is_paused"),
                *("presence__is_online", "presence__changed_at"),
                *("presence__last_seen_at", "expected_period_seconds"),
            )
        ]
        hub = hub_of(self._request)
        if hub is not None:
            presence = hub.presence
            by_id = {device.id: device for device in found}
            for part in _slices(list(by_id)):
                for pk, seen in on_loop(partial(_presence, presence, part)):
                    device = by_id[pk]
                    device.is_online, device.changed_us, device.last_seen_us = seen
        return found

    def _read_heads(self) -> dict[int, Value]:
        hub = hub_of(self._request)
        if hub is None:
            rows = self._head_rows().values_list(
                "series_id", "effective_us", "value", "text"
            )
            return {
                pk: Value(heard_us, text if value is None else value)
                for pk, heard_us, value, text in rows
            }
        heads, found = hub.heads, {}
        for part in _slices([series.id for series in self._series]):
            found.update(on_loop(partial(_heads, heads, part)))
        return found

    # --- putting together -----------------------------------------------------------

    def _join_groups(self) -> None:
        devices = {device.id: device for device in self.fleet.devices}
        members: dict[int, list[int]] = defaultdict(list)
        # A group that one may not see is not named.
        rows = Device.groups.through.objects.filter(
            devicegroup__in=self._groups.values("pk")
        )
        for group_id, device_id in rows.values_list("devicegroup_id", "device_id"):
            members[group_id].append(device_id)
        # In the order of the groups.
        for group in self.fleet.groups:
            for device_id in members[group.pk]:
                if device_id in devices:
                    devices[device_id].groups.append(group)

    def _judge(self) -> None:
        devices = {device.id: device for device in self.fleet.devices}
        periods: dict[int, list[tuple[int | None, int]]] = defaultdict(list)
        for series in self._series:
            device = devices.get(series.device_id)
            last = self._heads.get(series.id)
            if device is None or last is None:
                continue
            device.last_us = max(last.heard_us, device.last_us or 0)
            periods[device.id].append((self._periods.get(series.id), last.heard_us))
        for device in devices.values():
            if device.period_us is None:
                device.period_us = fastest_period_us(periods[device.id])
                device.is_estimated = device.period_us is not None
            device.status = judge(device.facts, self.fleet.now_us)

    def _followed(self, columns: Sequence[Metric]) -> list[str]:
        """The columns, and for each device a metric that tells that it lives: its
        fastest, else the one that was heard last. A name that many share goes first.
        """
        own = [column.name for column in columns]
        best: dict[int, tuple[tuple[float, float], str]] = {}
        newest = {device.id: device.last_us or 0 for device in self.fleet.devices}
        for series in self._series:
            last = self._heads.get(series.id)
            if last is None or series.device_id not in newest:
                continue
            period_us = self._periods.get(series.id)
            silent_us = newest[series.device_id] - last.heard_us
            # One that has stopped while others go on tells nothing any more.
            goes_on = period_us is not None and silent_us <= late_after_us(period_us)
            # What is shown anyway wins, unless another is more than twice as fast.
            bonus = series.name in own
            period = (period_us or 0) if goes_on else float("inf")
            rank = period * (1 - bonus / 2), -(last.heard_us // 1_000_000) - bonus
            if series.device_id not in best or rank < best[series.device_id][0]:
                best[series.device_id] = rank, series.name
        names = Counter(name for _, name in best.values() if name not in own)
        # By name where as many share them: the same at every look.
        rest = sorted(names, key=lambda name: (-names[name], name))
        followed = [*own, *rest[: MOST_FOLLOWED - len(own)]]
        for device in self.fleet.devices:
            device.is_followed = device.id in best and best[device.id][1] in followed
        return followed


def _metrics_of(series: Iterable[SeriesRow]) -> list[Metric]:
    counts: dict[str, Counter[tuple[str, str, str, int | None]]] = defaultdict(Counter)
    for row in series:
        counts[row.name][row.label, row.unit, row.kind, row.decimals] += 1
    metrics = []
    for name, kinds in counts.items():
        (label, unit, kind, decimals), _ = kinds.most_common(1)[0]
        metrics.append(Metric(name, label, unit, kind, decimals, kinds.total()))
    return sorted(metrics, key=lambda metric: (-metric.count, metric.name))


def _presence(
    presence: Presence, ids: Iterable[int]
) -> list[tuple[int, tuple[bool, int | None, int | None]]]:
    entries = ((pk, presence.get(pk)) for pk in ids)
    return [
        (pk, (seen.is_online, seen.changed_us, seen.last_seen_us))
        for pk, seen in entries
    ]


def _heads(heads: Heads, ids: Iterable[int]) -> dict[int, Value]:
    return {
        # A clock that runs ahead makes nothing look fresh.
        pk: Value(min(head.time_us, head.received_us), head.value)
        for pk, head in heads.current(ids).items()
    }


def _slices(ids: list[int]) -> Iterable[list[int]]:
    return (ids[start : start + SLICE] for start in range(0, len(ids), SLICE))
