"""A device's last values as tiles, and what the page's script is told of its metrics.

Two queries: series, last values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest

from ...devices.models import Device, Kind, Series
from ...history.heads import Head
from ..running_hub import last_values
from ..value_table import Cell, Column, heard_at, is_young, value_text

# The order of the tiles, and of the script's (watch.js).
ORDER: tuple[str, ...] = (Kind.NUMBER, Kind.BOOLEAN, Kind.TEXT)


@dataclass(frozen=True, slots=True)
class Tile:
    """One metric that has a value."""

    column: Column
    cell: Cell
    kind: str


@dataclass(frozen=True, slots=True)
class DeviceValues:
    """heads: of the series that have a reading.

    catalogue: [name, unit, label, kind, decimals] of each metric.
    last_at: when the newest reading came in; is_young: every series was made just now.
    """

    heads: dict[int, Head]
    tiles: list[Tile]
    last_at: datetime | None
    is_young: bool
    catalogue: list[list[object]]


def device_values(request: HttpRequest, device: Device) -> DeviceValues:
    """What a device that somebody may see said last."""
    series = sorted(
        Series.objects.alive().filter(device=device),
        key=lambda row: (ORDER.index(row.kind), row.name, row.unit, row.pk),
    )
    heads = last_values(request, [row.pk for row in series])
    tiles = [
        Tile(
            Column(row.label or row.name, row.unit),
            Cell(value_text(row, heads[row.pk]), heard_at(heads[row.pk])),
            row.kind,
        )
        for row in series
        if row.pk in heads
    ]
    return DeviceValues(
        heads=heads,
        tiles=tiles,
        last_at=max(
            (tile.cell.last_at for tile in tiles if tile.cell.last_at), default=None
        ),
        is_young=is_young(series),
        catalogue=[
            [row.name, row.unit, row.label, row.kind, row.decimals] for row in series
        ],
    )
