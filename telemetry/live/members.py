"""What a topic consists of, copied from registry and presence at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..devices.entries import DeviceEntry, GroupEntry
from ..devices.presence import Presence
from ..devices.registry import Registry
from ..history.heads import Head, HeadRow
from ..protocol import names
from .rows import Int32, Int64
from .topic_rows import DeviceRow, HeadRows, SeriesRow

Subject = GroupEntry | DeviceEntry

DEVICE_PREFIX = "device:"


class Heads(Protocol):
    """The last values that this process knows; see `history.heads`."""

    def current(self, series_ids: Iterable[int]) -> dict[int, Head]: ...
    def restore(self, rows: Iterable[HeadRow]) -> None: ...
    def periods_us(self, series: Int32) -> Int64: ...
    def suppose_periods(self, series: Int32, periods_us: Int64) -> None: ...


@dataclass(frozen=True, slots=True)
class Members:
    """Devices and series of a topic. devices: id → row; series by id, ascending."""

    devices: dict[int, DeviceRow]
    series: tuple[SeriesRow, ...]

    @property
    def ids(self) -> list[int]:
        """The series' ids."""
        return [row.id for row in self.series]

    def identity(self) -> set[tuple[str, str]]:
        """(slug, name) of the devices: when it differs, the members changed."""
        return {(row.slug, row.name) for row in self.devices.values()}


def device_topic(slug: str) -> str:
    """The topic of one device: it is followed like a group of one."""
    return DEVICE_PREFIX + slug


def slug_of_device(topic: str) -> str | None:
    """The device's slug if this is the topic of a device."""
    if topic.startswith(DEVICE_PREFIX):
        return topic.removeprefix(DEVICE_PREFIX)
    return None


def is_topic(topic: str) -> bool:
    """Whether a group or device may be called so."""
    return names.SLUG.match(topic.removeprefix(DEVICE_PREFIX)) is not None


async def find(registry: Registry, topic: str) -> Subject | None:
    """The group or device that a topic stands for, None if there is none."""
    slug = slug_of_device(topic)
    if slug is None:
        return await registry.group(topic)
    return await registry.device_by_slug(slug)


def devices_in(subject: Subject) -> Sequence[DeviceEntry]:
    """The devices of a topic at this moment."""
    return [subject] if isinstance(subject, DeviceEntry) else subject.devices


def members_of(devices: Sequence[DeviceEntry], presence: Presence) -> Members:
    """A copy of what `devices` are at this moment."""
    series = [
        SeriesRow(entry.id, device.slug, entry.name, entry.unit, entry.kind)
        for device in devices
        for entry in device.series.values()
    ]
    return Members(
        {device.id: device_row(device, presence) for device in devices},
        tuple(sorted(series, key=lambda row: row.id)),
    )


def device_row(device: DeviceEntry, presence: Presence) -> DeviceRow:
    """What a page shows of a device; last seen as of now, no estimated period."""
    seen = presence.get(device.id)
    expected = device.expected_period_seconds
    return DeviceRow(
        slug=device.slug,
        name=device.name,
        is_online=seen.is_online,
        changed_us=seen.changed_us,
        last_seen_us=seen.last_seen_us,
        is_paused=device.is_paused,
        period_us=None if expected is None else round(expected * 1e6),
        is_estimated=expected is None,
    )


def head_rows(heads: dict[int, Head]) -> HeadRows:
    """Heads as a state takes them."""
    return {
        series: (head.time_us, min(head.time_us, head.received_us), head.value)
        for series, head in heads.items()
    }
