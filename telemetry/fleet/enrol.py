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
from ..devices.models import Credential, Device, DeviceGroup

# A process that was killed could not take its keys back: they end by themselves.
KEY_DAYS = 30


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


def silent(slugs: Iterable[str]) -> set[str]:
    """Those of the slugs whose devices have never sent anything."""
    devices = Device.objects.alive().filter(slug__in=list(slugs), series=None)
    return set(devices.values_list("slug", flat=True))


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
