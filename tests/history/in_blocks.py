"""What blocks hold, read one by one and without the query: for tests."""

from __future__ import annotations

from telemetry.history import blocks
from telemetry.history.models import Block
from telemetry.history.pack import unpack

from .rows import bits


def stored(series: int) -> list[tuple[int, int]]:
    """(time, bits of the value) of a series' raw blocks, one block after another."""
    rows = Block.objects.filter(
        series_id=series, resolution_seconds=blocks.RAW
    ).order_by("start_us", "part")
    found: list[tuple[int, int]] = []
    for block in rows:
        times_us, values = unpack(bytes(block.data), block.length)
        found += zip(times_us.tolist(), bits(values), strict=True)
    return found


def lengths(series: int) -> list[int]:
    """How many readings each of a series' raw blocks holds, by time."""
    rows = Block.objects.filter(series_id=series, resolution_seconds=blocks.RAW)
    return list(rows.order_by("start_us", "part").values_list("length", flat=True))
