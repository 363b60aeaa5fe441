"""What retention would do now, by group, without doing it.

Looks at every row of the blocks (not at their data): seconds where there are
millions. What waits in the journal is not in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Length

from ...devices.models import DeviceGroup, Series
from .. import blocks, space
from ..models import Block, TextReading
from . import budget, days, removal, tiers
from .days import Days, Kept

# Series of one statement.
PAGE_SERIES = 500
# A row of TextReading with its index, without the text.
_TEXT_BYTES = 60


@dataclass(slots=True)
class Amount:
    """What some series hold, and what would become of it. Times in µs."""

    series: int = 0
    readings: int = 0
    bytes: int = 0
    oldest_us: int | None = None
    # Raw readings that would become rows of 5 minutes.
    thinned_readings: int = 0
    thinned_blocks: int = 0
    # Readings and texts that would go.
    deleted_readings: int = 0
    deleted_blocks: int = 0
    freed_bytes: int = 0
    oldest_after_us: int | None = None

    def add(self, other: Amount) -> None:
        """Count another in."""
        for each in fields(self):
            mine, its = getattr(self, each.name), getattr(other, each.name)
            if not each.name.startswith("oldest"):
                setattr(self, each.name, mine + its)
            elif its is not None:
                setattr(self, each.name, its if mine is None else min(mine, its))


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A group's devices, each in one group only: that which keeps it longest."""

    # Both empty for devices without a group.
    slug: str
    name: str
    raw_days: int
    tier_days: int
    amount: Amount


@dataclass(slots=True)
class Plan:
    """What steps by age would do; and how far the budget is exceeded before that."""

    groups: list[GroupPlan]
    database_bytes: int
    # 0: none.
    budget_bytes: int
    # Of deleted devices and series; `removal` takes it away.
    removed: Amount
    total: Amount = field(default_factory=Amount)

    @property
    def excess_bytes(self) -> int:
        """What would have to go beyond the ages, for the budget; about."""
        if not self.budget_bytes:
            return 0
        after = self.database_bytes - self.total.freed_bytes
        return max(0, after - self.budget_bytes)


def plan(now_us: int | None = None) -> Plan:
    """What `retention.steps` would do. Blocks: call it on a thread."""
    now_us = days.now_us() if now_us is None else now_us
    amounts: defaultdict[int | None, Amount] = defaultdict(Amount)
    for kept, series in _series():
        amounts[kept.group_id].add(_amount(series, kept.days, now_us))
    groups, removed = list(_groups(amounts)), _removed()
    made = Plan(groups, space.database_bytes(), budget.budget_bytes(), removed)
    for group in made.groups:
        made.total.add(group.amount)
    made.total.add(removed)
    return made


def _series() -> Iterator[tuple[Kept, Sequence[int]]]:
    """Series of one group and the same days, some at once."""
    kept, usual = days.of_devices(), Kept(days.defaults(), None)
    alive = Series.objects.alive().filter(device__deleted_at=None).order_by("id")
    found: defaultdict[Kept, list[int]] = defaultdict(list)
    for series, device in alive.values_list("id", "device_id"):
        found[kept.get(device, usual)].append(series)
    for own, ids in found.items():
        for start in range(0, len(ids), PAGE_SERIES):
            yield own, ids[start : start + PAGE_SERIES]


def _removed() -> Amount:
    """All that deleted series still have: to `_amount` everything is too old."""
    removed, dead = Amount(), sorted(removal.dead_series())
    for start in range(0, len(dead), PAGE_SERIES):
        some = dead[start : start + PAGE_SERIES]
        removed.add(_amount(some, Days(0, 0), removal.FOREVER_US))
    return removed


def _amount(series: Sequence[int], own: Days, now_us: int) -> Amount:
    tier_us = own.tier_before_us(now_us)
    amount = Amount(series=len(series))
    of_series = Block.objects.filter(series_id__in=series)
    raw_us = own.raw_before_us(now_us)
    for resolution_seconds in (blocks.RAW, blocks.TIER_SECONDS):
        rows = of_series.filter(resolution_seconds=resolution_seconds)
        amount.add(_of_blocks(rows, raw_us, tier_us, resolution_seconds))
    amount.add(_of_texts(TextReading.objects.filter(series_id__in=series), tier_us))
    return amount


def _of_blocks(rows: Any, raw_us: int, tier_us: int, resolution_seconds: int) -> Amount:
    rows = tiers.with_sizes(rows)
    size = F("size")
    is_old, is_kept = Q(end_us__lt=tier_us), Q(end_us__gte=tier_us)
    is_due = is_kept & Q(end_us__lt=raw_us) & tiers.IS_SMALLER_AS_ROWS
    found = rows.aggregate(
        readings=Sum("count"),
        bytes=Sum(size),
        oldest_us=Min("start_us"),
        deleted_readings=Sum("count", filter=is_old),
        deleted_blocks=Count("id", filter=is_old),
        freed_bytes=Sum(size, filter=is_old),
        oldest_after_us=Min("start_us", filter=is_kept),
        thinned_readings=Sum("count", filter=is_due),
        thinned_blocks=Count("id", filter=is_due),
        thinned_bytes=Sum(size, filter=is_due),
        rows=Sum("made", filter=is_due),
    )
    thinned_bytes = int(found.pop("thinned_bytes") or 0)
    made_rows = int(found.pop("rows") or 0)
    amount = _amount_of(found)
    if resolution_seconds == blocks.RAW:
        amount.freed_bytes += thinned_bytes - made_rows * tiers.ROW_BYTES
    else:
        amount.thinned_readings = amount.thinned_blocks = 0
    return amount


def _of_texts(rows: Any, tier_us: int) -> Amount:
    size = Length("value") + _TEXT_BYTES
    is_old = Q(time_us__lt=tier_us)
    return _amount_of(
        rows.aggregate(
            readings=Count("id"),
            bytes=Sum(size),
            oldest_us=Min("time_us"),
            deleted_readings=Count("id", filter=is_old),
            freed_bytes=Sum(size, filter=is_old),
            oldest_after_us=Min("time_us", filter=~is_old),
        )
    )


def _amount_of(found: dict[str, Any]) -> Amount:
    """Sums as the database answers them: null for none, and decimals."""
    amount = Amount()
    for name, value in found.items():
        if value is not None:
            setattr(amount, name, int(value))
    return amount


def _groups(amounts: dict[int | None, Amount]) -> Iterator[GroupPlan]:
    """By name, the devices without a group last."""
    usual = days.defaults()
    for group in DeviceGroup.objects.filter(id__in=[key for key in amounts if key]):
        yield GroupPlan(
            group.slug,
            group.name,
            group.raw_days or usual.raw,
            group.tier_days or usual.tier,
            amounts[group.id],
        )
    if None in amounts:
        yield GroupPlan("", "", usual.raw, usual.tier, amounts[None])
