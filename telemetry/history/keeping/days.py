"""For how many days readings are kept: by the groups of their device.

A device in several groups keeps them for the longest time of these; one in none, and
a group that says nothing, for the hub's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Max

from ... import conf
from ...devices.models import Device, DeviceGroup
from ...protocol import clock
from ...protocol.clock import DAY_US
from ..models import SeriesHead

# Earlier than any reading, and within the database's integers.
_EARLIEST_US = -(2**62)


@dataclass(frozen=True, slots=True, order=True)
class Days:
    """How long a series is kept: as it came, and in all."""

    raw: int
    tier: int

    def raw_before_us(self, now_us: int) -> int:
        """Raw readings that end before this are due to be thinned out."""
        return max(_EARLIEST_US, now_us - self.raw * DAY_US)

    def tier_before_us(self, now_us: int) -> int:
        """What ends before this is due to go; never sooner than the raw readings."""
        return max(_EARLIEST_US, now_us - max(self.raw, self.tier) * DAY_US)


@dataclass(frozen=True, slots=True)
class Kept:
    """The days of a device, and the group that makes them so long."""

    days: Days
    group_id: int | None


def now_us(clock_us: int | None = None) -> int:
    """The moment that ages are counted from, µs; 0, of which nothing is old, while no
    reading has ever come.

    The earlier of the hub's clock (clock_us, if it was read before) and a day after
    the newest reading's own time. A clock that is years ahead must not cost readings,
    and what the devices' clocks say is the evidence that it is.
    """
    clock_us = clock.now_us() if clock_us is None else clock_us
    newest_us = SeriesHead.objects.aggregate(us=Max("time_us"))["us"]
    return 0 if newest_us is None else min(clock_us, newest_us + DAY_US)


def defaults() -> Days:
    """Of a device without a group."""
    return Days(int(conf.value("RAW_DAYS")), int(conf.value("TIER_DAYS")))


def of_devices() -> dict[int, Kept]:
    """Of each device that is in a group; `defaults` for the others.

    Of several groups that one is named whose raw readings are kept longest, and of
    equal ones the first made.
    """
    usual = defaults()
    groups = {
        group_id: Days(raw or usual.raw, tier or usual.tier)
        for group_id, raw, tier in DeviceGroup.objects.values_list(
            "id", "raw_days", "tier_days"
        )
    }
    kept: dict[int, Kept] = {}
    members = Device.groups.through.objects.order_by("devicegroup_id")
    for device, group in members.values_list("device_id", "devicegroup_id"):
        days, before = groups[group], kept.get(device)
        if before is None:
            kept[device] = Kept(days, group)
            continue
        longest = Days(max(days.raw, before.days.raw), max(days.tier, before.days.tier))
        first = before.group_id if before.days.raw >= days.raw else group
        kept[device] = Kept(longest, first)
    return kept
