"""A group's or a device's current values as a table, for pages without a script.

A constant number of queries: devices with presence, series, last values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from ..devices.models import Device, Kind, Series
from ..history.heads import Head
from .hub import last_values

# Without a script a page shows this many devices; a script shows the rest.
MAX_ROWS = 100
MAX_COLUMNS = 6

# (name, unit): what one chart and one column show.
MetricKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value, as text; empty: the device has no such series or no reading."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One device: `last_at` is when its newest reading came in."""

    device: Device
    is_online: bool
    last_at: datetime | None
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of the table."""

    label: str
    unit: str


@dataclass(frozen=True, slots=True)
class ValueTable:
    """The rows of the first MAX_ROWS devices, and how many there are."""

    columns: list[Column]
    rows: list[Row]
    devices: int
    online: int
    catalogue: list[list[object]]


def value_table(
    request: HttpRequest, devices: QuerySet[Device], max_columns: int = MAX_COLUMNS
) -> ValueTable:
    """The current values of `devices`, which somebody may see."""
    listed = list(devices.select_related("presence").order_by("name", "slug"))
    series = list(
        Series.objects.alive()
        .filter(device__in=[device.pk for device in listed])
        .only("id", "device_id", "name", "unit", "kind", "label", "decimals")
        .order_by("name", "unit", "id")
    )
    shown = listed[:MAX_ROWS]
    keys = _most_common(series, max_columns)
    by_place = {(row.device_id, row.name, row.unit): row for row in series}
    ids_of_shown = {device.pk for device in shown}
    heads = last_values(
        request, [row.pk for row in series if row.device_id in ids_of_shown]
    )
    first = {(row.name, row.unit): row for row in reversed(series)}
    return ValueTable(
        columns=[Column(first[key].label or key[0], key[1]) for key in keys],
        rows=[_row(device, keys, by_place, heads) for device in shown],
        devices=len(listed),
        online=sum(_is_online(device) for device in listed),
        catalogue=[
            [name, unit, row.label, row.kind, row.decimals]
            for (name, unit), row in sorted(first.items())
        ],
    )


def _most_common(series: Sequence[Series], count: int) -> list[MetricKey]:
    counts = Counter((row.name, row.unit) for row in series)
    return sorted(counts, key=lambda key: (-counts[key], key))[:count]


def _row(
    device: Device,
    keys: Sequence[MetricKey],
    by_place: dict[tuple[int, str, str], Series],
    heads: dict[int, Head],
) -> Row:
    cells: list[Cell] = []
    for key in keys:
        series = by_place.get((device.pk, *key))
        head = heads.get(series.pk) if series else None
        cells.append(Cell(value_text(series, head)) if series and head else Cell())
    newest = max(
        (
            min(heads[row.pk].time_us, heads[row.pk].received_us)
            for place, row in by_place.items()
            if place[0] == device.pk and row.pk in heads
        ),
        default=None,
    )
    last_at = newest and datetime.fromtimestamp(newest / 1e6, timezone.utc)
    return Row(device, _is_online(device), last_at or None, cells)


def value_text(series: Series, head: Head) -> str:
    """A value as people read it; the script's format.js does the same."""
    if isinstance(head.value, str):
        return head.value
    if series.kind == Kind.BOOLEAN:
        return _("on") if head.value else _("off")
    if series.decimals is not None:
        text = f"{head.value:,.{series.decimals}f}"
    else:
        text = f"{head.value:,.2f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def _is_online(device: Device) -> bool:
    presence = getattr(device, "presence", None)
    return presence is not None and bool(presence.is_online)
