"""The admin's page about storage: what comes in, what is kept, when the disk is full.

It reads sums that are cheap however large the database is; what retention would free
is worked out only when it is asked for. Readings themselves are not shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import conf
from ...devices.models import Device, DeviceGroup
from ...protocol import clock
from ...protocol.clock import DAY_US
from .. import space
from ..journal import READING_BYTES
from ..keeping import budget, days, over_budget, retention
from ..keeping.days import Days, Kept
from ..models import Block
from ..room import Unsealed
from . import fault_list, usage
from .forecast import Flow, days_until, growth_a_day
from .usage import Use

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

HUNGRIEST = 10
# Beyond that a forecast says nothing.
FAR_DAYS = 3_650


class Troubled(Protocol):
    """What this page reads of the hub in an ASGI scope."""

    def troubles(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class GroupLine:
    """What comes in of one group; without an id: of the devices in none."""

    id: int | None
    name: str
    days: Days
    devices: int
    use: Use


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """What comes in of one device; without an id it is gone."""

    id: int | None
    name: str
    group: str
    use: Use


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes, and in words when there are no more."""

    database_bytes: int
    journal_bytes: int
    most_journal_bytes: int
    # None: the database is on another machine's disk.
    free_bytes: int | None
    reserve_bytes: int
    budget_bytes: int
    # None: nothing is sealed yet, so nothing is known.
    growth_bytes: float | None
    outlook: str


def storage(site: AdminSite, request: HttpRequest) -> TemplateResponse:
    """The page; with `?preview` also what retention would free now."""
    now_us = clock.now_us()
    found = usage.by_device(now_us)
    unsealed = Unsealed().count()
    is_measured = bool(found.devices) or Block.objects.exists()
    kept, usual = days.of_devices(), Kept(days.defaults(), None)
    hub: Troubled | None = getattr(request, "scope", {}).get("telemetry.hub")
    context = {
        **site.each_context(request),
        "title": _("Storage"),
        "troubles": hub.troubles() if hub is not None else [],
        "disk": _disk(_flows(found.devices, kept, usual, now_us), unsealed)
        if is_measured
        else _disk(None, unsealed),
        "unsealed": unsealed,
        "window": _window(found.window_days),
        "groups": _groups(found.devices, kept, usual),
        "hungriest": _hungriest(found.devices, kept),
        **(_preview() if "preview" in request.GET else {}),
        "faults": fault_list.rows(),
        "fault_count": fault_list.open_faults().count(),
        "may_dismiss": fault_list.may_dismiss(request),
    }
    return TemplateResponse(request, "admin/storage.html", context)


def _preview() -> dict[str, Any]:
    plan = retention.plan()
    if not plan.excess_bytes:
        return {"plan": plan}
    return {"plan": plan, "reach": over_budget.reach(days.now_us())}


# --- the disk -------------------------------------------------------------------


def _disk(flows: list[Flow] | None, unsealed: int) -> Disk:
    """flows: None where nothing was ever sealed."""
    database_bytes, free_bytes = space.database_bytes(), space.free_bytes()
    reserve_bytes = int(conf.value("DISK_RESERVE_BYTES"))
    budget_bytes = budget.budget_bytes()
    return Disk(
        database_bytes,
        unsealed * READING_BYTES,
        int(conf.value("JOURNAL_BYTES")),
        free_bytes,
        reserve_bytes,
        budget_bytes,
        None if flows is None else growth_a_day(flows),
        "–"
        if flows is None
        else outlook(
            flows,
            None if free_bytes is None else free_bytes - reserve_bytes,
            budget_bytes - database_bytes if budget_bytes else None,
        ),
    )


def _flows(
    devices: Mapping[int | None, Use],
    kept: Mapping[int, Kept],
    usual: Kept,
    now_us: int,
) -> list[Flow]:
    """Raw readings until the first are thinned out, then rows of the tier."""
    uses: dict[Days, Use] = {}
    for device, use in devices.items():
        own = (usual if device is None else kept.get(device, usual)).days
        uses[own] = uses.get(own, Use()) + use
    longest = max((own.raw for own in uses), default=0)
    oldest_us = usage.oldest_us(now_us - longest * DAY_US)
    age = 0.0 if oldest_us is None else (now_us - oldest_us) / DAY_US
    row_bytes = usage.tier_row_bytes()
    flows: list[Flow] = []
    for own, use in uses.items():
        raw_left = own.raw - min(age, own.raw)
        tier_bytes = usage.tier_bytes_a_day(use, row_bytes)
        flows.append(Flow(use.bytes_a_day, raw_left))
        flows.append(Flow(tier_bytes, max(own.tier - age, raw_left), raw_left))
    return flows


def outlook(flows: list[Flow], room_bytes: int | None, budget_left: int | None) -> str:
    """When the disk is full, in words.

    room_bytes: what may still be used; None if nobody knows. budget_left: of the
    budget; None without one.
    """
    full = None if room_bytes is None else days_until(room_bytes, flows)
    if budget_left is not None:
        at_budget = days_until(budget_left, flows)
        if at_budget is not None and (full is None or at_budget <= full):
            return _("never: the budget is reached in %(span)s, then the oldest go") % {
                "span": _span(at_budget)
            }
    if not any(flow.bytes_a_day > 0 for flow in flows):
        return _("not growing")
    if room_bytes is None:
        return _("unknown: the database has a disk of its own")
    if full is None:
        return _("never: in time as much is thinned out as comes in")
    return _span(full) if full else _("it is full")


def _span(span_days: float) -> str:
    if span_days > FAR_DAYS:
        return _("more than 10 years")
    if span_days < 1:
        return _("less than a day")
    count = math.floor(span_days)
    return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}


def _window(window_days: float) -> str:
    """“7 days”, “31 hours”."""
    if window_days >= 2:
        count = round(window_days)
        return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}
    count = max(1, round(window_days * 24))
    return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}


# --- groups and devices ---------------------------------------------------------


def _groups(
    devices: Mapping[int | None, Use], kept: Mapping[int, Kept], usual: Kept
) -> list[GroupLine]:
    """Each device in the group that keeps it longest; those in none come last."""
    uses: dict[int | None, Use] = {}
    for device, use in devices.items():
        group = (usual if device is None else kept.get(device, usual)).group_id
        uses[group] = uses.get(group, Use()) + use
    counts: dict[int | None, int] = {}
    alive = Device.objects.alive().order_by().values_list("id", flat=True)
    for device in alive.iterator():
        group = kept.get(device, usual).group_id
        counts[group] = counts.get(group, 0) + 1
    lines = [
        GroupLine(
            group.id,
            group.name,
            Days(group.raw_days or usual.days.raw, group.tier_days or usual.days.tier),
            counts.get(group.id, 0),
            uses.get(group.id, Use()),
        )
        for group in DeviceGroup.objects.all()
    ]
    lines.sort(key=lambda line: -line.use.bytes_a_day)
    if counts.get(None) or None in uses:
        none = _("in no group")
        use = uses.get(None, Use())
        lines.append(GroupLine(None, none, usual.days, counts.get(None, 0), use))
    return lines


def _hungriest(
    devices: Mapping[int | None, Use], kept: Mapping[int, Kept]
) -> list[DeviceLine]:
    first = sorted(devices.items(), key=lambda item: -item[1].bytes_a_day)[:HUNGRIEST]
    ids = [device for device, _use in first if device is not None]
    names = dict(Device.objects.alive().filter(id__in=ids).values_list("id", "name"))
    groups = {kept[device].group_id for device in ids if device in kept}
    group_names = dict(
        DeviceGroup.objects.filter(id__in=groups).values_list("id", "name")
    )
    return [
        _device_line(device, use, names, kept, group_names) for device, use in first
    ]


def _device_line(
    device: int | None,
    use: Use,
    names: Mapping[int, str],
    kept: Mapping[int, Kept],
    group_names: Mapping[Any, str],
) -> DeviceLine:
    if device is None or device not in names:
        return DeviceLine(None, _("a device that is deleted"), "", use)
    group = kept[device].group_id if device in kept else None
    return DeviceLine(device, names[device], group_names.get(group, ""), use)
