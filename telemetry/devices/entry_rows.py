"""Reads devices, groups and keys from the database into entries.

Runs on the database thread. Whatever is asked for is read in slices, a few queries
each, however many devices there are.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from .entries import CredentialEntry, DeviceEntry, SeriesEntry
from .models import Credential, Device, DeviceGroup, Series
from .times import us_of

# Rows a statement: SQLite's variables are limited, and statements stay short.
SLICE = 500
CREDENTIAL_FIELDS = ("id", "prefix", "sha256", "device_id", "expires_at", "revoked_at")
DEVICE_FIELDS = (
    *("id", "slug", "name", "is_enabled", "is_paused"),
    *("expected_period_seconds", "firmware"),
)
SERIES_FIELDS = ("device_id", "id", "name", "kind", "unit", "label", "decimals")


@dataclass(frozen=True, slots=True)
class GroupRow:
    """What a device takes from a group that it is in."""

    id: int
    slug: str
    name: str
    auto_create: bool


@dataclass(slots=True)
class Known:
    """What was read. A device that is not in `devices` is gone, or never was."""

    devices: dict[int, DeviceEntry] = field(default_factory=dict)
    groups: dict[int, GroupRow] = field(default_factory=dict)
    credentials: dict[str, CredentialEntry] = field(default_factory=dict)


def read_devices(device_ids: Collection[int]) -> Known:
    """The living devices of these ids, with their groups and living series."""
    known = Known()
    for part in slices(device_ids):
        _read_devices(part, known)
    return known


def read_devices_by_slug(slugs: Collection[str]) -> Known:
    """The living devices of these slugs."""
    ids: list[int] = []
    for part in slices(slugs):
        found = Device.objects.alive().filter(slug__in=part)
        ids += found.values_list("id", flat=True)
    return read_devices(ids)


def read_logins(prefixes: Collection[str], cached: Collection[int]) -> Known:
    """The keys of these prefixes, with those of their devices not in `cached`."""
    credentials: dict[str, CredentialEntry] = {}
    for part in slices(prefixes):
        rows = Credential.objects.filter(prefix__in=part)
        for row in rows.values_list(*CREDENTIAL_FIELDS):
            entry = credential_entry(row)
            credentials[entry.prefix] = entry
    wanted = {entry.device_id for entry in credentials.values()}.difference(cached)
    known = read_devices(wanted)
    known.credentials = credentials
    return known


def read_group(slug: str, cached: Collection[int]) -> tuple[GroupRow, Known] | None:
    """A group with those of its devices that are not in `cached`; None: no such."""
    groups = DeviceGroup.objects.filter(slug=slug)
    row = groups.values_list("id", "slug", "name", "auto_create").first()
    if row is None:
        return None
    group = GroupRow(*row)
    members = Device.objects.alive().filter(groups=group.id)
    known = read_devices(set(members.values_list("id", flat=True)).difference(cached))
    known.groups[group.id] = group
    return group, known


def credential_entry(row: tuple[Any, ...]) -> CredentialEntry:
    """The entry of a row of CREDENTIAL_FIELDS."""
    pk, prefix, sha256, device_id, expires_at, revoked_at = row
    return CredentialEntry(
        id=pk,
        prefix=prefix,
        sha256=bytes(sha256),  # PostgreSQL gives a memoryview.
        device_id=device_id,
        expires_us=us_of(expires_at),
        is_revoked=revoked_at is not None,
    )


def series_of(device_ids: Collection[int]) -> dict[int, dict[str, SeriesEntry]]:
    """device id → name → living series. At most a slice of devices."""
    found: dict[int, dict[str, SeriesEntry]] = {pk: {} for pk in device_ids}
    rows = Series.objects.alive().filter(device_id__in=device_ids).order_by()
    for device_id, pk, name, kind, unit, label, decimals in rows.values_list(
        *SERIES_FIELDS
    ):
        # A fleet has few distinct names and units: each is kept once.
        found[device_id][sys.intern(name)] = SeriesEntry(
            pk, sys.intern(name), sys.intern(kind), sys.intern(unit), label, decimals
        )
    return found


def slices(keys: Collection[Any]) -> Iterator[list[Any]]:
    """The keys, sorted, in lists of at most SLICE."""
    ordered = sorted(keys)
    return (ordered[start : start + SLICE] for start in range(0, len(ordered), SLICE))


def _read_devices(device_ids: list[int], known: Known) -> None:
    rows = Device.objects.alive().filter(pk__in=device_ids).order_by()
    found = {row[0]: row for row in rows.values_list(*DEVICE_FIELDS)}
    groups: dict[int, list[GroupRow]] = {pk: [] for pk in found}
    membership = Device.groups.through.objects.filter(device_id__in=device_ids)
    for device_id, group_id, slug, name, auto_create in membership.values_list(
        "device_id",
        "devicegroup_id",
        "devicegroup__slug",
        "devicegroup__name",
        "devicegroup__auto_create",
    ):
        group = GroupRow(group_id, sys.intern(slug), name, auto_create)
        known.groups[group_id] = group
        if device_id in groups:
            groups[device_id].append(group)
    series = series_of(device_ids)
    for pk, row in found.items():
        _, slug, name, is_enabled, is_paused, period, firmware = row
        known.devices[pk] = DeviceEntry(
            id=pk,
            slug=slug,
            name=name,
            is_enabled=is_enabled,
            is_paused=is_paused,
            # In no group nobody forbade it.
            auto_create=not groups[pk] or any(g.auto_create for g in groups[pk]),
            expected_period_seconds=period,
            firmware=firmware,
            groups=frozenset(group.slug for group in groups[pk]),
            series=series[pk],
        )
