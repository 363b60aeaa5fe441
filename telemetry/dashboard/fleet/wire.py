"""A fleet as the JSON that its page's script loads: columns, as short as they can be.

Pure. Times are ms before `now`, null for never; see docs/topics/dashboard.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ...devices.models import Kind
from .shown import Cell, Fleet, FleetDevice, Metric

PAUSED, ONLINE, ESTIMATED, UNFOLLOWED = 1, 2, 4, 8


def encode(fleet: Fleet) -> bytes:
    """One place in every column for each device."""
    devices = fleet.devices
    place = {group.slug: at for at, group in enumerate(fleet.groups)}
    now_us = fleet.now_us
    body: dict[str, Any] = {
        "now": now_us // 1000,
        "columns": [
            [metric.name, metric.title, metric.unit, metric.kind, metric.decimals]
            for metric in fleet.columns
        ],
        "followed": fleet.followed,
        "groups": [[group.slug, group.name] for group in fleet.groups],
        "slug": [device.slug for device in devices],
        "name": _unlike((d.name for d in devices), (d.slug for d in devices)),
        "serial": _sparse(device.serial for device in devices),
        "tags": _sparse(device.tags for device in devices),
        "in": [[place[slug] for slug in device.group_slugs] for device in devices],
        "flags": [_flags(device) for device in devices],
        "changed": [_ago(device.changed_us, now_us) for device in devices],
        "seen": [_ago(device.last_seen_us, now_us) for device in devices],
        "last": [_ago(device.last_us, now_us) for device in devices],
        "period": [_ms(device.period_us) for device in devices],
        "cells": [
            _cells(metric, [device.cells[at] for device in devices], now_us)
            for at, metric in enumerate(fleet.columns)
        ],
    }
    return msgspec.json.encode(body)


def _cells(
    metric: Metric, cells: Sequence[Cell | None], now_us: int
) -> dict[str, list[Any] | dict[str, str]]:
    return {
        "id": [cell and cell.series.id for cell in cells],
        "value": [_value(cell) for cell in cells],
        "heard": [
            _ago(cell.last.heard_us, now_us) if cell and cell.last else None
            for cell in cells
        ],
        # Where it is not the column's.
        "unit": {
            str(at): cell.series.unit
            for at, cell in enumerate(cells)
            if cell and cell.series.unit != metric.unit
        },
    }


def _value(cell: Cell | None) -> bool | float | int | str | None:
    if cell is None or cell.last is None:
        return None
    value = cell.last.value
    if isinstance(value, str):
        return value
    if cell.series.kind == Kind.BOOLEAN:
        return bool(value)
    return int(value) if value % 1 == 0 and abs(value) < 1e15 else value


def _flags(device: FleetDevice) -> int:
    return (
        PAUSED * device.is_paused
        + ONLINE * device.is_online
        + ESTIMATED * device.is_estimated
        + UNFOLLOWED * (not device.is_followed)
    )


def _ago(moment_us: int | None, now_us: int) -> int | None:
    return None if moment_us is None else (now_us - moment_us) // 1000


def _ms(us: int | None) -> int | float | None:
    return us if us is None else us / 1000 if us % 1000 else us // 1000


def _sparse(texts: Iterable[str]) -> dict[str, str]:
    return {str(at): text for at, text in enumerate(texts) if text}


def _unlike(texts: Iterable[str], others: Iterable[str]) -> list[str | int]:
    """The texts; 0 where one is the same as its other."""
    return [
        0 if text == other else text for text, other in zip(texts, others, strict=True)
    ]
