"""telemetry.history.keeping.removal: what deleted devices and series had goes."""

from __future__ import annotations

import itertools

import pytest
from django.utils import timezone

from telemetry.devices.models import Device, Series
from telemetry.devices.records import DeviceEvent, DeviceHour
from telemetry.history import lease
from telemetry.history.keeping import records, removal
from telemetry.history.lease import LeaseLost
from telemetry.history.models import (
    Block,
    DeviceSession,
    Fault,
    Lease,
    SeriesHead,
    TextReading,
)

from ..thinning import OLD_US, hold, make_head, make_series, save, save_tier

pytestmark = pytest.mark.django_db(transaction=True)


def furnish(series: int, count: int = 40) -> None:
    """Something of every kind that a series and its device may own."""
    for at in range(count):
        save(series, [OLD_US + at], [1.0])
        save_tier(series, [OLD_US + at], [1.0])
        TextReading.objects.create(
            series_id=series, time_us=at, received_us=at, value="on"
        )
    make_head(series)
    moment = timezone.now()
    Fault.objects.create(
        series_id=series, start_us=1, end_us=2, reason="-", noticed_at=moment
    )
    DeviceSession.objects.get_or_create(
        device_id=Series.objects.get(id=series).device_id,
        session="s",
        defaults={"last_seq": 1, "used_at": moment},
    )


def rows_of(series: int) -> list[int]:
    """How many rows of each kind there are."""
    return [
        model.objects.filter(series_id=series).count()
        for model in (Block, TextReading, SeriesHead, Fault)
    ]


def run() -> None:
    held = hold()
    for _ in removal.steps(held):
        pass
    held.release()


def test_all_of_a_deleted_series_goes_and_nothing_else():
    gone, stays = make_series(), make_series(name="u")
    for series in (gone, stays):
        furnish(series)
    Series.objects.get(id=gone).delete()
    run()
    assert rows_of(gone) == [0, 0, 0, 0]
    assert rows_of(stays) == [80, 40, 1, 1]
    assert DeviceSession.objects.count() == 1


def test_all_of_a_deleted_device_goes_with_its_sessions():
    gone, stays = make_series(slug="gone"), make_series(slug="stays")
    for series in (gone, stays):
        furnish(series)
    device = Device.objects.get(slug="gone")
    device.delete()
    run()
    assert rows_of(gone) == [0, 0, 0, 0]
    assert rows_of(stays) == [80, 40, 1, 1]
    assert [row.device_id for row in DeviceSession.objects.all()] != [device.id]
    assert DeviceSession.objects.count() == 1


def test_what_was_written_down_of_a_deleted_device_goes(monkeypatch):
    monkeypatch.setattr(records, "DELETE_ROWS", 3)
    make_series(slug="gone")
    device = Device.objects.get(slug="gone")
    for device_id in (device.id, device.id + 1):
        for at in range(10):
            DeviceEvent.objects.create(device_id=device_id, at=timezone.now())
            DeviceHour.objects.create(device_id=device_id, hour=at)
    device.delete()
    run()
    for model in (DeviceEvent, DeviceHour):
        left = model._default_manager.values_list("device_id", flat=True)
        assert list(left) == [device.id + 1] * 10


def test_their_own_rows_stay_as_tombstones():
    series = make_series()
    Device.objects.get().delete()
    run()
    assert Series.objects.filter(id=series).exists()
    assert Device.objects.get().deleted_at is not None


def test_what_comes_afterwards_goes_with_the_next():
    series = make_series()
    Series.objects.get().delete()
    run()
    save(series, [OLD_US], [1.0])
    run()
    assert not Block.objects.exists()


def test_steps_that_were_dropped_are_made_by_the_next():
    series = make_series()
    furnish(series)
    Device.objects.get().delete()
    held = hold()
    for count in itertools.count(1):
        steps = removal.steps(held)
        if len(list(itertools.islice(steps, count))) < count:
            break
        del steps
    assert rows_of(series) == [0, 0, 0, 0]


def test_a_lost_lease_ends_them():
    series, held = make_series(), hold()
    furnish(series)
    Series.objects.get().delete()
    steps = removal.steps(held)
    next(steps)
    Lease.objects.filter(name=lease.NAME).update(token=held.token + 1)
    left = rows_of(series)
    with pytest.raises(LeaseLost):
        list(steps)
    assert rows_of(series) == left
    assert left[0] > 0


def test_without_tombstones_there_is_nothing_to_do(django_assert_num_queries):
    furnish(make_series())
    held = hold()
    with django_assert_num_queries(2):
        assert list(removal.steps(held)) == []


class TestDeadSeries:
    def test_it_knows_deleted_series_and_those_of_deleted_devices(self):
        own = make_series(slug="a")
        lone, alive = make_series(slug="b"), make_series(slug="b", name="u")
        Device.objects.get(slug="a").delete()
        Series.objects.get(id=lone).delete()
        assert removal.dead_series() == {own, lone}
        assert alive not in removal.dead_series()

    def test_a_new_series_of_the_same_name_lives(self):
        old = make_series()
        Series.objects.get().delete()
        new = make_series()
        assert removal.dead_series() == {old} != {new}
