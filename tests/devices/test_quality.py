"""telemetry.devices.quality: the last 24 hours of a link, from its rows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from telemetry.devices.models import Device, DevicePresence
from telemetry.devices.quality import Quality, first_hour, last_day
from telemetry.devices.records import DeviceHour
from telemetry.devices.tallies import Tally

HOUR = timedelta(hours=1)
# A quarter past twelve.
NOW = datetime(2026, 11, 22, 12, 15, tzinfo=timezone.utc)
THIS = int(NOW.timestamp()) // 3_600

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(boiler: Device) -> Device:
    """A device that has been there for long."""
    Device.objects.filter(pk=boiler.pk).update(created_at=NOW - 1_000 * HOUR)
    return boiler


def add(device: Device, ago: int, **counted: object) -> None:
    DeviceHour.objects.create(device_id=device.pk, hour=THIS - ago, **counted)


def shares(quality: Quality) -> list[float | None]:
    assert len(quality.availability) == len(quality.received) == 24
    return list(quality.availability)


def test_counts_are_summed_over_24_hours_and_no_more(old, make_device):
    for ago in (0, 5, 23, 24):
        add(
            old,
            ago,
            readings=100 + ago,
            connects=2,
            sent_again=3,
            lost=4,
            rejected=5,
            latency={"0": 1, "10": 99},
        )
    add(make_device("other"), 1, readings=1_000, latency={"40": 1_000})
    found = last_day(old.pk, NOW)
    assert (found.readings, found.sent_again, found.lost) == (328, 9, 12)
    assert (found.rejected, found.connects, found.round_trips) == (15, 6, 300)
    assert found.p50_ms == pytest.approx(8.4, rel=0.05)
    assert found.p95_ms == pytest.approx(9.2, rel=0.05)
    assert found.received[0] == 123 and found.received[-1] == 100
    assert sum(found.received) == found.readings


def test_no_round_trips_have_no_percentiles_and_no_presence_no_skew(old):
    found = last_day(old.pk, NOW)
    assert (found.p50_ms, found.p95_ms, found.skew_ms) == (None, None, None)


def test_skew_is_that_of_presence(old):
    DevicePresence.objects.create(device=old, skew_ms=-3_100.5)
    assert last_day(old.pk, NOW).skew_ms == -3_100.5


class TestReconnects:
    def test_the_very_first_connect_is_none(self, old):
        assert last_day(old.pk, NOW).reconnects == 0
        add(old, 3, connects=3)
        assert last_day(old.pk, NOW).reconnects == 2

    def test_every_connect_after_an_earlier_one_is_one(self, old):
        add(old, 100, connects=1)
        add(old, 3, connects=3)
        assert last_day(old.pk, NOW).reconnects == 3


class TestAvailability:
    def test_a_share_for_each_hour_oldest_first(self, old):
        add(old, 30)
        add(old, 23, online_seconds=3_600)
        add(old, 22, online_seconds=900)
        add(old, 1, online_seconds=3_600.4)
        add(old, 0, online_seconds=450)
        assert shares(last_day(old.pk, NOW)) == [1, 0.25, *[0] * 20, 1, 0.5]

    def test_none_before_the_device_was_made(self, boiler):
        created = NOW - 2 * HOUR + timedelta(minutes=15)
        Device.objects.filter(pk=boiler.pk).update(created_at=created)
        add(boiler, 30)
        add(boiler, 2)
        # It was made at half past ten.
        add(boiler, 1, online_seconds=3_600)
        found = shares(last_day(boiler.pk, NOW))
        assert found == [*[None] * 21, 0, 1, 0]
        DeviceHour.objects.filter(hour=THIS - 2).update(online_seconds=900)
        assert shares(last_day(boiler.pk, NOW))[21] == 0.5

    def test_none_before_the_hub_wrote_it_down(self, old, make_device):
        add(make_device("other"), 2)
        assert shares(last_day(old.pk, NOW)) == [*[None] * 21, 0, 0, 0]

    def test_none_at_all_on_a_hub_that_has_only_begun(self, old):
        assert shares(last_day(old.pk, NOW)) == [None] * 24

    def test_an_hour_that_has_only_begun_has_no_share(self, old):
        add(old, 30)
        now = NOW - timedelta(minutes=15)
        assert shares(last_day(old.pk, now)) == [*[0] * 23, None]

    def test_what_the_process_knows_stands_for_the_rows(self, old):
        add(old, 0, readings=1)
        hours = {THIS: Tally(readings=5, connects=2, online_seconds=900)}
        found = last_day(old.pk, NOW, hours)
        assert (found.readings, found.availability[-1]) == (5, 1)


def test_takes_four_queries(old, django_assert_num_queries):
    add(old, 0)
    with django_assert_num_queries(4):
        last_day(old.pk, NOW)


def test_first_hour_is_23_before_this_one():
    assert first_hour(NOW) == THIS - 23


def test_a_device_that_is_not_there_is_told(db):
    with pytest.raises(Device.DoesNotExist):
        last_day(1, NOW)
