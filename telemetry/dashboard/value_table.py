"""A group's or a device's current values as a table, for pages without a script.

A constant number of queries: devices with presence, series, last values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.utils import timezone as django_timezone
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext as _

from ..devices.models import Device, Kind, Series
from ..history.heads import Head
from .running_hub import last_values

# Without a script a page shows this many devices; a script shows the rest.
MAX_ROWS = 100
MAX_COLUMNS = 24
# From how many seconds on, in units of how many, in these words.
AGES = (
    (172_800, 86_400, gettext_noop("%(n)d d ago")),
    (5_400, 3_600, gettext_noop("%(n)d h ago")),
    (100, 60, gettext_noop("%(n)d min ago")),
    (0, 1, gettext_noop("%(n)d s ago")),
)
# From here on, and below, a number is written as a power of ten, as in format.js.
MOST_PLAIN, LEAST_PLAIN = 1e15, 1e-3
# Where every series is younger than this, the page begins with its shortest span.
YOUNG = timedelta(minutes=5)

# (name, unit): what one chart and one column show.
MetricKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value, as text; empty: the device has no such series or no reading."""

    text: str = ""
    last_at: datetime | None = None

    @property
    def ago(self) -> str:
        """How old the value is: “12 s ago”, “4 min ago”; empty without one."""
        if self.last_at is None:
            return ""
        passed = django_timezone.now() - self.last_at
        seconds = max(0, int(passed.total_seconds()))
        unit_seconds, text = next(
            (unit, text) for least, unit, text in AGES if seconds >= least
        )
        return gettext(text) % {"n": seconds // unit_seconds}


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

    @property
    def unit_beside(self) -> str:
        """The unit, unless the label says it itself, as “temperature (celsius)”."""
        words = re.split(r"[\s()\[\],;_]+", self.label.lower())
        return "" if len(words) > 1 and self.unit.lower() in words else self.unit


@dataclass(frozen=True, slots=True)
class ValueTable:
    """The rows of the first MAX_ROWS devices, and how many there are.

    `more_columns` metrics are not shown; `is_young`: every series was made just now.
    """

    columns: list[Column]
    more_columns: int
    is_young: bool
    rows: list[Row]
    devices: int
    online: int
    catalogue: list[list[object]]


def value_table(
    request: HttpRequest, devices: QuerySet[Device], max_columns: int = MAX_COLUMNS
) -> ValueTable:
    """The current values of `devices`, which somebody may see."""
    listed = list(devices.select_related("presence").order_by(Lower("name"), "slug"))
    series = list(
        Series.objects.alive()
        .filter(device__in=[device.pk for device in listed])
        .only(
            *("id", "device_id", "name", "unit", "kind", "label", "decimals"),
            "created_at",
        )
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
        more_columns=len(first) - len(keys),
        is_young=is_young(series),
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
        if series and head:
            cells.append(Cell(value_text(series, head), heard_at(head)))
        else:
            cells.append(Cell())
    last_at = max(
        (
            heard_at(heads[row.pk])
            for place, row in by_place.items()
            if place[0] == device.pk and row.pk in heads
        ),
        default=None,
    )
    return Row(device, _is_online(device), last_at, cells)


def heard_at(head: Head) -> datetime:
    # A clock that runs ahead makes nothing look fresh.
    heard_us = min(head.time_us, head.received_us)
    return datetime.fromtimestamp(heard_us / 1e6, timezone.utc)


def is_young(series: Sequence[Series]) -> bool:
    since = django_timezone.now() - YOUNG
    return bool(series) and all(row.created_at >= since for row in series)


def value_text(series: Series, head: Head) -> str:
    """A value as people read it; the script's format.js does the same."""
    return text_of(head.value, series.kind, series.decimals)


def text_of(value: float | str, kind: str, decimals: int | None) -> str:
    """A value of this kind; decimals: None for as many as it has, up to two."""
    if isinstance(value, str):
        return value
    if kind == Kind.BOOLEAN:
        return _("on") if value else _("off")
    size = abs(value)
    if size >= MOST_PLAIN or 0 < size < LEAST_PLAIN:
        text = f"{value:.4e}"
    elif decimals is not None:
        text = f"{value:,.{decimals}f}"
    else:
        text = f"{value:,.2f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def _is_online(device: Device) -> bool:
    presence = getattr(device, "presence", None)
    return presence is not None and bool(presence.is_online)
