"""Removes what belongs to tombstoned devices and series.

Their own rows stay, marked: what a device still sends, and what waits in journals and
in the memory of other processes, names them, and is dropped because they say so.
Whatever comes after a removal is removed by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

from ...devices.models import Device, Series
from ...devices.records import DeviceEvent, DeviceHour
from .. import blocks
from ..lease import Held
from ..models import Block, DeviceSession, Fault, SeriesHead, TextReading
from . import expiry, records

# Later than any reading.
FOREVER_US = 2**62
# Tombstones that are looked at together, and what one transaction deletes.
PAGE = 500


def dead_series() -> set[int]:
    """Series that are tombstoned, or whose device is."""
    return set(_dead_series().values_list("id", flat=True))


def steps(held: Held, done: expiry.Done | None = None) -> Iterator[None]:
    """Remove what tombstones still own; each step has made one short transaction.

    Cheap when there is nothing: some statements for 500 tombstones. Raises
    LeaseLost: stop at once, another goes on.
    """
    done = expiry.Done() if done is None else done
    for some in _pages(_dead_series()):
        yield from _of_series(held, some, done)
        yield
    for some in _pages(Device.objects.filter(deleted_at__isnull=False)):
        sessions = DeviceSession.objects.filter(device_id__in=some)
        if sessions.exists():
            with held.transaction():
                sessions.delete()
        for model in (DeviceEvent, DeviceHour):
            # In no order: the database may take what it finds first.
            rows = model._default_manager.filter(device_id__in=some)
            yield from records.delete(held, rows)
        yield


def _of_series(held: Held, some: list[int], done: expiry.Done) -> Iterator[None]:
    for resolution_seconds in (blocks.RAW, blocks.TIER_SECONDS):
        rows = Block.objects.filter(
            series_id__in=some, resolution_seconds=resolution_seconds
        )
        for series in list(_series_of(rows)):
            yield from expiry.delete(held, series, resolution_seconds, FOREVER_US, done)
    for series in list(_series_of(TextReading.objects.filter(series_id__in=some))):
        yield from expiry.delete_texts(held, series, FOREVER_US, done)
    heads = SeriesHead.objects.filter(series_id__in=some)
    faults = Fault.objects.filter(series_id__in=some)
    if heads.exists() or faults.exists():
        with held.transaction():
            heads.delete()
            faults.delete()
        yield


def _series_of(rows: QuerySet[Any]) -> QuerySet[Any, int]:
    return rows.order_by().values_list("series_id", flat=True).distinct()


def _pages(tombstones: QuerySet[Any]) -> Iterator[list[int]]:
    last = 0
    ids = tombstones.order_by("id").values_list("id", flat=True)
    while some := list(ids.filter(id__gt=last)[:PAGE]):
        yield some
        last = some[-1]


def _dead_series() -> QuerySet[Series]:
    is_dead = Q(deleted_at__isnull=False) | Q(device__deleted_at__isnull=False)
    found: QuerySet[Series] = Series.objects.filter(is_dead)
    return found
