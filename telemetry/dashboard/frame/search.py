"""`/search?q=`: the devices and groups that one may see, by name, slug, tag or serial.

Every word of the question has to be somewhere in one device or group. One hit alone
is where one wanted to go.
"""

from __future__ import annotations

from typing import TypeVar

from django.contrib.auth.decorators import login_required
from django.db.models import Case, IntegerField, Model, Prefetch, Q, QuerySet, When
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...devices.access import visible_devices, visible_groups
from ...devices.models import Device, DeviceGroup

M = TypeVar("M", bound=Model)

MOST_CHARACTERS = 200
# Each word is a condition over four columns: a pasted text would be a slow question.
MOST_WORDS = 8
MOST_HITS = 50

DEVICE_COLUMNS = ("name", "slug", "tags", "serial")
GROUP_COLUMNS = ("name", "slug")


@require_safe
@never_cache
@login_required
def search(request: HttpRequest) -> HttpResponse:
    """The page of hits; the hit itself if there is but one."""
    asked = cleaned(request.GET.get("q", ""))
    words = asked.split()[:MOST_WORDS]
    devices: list[Device] = []
    groups: list[DeviceGroup] = []
    if words:
        # One more than is shown: that there are more is said.
        devices = list(find_devices(request, words)[: MOST_HITS + 1])
        groups = list(find_groups(request, words)[: MOST_HITS + 1])
    if len(devices) + len(groups) == 1:
        return (
            redirect("device", devices[0].slug)
            if devices
            else redirect("group", groups[0].slug)
        )
    context = {
        "tab": "search",
        "q": asked,
        "devices": devices[:MOST_HITS],
        "groups": groups[:MOST_HITS],
        "has_more": max(len(devices), len(groups)) > MOST_HITS,
        "most": MOST_HITS,
    }
    return render(request, "telemetry/search.html", context)


def cleaned(asked: str) -> str:
    """One line of what can be written; a database refuses a NUL."""
    text = "".join(each if each.isprintable() else " " for each in asked)
    return " ".join(text[:MOST_CHARACTERS].split())


def find_devices(request: HttpRequest, words: list[str]) -> QuerySet[Device]:
    """Those that are called so first; each with its visible groups."""
    groups = Prefetch(
        "groups",
        queryset=visible_groups(request.user).order_by(Lower("name")),
        to_attr="shown_groups",
    )
    found = _matching(visible_devices(request.user), DEVICE_COLUMNS, words)
    return found.prefetch_related(groups)


def find_groups(request: HttpRequest, words: list[str]) -> QuerySet[DeviceGroup]:
    """The device groups, those that are called so first."""
    return _matching(visible_groups(request.user), GROUP_COLUMNS, words)


def _matching(
    rows: QuerySet[M], columns: tuple[str, ...], words: list[str]
) -> QuerySet[M]:
    for word in words:
        is_in_one = Q()
        for column in columns:
            is_in_one |= Q(**{f"{column}__icontains": word})
        rows = rows.filter(is_in_one)
    whole = " ".join(words)
    rank = Case(
        When(Q(slug__iexact=whole) | Q(name__iexact=whole), then=0),
        When(Q(slug__istartswith=whole) | Q(name__istartswith=whole), then=1),
        default=2,
        output_field=IntegerField(),
    )
    return rows.order_by(rank, Lower("name"), "slug")
