"""What a fleet's page shows: devices, their metrics, a cell for each. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ...devices.models import DeviceGroup
from ...devices.status import Facts, State, Status
from ..value_table import text_of


class Value(NamedTuple):
    """The last value of a series. heard_us: read or arrived, whichever is earlier."""

    heard_us: int
    value: float | str


class SeriesRow(NamedTuple):
    """A living series of a device that one may see."""

    id: int
    device_id: int
    name: str
    kind: str
    unit: str
    label: str
    decimals: int | None


@dataclass(frozen=True, slots=True)
class Metric:
    """A name that series have: what most of them say of it, and how many they are."""

    name: str
    label: str
    unit: str
    kind: str
    decimals: int | None
    count: int

    @property
    def title(self) -> str:
        return self.label or self.name


@dataclass(slots=True)
class Cell:
    """One value of a device: its series, and the last reading if there is one."""

    series: SeriesRow
    last: Value | None

    @property
    def text(self) -> str:
        if self.last is None:
            return ""
        return text_of(self.last.value, self.series.kind, self.series.decimals)


@dataclass(slots=True)
class FleetDevice:
    """One device. Times are µs, None: never. cells: one a metric, None: no series.

    period_us: how often it sends, as expected or (is_estimated) as it seems.
    is_followed: what tells that it lives is among `Fleet.followed`.
    """

    id: int
    slug: str
    name: str
    serial: str
    tags: str
    is_paused: bool
    is_online: bool
    changed_us: int | None
    last_seen_us: int | None
    period_us: int | None
    is_estimated: bool = False
    is_followed: bool = False
    groups: list[DeviceGroup] = field(default_factory=list)
    last_us: int | None = None
    cells: list[Cell | None] = field(default_factory=list)
    status: Status = Status(State.NEW)

    @property
    def facts(self) -> Facts:
        return Facts(
            is_paused=self.is_paused,
            is_online=self.is_online,
            changed_us=self.changed_us,
            last_seen_us=self.last_seen_us,
            last_reading_us=self.last_us,
            period_us=self.period_us,
            is_estimated=self.is_estimated,
        )

    @property
    def state(self) -> str:
        return str(self.status.state)

    @property
    def group_slugs(self) -> list[str]:
        return [group.slug for group in self.groups]

    @property
    def group_name(self) -> str:
        return self.groups[0].name if self.groups else ""

    @property
    def values(self) -> list[float | str | None]:
        return [cell.last.value if cell and cell.last else None for cell in self.cells]

    @property
    def last_ms(self) -> float | None:
        return None if self.last_us is None else self.last_us / 1000


@dataclass(slots=True)
class Fleet:
    """At one moment. metrics: all there are, the most frequent first; columns: those
    of the cells; followed: names of which every device has one that tells of its life,
    as far as there is room (FleetDevice.is_followed).
    """

    now_us: int
    devices: list[FleetDevice]
    groups: list[DeviceGroup]
    metrics: list[Metric]
    columns: list[Metric] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
