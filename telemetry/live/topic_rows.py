"""What is told of a topic besides its readings: its series and devices. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .rows import Int32, Rows

Metrics = frozenset[str] | None
# Series id → (time_us, effective_us, value). What is current is decided by the
# effective time, min(time, arrival): a device's clock that ran ahead freezes nothing.
HeadRows = Mapping[int, tuple[int, int, float | str]]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One series of a topic; device is its slug.

    period_us: how far apart its readings come, as it was told; None: not known yet.
    """

    id: int
    device: str
    metric: str
    unit: str
    kind: str = "number"
    period_us: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """What a page shows of a device besides its readings. Times µs, None = never.

    period_us: how often a reading is expected, None: nobody knows. is_estimated:
    nobody has set it, and the state fills in what it has found.
    """

    slug: str
    name: str
    is_online: bool = False
    changed_us: int | None = None
    last_seen_us: int | None = None
    is_paused: bool = False
    period_us: int | None = None
    is_estimated: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a snapshot: the places of its series, and of those with a value."""

    series: Int32
    valued: Int32
    devices: tuple[DeviceRow, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything newer than a client's revision."""

    rows: Rows
    series: tuple[SeriesRow, ...] = ()
    devices: tuple[DeviceRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.series or self.devices)
