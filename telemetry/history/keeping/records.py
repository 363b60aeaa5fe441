"""What is written down about devices goes after its days: events, and hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from ... import conf
from ...devices.records import DeviceEvent, DeviceHour
from ...devices.tallies import hour_of
from ...devices.times import us_of
from ..lease import Held

# What one transaction deletes: a few milliseconds.
DELETE_ROWS = 500


def steps(held: Held) -> Iterator[None]:
    """Delete what is too old; each step has made one short transaction.

    Two statements when nothing is. Raises LeaseLost: stop at once, another goes on.
    """
    now = timezone.now()
    events_from = now - timedelta(days=int(conf.value("EVENT_DAYS")))
    hours_from = now - timedelta(days=int(conf.value("QUALITY_DAYS")))
    old_events = DeviceEvent.objects.filter(at__lt=events_from).order_by("at")
    yield from delete(held, old_events)
    old_hours = DeviceHour.objects.filter(hour__lt=hour_of(us_of(hours_from)))
    yield from delete(held, old_hours.order_by("hour"))


def delete(held: Held, rows: QuerySet[Any]) -> Iterator[None]:
    """Delete these rows, some in each transaction."""
    while ids := list(rows.values_list("pk", flat=True)[:DELETE_ROWS]):
        with held.transaction():
            rows.model._default_manager.filter(pk__in=ids).delete()
        yield
