"""The fleet page `/`: every device that one may see, and whether anything is wrong.

Readable as it comes; `/fleet.json` has all of it for the script. What one may not see
is not there. Rights: devices.access alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from ...devices.status import State, sentence
from ...devices.times import datetime_of
from ...protocol.clock import now_us
from ..value_table import Cell as AgedCell
from . import wire
from .query import STATES, VIEWS, Query, count_states, select
from .query import read as read_query
from .reader import FleetReader
from .shown import Fleet, FleetDevice

# Without a script a page shows this many devices; a script shows the rest.
MAX_ROWS = 100
# What a choice offers: no list that nobody reads to its end.
MAX_CHOICES = 50
SORT_WORDS = (
    ("state", gettext_noop("Problems first")),
    ("name", gettext_noop("Device")),
    ("group", gettext_noop("Group")),
    ("last", gettext_noop("Oldest reading first")),
    ("-last", gettext_noop("Newest reading first")),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One device as the template shows it. values: a label and a text a column."""

    device: FleetDevice
    word: str
    evidence: str
    values: list[tuple[str, str]]
    last_at: datetime | None

    @property
    def more_groups(self) -> int:
        return len(self.device.groups) - 1 if self.device.groups else 0

    @property
    def ago(self) -> str:
        return AgedCell("", self.last_at).ago


@dataclass(frozen=True, slots=True)
class Choice:
    """A link or an option: where it leads to, and whether it is chosen."""

    label: str
    value: str
    address: str
    is_chosen: bool
    count: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column. order: aria-sort, empty: not sorted by it."""

    key: str
    label: str
    unit: str
    address: str
    order: str
    css: str


@require_safe
@never_cache
@login_required
@gzip_page
def fleet(request: HttpRequest) -> HttpResponse:
    """The page: counts, and the first devices in the order that is asked for."""
    found, query = _read(request)
    listed = select(found.devices, query)
    *heads, last_head = _heads(found, query)
    context = {
        "fleet": found,
        "query": query,
        "shown": len(listed),
        "more": max(0, len(listed) - MAX_ROWS),
        "rows": [_row(device, found) for device in listed[:MAX_ROWS]],
        "heads": heads,
        "last_head": last_head,
        "count": _count(len(found.devices)),
        "matches": gettext("%(n)s of %(all)s match.")
        % {"n": f"{len(listed):,}", "all": f"{len(found.devices):,}"},
        "chips": _chips(found, query),
        "views": _views(query),
        "groups": _groups(found, query),
        "sorts": _sorts(query),
        "choices": [_metrics(found, at) for at in range(len(found.columns))],
        "clear": query.address(q="", status="", group=""),
        "now": timezone.now(),
        "config": _config(),
        "tab": "fleet",
    }
    return render(request, "telemetry/fleet.html", context)


@require_safe
@never_cache
@login_required
@gzip_page
def fleet_data(request: HttpRequest) -> HttpResponse:
    """All of the fleet, for the page's script; `m` names the metrics of its columns."""
    found, _query = _read(request)
    body = wire.encode(found)
    return HttpResponse(body, content_type="application/json")


def _read(request: HttpRequest) -> tuple[Fleet, Query]:
    reader = FleetReader(request, now_us())
    groups = {group.slug for group in reader.fleet.groups}
    names = {metric.name for metric in reader.fleet.metrics}
    query = read_query(request.GET, groups, names)
    return reader.choose(query.metrics), query


def _count(devices: int) -> str:
    text = ngettext("%(n)s device", "%(n)s devices", devices)
    return text % {"n": f"{devices:,}"}


def _row(device: FleetDevice, found: Fleet) -> Row:
    zone = timezone.get_current_timezone()
    return Row(
        device,
        str(device.status.state.label),
        sentence(device.status, device.facts, found.now_us, zone),
        [
            (f"{metric.title} {metric.unit}", cell.text if cell else "")
            for metric, cell in zip(found.columns, device.cells, strict=True)
        ],
        datetime_of(device.last_us),
    )


def _heads(found: Fleet, query: Query) -> list[Head]:
    def head(key: str, label: str, unit: str = "", css: str = "") -> Head:
        is_up, is_down = query.sort == key, query.sort == f"-{key}"
        order = "ascending" if is_up else "descending" if is_down else ""
        address = query.address(sort=f"-{key}" if is_up else key)
        return Head(key, label, unit, address, order, css)

    return [
        head("state", gettext("State"), css="of-state"),
        head("name", gettext("Device"), css="of-name"),
        head("group", gettext("Group"), css="of-group"),
        *(
            head(f"m{at}", metric.title, metric.unit, css="of-value num")
            for at, metric in enumerate(found.columns, 1)
        ),
        head("last", gettext("Last reading"), css="of-last num"),
    ]


def _chips(found: Fleet, query: Query) -> list[Choice]:
    counts = count_states(found.devices)
    chips = [("", gettext("All"), len(found.devices))]
    chips += [(state, str(State(state).label), counts[state]) for state in STATES]
    return [
        Choice(
            label,
            state,
            query.address(status=state),
            query.status == state,
            f"{count:,}",
        )
        for state, label, count in chips
    ]


def _views(query: Query) -> list[Choice]:
    words = {"table": gettext("Table"), "tiles": gettext("Tiles")}
    return [
        Choice(
            label,
            view,
            query.address(view="" if view == VIEWS[0] else view),
            query.view == view,
        )
        for view, label in words.items()
    ]


def _groups(found: Fleet, query: Query) -> list[Choice]:
    offered = found.groups[:MAX_CHOICES]
    offered += [g for g in found.groups[MAX_CHOICES:] if g.slug == query.group]
    return [Choice(g.name, g.slug, "", g.slug == query.group) for g in offered]


def _sorts(query: Query) -> list[Choice]:
    return [
        Choice(gettext(label), key, "", key == query.sort) for key, label in SORT_WORDS
    ]


def _metrics(found: Fleet, at: int) -> list[Choice]:
    chosen = found.columns[at]
    offered = found.metrics[: MAX_CHOICES // 2]
    if chosen not in offered:
        offered = [*offered, chosen]
    return [Choice(each.title, each.name, "", each is chosen) for each in offered]


def _config() -> dict[str, object]:
    """What the page's script starts with; all else comes with `/fleet.json`."""
    return {
        "live": "/ws/live",
        "data": reverse("fleet-data"),
        "traces": reverse("fleet-traces"),
        "device": reverse("device", args=["-"])[:-1],
        "group": reverse("group", args=["-"])[:-1],
        "zone": timezone.get_current_timezone_name(),
        "nowMs": int(timezone.now().timestamp() * 1000),
    }
