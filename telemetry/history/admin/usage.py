"""What comes into the history a day, by device: estimated from the newest blocks.

Only blocks that begin in the last days are looked at, with the share of these days of
each series' last one that began earlier; and only so many of them, so that the answer
takes about a second however large the database is. Nothing is decompressed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import (
    BigIntegerField,
    Count,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Length

from ...devices.models import Series
from ...protocol.clock import DAY_US
from .. import blocks
from ..keeping import tiers
from ..models import Block
from ..space import ROW_BYTES
from ..tier_rows import BUCKET_US

WINDOW_DAYS = 7.0
# Blocks of a window, at most: else it is made shorter. Each is one look-up on disk.
MOST_BLOCKS = 50_000
# A device that has just begun is judged by this much, not by its first second.
LEAST_US = 3_600_000_000
# Rows of the tier a day, and blocks that say what one takes.
TIER_ROWS_A_DAY = DAY_US / BUCKET_US
TIER_SAMPLE = 500


@dataclass(frozen=True, slots=True)
class Use:
    """What comes in a day, in stored bytes and readings; series that took part."""

    bytes_a_day: float = 0.0
    readings_a_day: float = 0.0
    series: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(
            self.bytes_a_day + other.bytes_a_day,
            self.readings_a_day + other.readings_a_day,
            self.series + other.series,
        )

    @property
    def bytes_a_reading(self) -> float:
        return self.bytes_a_day / self.readings_a_day if self.readings_a_day else 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the last `window_days`, by device id; None: of no device any more."""

    window_days: float
    devices: Mapping[int | None, Use]


def by_device(now_us: int) -> Usage:
    """What all devices use. Blocks, for a second at most. Raises DatabaseError."""
    days = WINDOW_DAYS
    count = _beginning(now_us - int(days * DAY_US)).count()
    if count > MOST_BLOCKS:
        days = max(days * MOST_BLOCKS / count, LEAST_US / DAY_US)
    from_us = now_us - int(days * DAY_US)
    counts = dict(
        Series.objects.alive()
        .order_by()
        .values_list("device_id")
        .annotate(series=Count("id"))
    )
    devices: dict[int | None, Use] = {}
    for device, (size, readings, begun_us) in _sums(from_us).items():
        seen_days = max(now_us - max(from_us, begun_us), LEAST_US) / DAY_US
        devices[device] = Use(
            size / seen_days, readings / seen_days, counts.get(device, 0)
        )
    return Usage(days, devices)


def _beginning(from_us: int) -> QuerySet[Block]:
    return Block.objects.filter(resolution_seconds=blocks.RAW, start_us__gte=from_us)


def _sums(from_us: int) -> dict[int | None, tuple[float, float, int]]:
    """Of each device: bytes and readings from then on, and since when (µs)."""
    # By way of the ids: the index alone says which rows have to be read.
    new = Block.objects.filter(id__in=_beginning(from_us).values("id"))
    earlier = Block.objects.filter(
        resolution_seconds=blocks.RAW,
        is_open=True,
        start_us__lt=from_us,
        end_us__gte=from_us,
    )
    size, readings = Length("data") + ROW_BYTES, F("count")
    closed = Block.objects.filter(
        id__in=Subquery(_last_before(from_us)), is_open=False, end_us__gte=from_us
    )
    # 65 KB by a year in µs, and more, are within 64 bits.
    part, span = F("end_us") - from_us, F("end_us") - F("start_us")
    sums: dict[int | None, tuple[float, float, int]] = {}
    for device, *found in (
        *_of_devices(new, size, readings),
        *_of_devices(earlier, size * part / span, readings * part / span),
        *_of_devices(closed, size * part / span, readings * part / span),
    ):
        before = sums.get(device, (0.0, 0.0, found[2]))
        sums[device] = (
            before[0] + float(found[0]),
            before[1] + float(found[1]),
            min(before[2], found[2]),
        )
    return sums


def _last_before(from_us: int) -> QuerySet[Any, Any]:
    """The id of each series' last block that begins earlier: one look-up a series."""
    earlier = Block.objects.filter(
        series_id=OuterRef("id"), resolution_seconds=blocks.RAW, start_us__lt=from_us
    ).order_by("-start_us", "-part")
    last = Series.objects.annotate(last=Subquery(earlier.values("id")[:1]))
    return last.exclude(last=None).order_by().values("last")


def _of_devices(rows: QuerySet[Block], size: Any, readings: Any) -> QuerySet[Any, Any]:
    of_series = Series.objects.filter(id=OuterRef("series_id"))
    number: BigIntegerField[int, int] = BigIntegerField()
    return (
        rows.annotate(device=Subquery(of_series.values("device_id")[:1]))
        .order_by()
        .values_list("device")
        .annotate(
            size=Sum(ExpressionWrapper(size, number)),
            readings=Sum(ExpressionWrapper(readings, number)),
            begun_us=Min("start_us"),
        )
    )


def oldest_us(from_us: int) -> int | None:
    """The start of the oldest raw block from then on; the index alone is read."""
    found: int | None = _beginning(from_us).aggregate(start=Min("start_us"))["start"]
    return found


def tier_row_bytes() -> float:
    """What a row of the tier takes, of the blocks that were written last."""
    of_tier = Block.objects.filter(resolution_seconds=blocks.TIER_SECONDS)
    # By way of the ids: where there is none yet, the index alone is read.
    newest = list(of_tier.order_by("-id").values_list("id", flat=True)[:TIER_SAMPLE])
    sizes = Block.objects.filter(id__in=newest)
    sizes = sizes.annotate(size=Length("data") + ROW_BYTES)
    sample = list(sizes.values_list("size", "length"))
    rows = sum(length for _, length in sample)
    return sum(size for size, _ in sample) / rows if rows else tiers.ROW_BYTES


def tier_bytes_a_day(use: Use, row_bytes: float) -> float:
    """What thinned readings will take a day: a row a series and 5 minutes at most."""
    return row_bytes * min(use.readings_a_day, use.series * TIER_ROWS_A_DAY)
