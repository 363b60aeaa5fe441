"""telemetry.history.keeping.records: events and hours go after their days."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from telemetry.devices.records import DeviceEvent, DeviceHour
from telemetry.devices.tallies import hour_of
from telemetry.devices.times import us_of
from telemetry.history import lease
from telemetry.history.keeping import records
from telemetry.history.lease import LeaseLost
from telemetry.history.models import Lease

from ..thinning import hold

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


def make_event(**ago: float) -> DeviceEvent:
    at = timezone.now() - timedelta(**ago)
    return DeviceEvent.objects.create(device_id=7, at=at)


def make_hour(device_id: int = 7, **ago: float) -> DeviceHour:
    hour = hour_of(us_of(timezone.now() - timedelta(**ago)))
    return DeviceHour.objects.create(device_id=device_id, hour=hour)


def run() -> int:
    held = hold()
    count = len(list(records.steps(held)))
    held.release()
    return count


def test_goes_after_its_days_and_not_before():
    make_event(days=90, minutes=1)
    young_event = make_event(days=90, minutes=-1)
    make_hour(days=30, hours=1)
    young_hour = make_hour(days=30)
    run()
    assert list(DeviceEvent.objects.all()) == [young_event]
    assert list(DeviceHour.objects.all()) == [young_hour]


def test_days_are_settings(settings):
    settings.TELEMETRY_EVENT_DAYS = 1
    settings.TELEMETRY_QUALITY_DAYS = 2
    make_event(days=1, minutes=1)
    make_hour(days=2, hours=1)
    make_hour(days=1)
    run()
    assert not DeviceEvent.objects.exists()
    assert DeviceHour.objects.count() == 1


def test_many_go_in_steps(monkeypatch):
    monkeypatch.setattr(records, "DELETE_ROWS", 10)
    for _ in range(21):
        make_event(days=100)
    for device_id in range(10):
        make_hour(device_id, days=100)
    assert run() == 3 + 1
    assert not DeviceEvent.objects.exists() and not DeviceHour.objects.exists()


def test_asks_two_questions_when_nothing_is_old(django_assert_num_queries):
    make_event(days=1)
    held = hold()
    with django_assert_num_queries(2):
        assert list(records.steps(held)) == []


def test_a_lost_lease_ends_them():
    make_event(days=100)
    held = hold()
    Lease.objects.filter(name=lease.NAME).update(token=held.token + 1)
    with pytest.raises(LeaseLost):
        list(records.steps(held))
    assert DeviceEvent.objects.exists()
