"""What a fleet page shows of all devices, as its address says: filter, order, view.

Pure. The script does the same with fleet_rows.js; tests/dashboard/fleet/cases.json
holds both to one behaviour.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from django.http import QueryDict

# Problems first. The order of the chips is their own (STATES).
RANKS = {"offline": 0, "late": 1, "live": 2, "paused": 3, "new": 4}
STATES = ("live", "late", "offline", "new", "paused")
SORTS = ("state", "name", "group", "m1", "m2", "last")
VIEWS = ("table", "tiles")
SEARCH_CHARACTERS = 100
COLUMNS = 2

_DIGITS = re.compile(r"(\d+)", re.ASCII)

SortValue = float | str | None


class Shown(Protocol):
    """What is asked of a device here. values: of the metric columns, None for none."""

    @property
    def slug(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def tags(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def group_slugs(self) -> Sequence[str]: ...
    @property
    def group_name(self) -> str: ...
    @property
    def values(self) -> Sequence[float | str | None]: ...
    @property
    def last_ms(self) -> float | None: ...


D = TypeVar("D", bound=Shown)


@dataclass(frozen=True, slots=True)
class Query:
    """The address, put right: what is no choice is as if it were not there."""

    search: str = ""
    status: str = ""
    group: str = ""
    sort: str = "state"
    view: str = "table"
    metrics: tuple[str, ...] = ()

    @property
    def is_filtered(self) -> bool:
        return bool(self.search or self.status or self.group)

    def address(self, **changes: str) -> str:
        """The query of an address that shows this but for `changes`."""
        pairs = {
            "q": self.search,
            "status": self.status,
            "group": self.group,
            "sort": "" if self.sort == "state" else self.sort,
            "view": "" if self.view == "table" else self.view,
            "m": ",".join(self.metrics),
            **changes,
        }
        query = urlencode({key: text for key, text in pairs.items() if text}, safe=",")
        return f"?{query}"


def read(asked: QueryDict, groups: Container[str], metrics: Container[str]) -> Query:
    """groups, metrics: slugs and names that there are."""
    names = ",".join(asked.getlist("m")).split(",")
    sort, view = asked.get("sort", ""), asked.get("view", "")
    status, group = asked.get("status", ""), asked.get("group", "")
    return Query(
        search=" ".join(asked.get("q", "")[:SEARCH_CHARACTERS].split()),
        status=status if status in STATES else "",
        group=group if group in groups else "",
        sort=sort if sort.removeprefix("-") in SORTS else "state",
        view=view if view in VIEWS else VIEWS[0],
        metrics=tuple(dict.fromkeys(n for n in names if n in metrics))[:COLUMNS],
    )


def count_states(devices: Iterable[Shown]) -> dict[str, int]:
    """How many devices are in each state, those with none too."""
    counts = Counter(device.state for device in devices)
    return {state: counts[state] for state in STATES}


def select(devices: Iterable[D], query: Query) -> list[D]:
    """The devices that the query shows, in its order."""
    words = query.search.lower().split()
    return arrange(
        (
            device
            for device in devices
            if (not query.status or device.state == query.status)
            and (not query.group or query.group in device.group_slugs)
            and (not words or _has_words(device, words))
        ),
        query.sort,
    )


def arrange(devices: Iterable[D], sort: str) -> list[D]:
    """In order; what has no value comes last, whichever way; ties by name."""
    is_down = sort.startswith("-")
    value_of = _KEYS[sort.removeprefix("-")]
    by_name = sorted(devices, key=lambda device: (natural(device.name), device.slug))
    valued = [(value_of(device), device) for device in by_name]
    some = [pair for pair in valued if pair[0] is not None]
    # Numbers before texts: one metric may be both.
    # `reverse` keeps equal ones in their order.
    some.sort(
        key=lambda pair: (isinstance(pair[0], str), _comparable(pair[0])),
        reverse=is_down,
    )
    return [device for _, device in some] + [
        device for value, device in valued if value is None
    ]


def natural(text: str) -> list[tuple[int, int, str]]:
    """For sorting: “pump 9” before “pump 10”, whatever the case."""
    return [
        (0, int(part), "") if at % 2 else (1, 0, part)
        for at, part in enumerate(_DIGITS.split(text.lower()))
        if part
    ]


def _comparable(value: SortValue) -> Any:
    return natural(value) if isinstance(value, str) else value


def _has_words(device: Shown, words: Sequence[str]) -> bool:
    text = f"{device.name}\n{device.slug}\n{device.tags}\n{device.serial}".lower()
    return all(word in text for word in words)


def _value(place: int) -> Callable[[Shown], SortValue]:
    return lambda device: device.values[place] if place < len(device.values) else None


_KEYS: dict[str, Callable[[Shown], SortValue]] = {
    "state": lambda device: RANKS[device.state],
    "name": lambda device: device.name,
    "group": lambda device: device.group_name or None,
    "m1": _value(0),
    "m2": _value(1),
    "last": lambda device: device.last_ms,
}
