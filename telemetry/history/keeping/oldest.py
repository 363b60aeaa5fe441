"""The oldest that each series holds: some series a statement, each by one index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import OuterRef, Subquery

from ...devices.models import Series
from .. import blocks
from ..lease import Held
from ..models import Block, TextReading

# A few milliseconds a statement.
PAGE_SERIES = 500


class Oldest(NamedTuple):
    """Times in µs, None where there is nothing. Raw and tier: of the oldest block."""

    series: int
    device: int
    raw_start_us: int | None
    raw_end_us: int | None
    tier_start_us: int | None
    tier_end_us: int | None
    text_us: int | None


def pages(held: Held) -> Iterator[list[Oldest]]:
    """All series but the deleted ones, some at once; the claim is kept up meanwhile."""
    alive = Series.objects.alive().filter(device__deleted_at=None).order_by("id")
    rows = alive.annotate(
        raw_start_us=_oldest_block(blocks.RAW, "start_us"),
        raw_end_us=_oldest_block(blocks.RAW, "end_us"),
        tier_start_us=_oldest_block(blocks.TIER_SECONDS, "start_us"),
        tier_end_us=_oldest_block(blocks.TIER_SECONDS, "end_us"),
        text_us=_oldest_text(),
    ).values_list("id", "device_id", *Oldest._fields[2:])
    last = 0
    while page := [Oldest(*row) for row in rows.filter(id__gt=last)[:PAGE_SERIES]]:
        yield page
        last = page[-1].series
        # Nothing may be due for minutes.
        with held.transaction():
            pass


def _oldest_block(resolution_seconds: int, name: str) -> Subquery:
    rows = Block.objects.filter(
        series_id=OuterRef("id"), resolution_seconds=resolution_seconds
    )
    return Subquery(rows.order_by("start_us", "part").values(name)[:1])


def _oldest_text() -> Subquery:
    rows = TextReading.objects.filter(series_id=OuterRef("id")).order_by("time_us")
    return Subquery(rows.values("time_us")[:1])
