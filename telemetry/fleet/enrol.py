"""Makes devices and keys in this hub's own database, for fleets that run beside it.

Devices that people made are never touched: those made here carry a tag. A key
lives in memory alone and is taken back at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from ..devices import credentials
from ..devices.models import Credential, Device, DeviceGroup, Kind, Series
from ..history.models import SeriesHead
from ..history.queries.query import read_sync
from ..protocol import clock

# A process that was killed could not take its keys back: they end by themselves.
KEY_DAYS = 30
# A hub writes its heads every half minute; one that was killed, at its next start.
UNFOLDED_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device as it should be: found by slug, made if absent."""

    slug: str
    name: str
    group: str
    group_name: str


@contextmanager
def enrolled(
    wanted: Sequence[Wanted], tag: str, *, only_tagged: bool = True
) -> Iterator[dict[str, str]]:
    """Keys by slug while the context lasts; devices and groups stay.

    only_tagged: leave a device that exists without `tag` alone; it gets no key.
    """
    with transaction.atomic():
        devices = _devices(wanted, tag, only_tagged)
        if only_tagged:
            # What a killed process left behind.
            Credential.objects.filter(device__in=devices).delete()
        expires_at = timezone.now() + timedelta(days=KEY_DAYS)
        issued = [
            credentials.issue(device, expires_at=expires_at) for device in devices
        ]
    keys = {device.slug: key for device, (_, key) in zip(devices, issued, strict=True)}
    try:
        yield keys
    finally:
        for credential, _ in issued:
            credentials.revoke(credential)
        Credential.objects.filter(pk__in=[made.pk for made, _ in issued]).delete()


# Metric → (time in µs, value): what a device sent last; booleans as 0.0 and 1.0.
Last = dict[str, tuple[int, float]]


def last_readings(slugs: Iterable[str]) -> dict[str, Last]:
    """The last stored number or boolean of each series, by device and metric.

    Devices that never sent any are left out. What the hub has committed in the last
    `UNFOLDED_US` is read from its journal, what is older from its heads.
    """
    series = {
        series_id: (slug, name)
        for series_id, slug, name in Series.objects.alive()
        .filter(device__slug__in=list(slugs), device__deleted_at=None)
        .exclude(kind=Kind.TEXT)
        .values_list("id", "device__slug", "name")
    }
    heads = {
        head: (time_us, float(value or 0))
        for head, time_us, value in SeriesHead.objects.filter(
            series_id__in=series, value__isnull=False
        ).values_list("series_id", "time_us", "value")
    }
    now_us = clock.now_us()
    for head, (times_us, values) in read_sync(
        series, now_us - UNFOLDED_US, now_us
    ).items():
        if len(times_us):
            heads[head] = (int(times_us[-1]), float(values[-1]))
    last: dict[str, Last] = {}
    for head, reading in heads.items():
        slug, name = series[head]
        last.setdefault(slug, {})[name] = reading
    return last


def _devices(wanted: Sequence[Wanted], tag: str, only_tagged: bool) -> list[Device]:
    groups = _groups(wanted)
    slugs = [each.slug for each in wanted]
    known = {
        device.slug: device for device in Device.objects.alive().filter(slug__in=slugs)
    }
    devices = []
    for each in wanted:
        device = known.get(each.slug)
        if device is None:
            device = Device.objects.create(slug=each.slug, name=each.name, tags=tag)
            device.groups.add(groups[each.group])
        elif only_tagged and tag not in tags(device.tags):
            continue
        devices.append(device)
    return devices


def _groups(wanted: Iterable[Wanted]) -> dict[str, DeviceGroup]:
    names = {each.group: each.group_name for each in wanted}
    return {
        slug: DeviceGroup.objects.get_or_create(slug=slug, defaults={"name": name})[0]
        for slug, name in names.items()
    }


def tags(text: str) -> set[str]:
    """The tags of a device's field, which separates them by commas."""
    return {tag.strip() for tag in text.split(",")}
