"""telemetry.devices.series: what devices ask for is made in few transactions."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from telemetry.devices import series
from telemetry.devices.entries import SeriesWanted
from telemetry.devices.models import Device, Metric, Series
from telemetry.devices.series import TOGETHER, Wish

# Foreign keys are checked when a transaction ends.
pytestmark = pytest.mark.django_db(transaction=True)

TEMP = SeriesWanted("temp", "number")


def devices(count: int) -> list[int]:
    rows = [Device(slug=f"d{n}", name=f"d{n}") for n in range(count)]
    return [device.pk for device in Device.objects.bulk_create(rows)]


def names_of(made: series.Made) -> set[str]:
    assert not isinstance(made, DatabaseError), made
    return set(made)


@pytest.mark.parametrize("count", [1, TOGETHER, TOGETHER + 1])
def test_each_device_gets_what_it_wished_for(count: int):
    ids = devices(count)
    wished = [Wish(pk, (TEMP, SeriesWanted(f"own{pk}"))) for pk in ids]
    made = series.make_together(wished)
    assert [names_of(made[wish]) for wish in wished] == [
        {"temp", f"own{pk}"} for pk in ids
    ]
    assert Series.objects.count() == 2 * count


def test_a_hundred_devices_cost_as_many_statements_as_one():
    one, *others = devices(TOGETHER + 1)
    with CaptureQueriesContext(
        connection,
    ) as alone:
        series.make_together([Wish(one, (TEMP,))])
    with CaptureQueriesContext(connection) as together:
        series.make_together([Wish(pk, (TEMP,)) for pk in others])
    assert len(together) == len(alone)


def test_a_device_that_is_no_more_spoils_no_other():
    first, last = devices(2)
    wished = [Wish(pk, (TEMP,)) for pk in (first, last + 1, last)]
    made = series.make_together(wished)
    assert isinstance(made[wished[1]], DatabaseError)
    assert names_of(made[wished[0]]) == names_of(made[wished[2]]) == {"temp"}


def test_two_wishes_of_one_device_are_both_met():
    (pk,) = devices(1)
    wished = [Wish(pk, (TEMP,)), Wish(pk, (TEMP, SeriesWanted("rpm")))]
    made = series.make_together(wished)
    assert [names_of(made[wish]) for wish in wished] == [{"temp", "rpm"}] * 2
    assert Series.objects.count() == 2


def test_the_catalogue_fills_what_the_device_left_open():
    Metric.objects.create(name="temp", kind="number", unit="°C", decimals=1)
    (pk,) = devices(1)
    made = series.make_series(Wish(pk, (SeriesWanted("temp", label="Inlet"),)))
    assert (made["temp"].unit, made["temp"].decimals) == ("°C", 1)
    assert made["temp"].label == "Inlet"


def test_what_is_empty_is_filled_and_what_is_written_stays():
    (pk,) = devices(1)
    series.make_series(Wish(pk, (SeriesWanted("temp", label="Inlet"),)))
    told = SeriesWanted("temp", unit="K", label="Outlet")
    made = series.make_together([wish := Wish(pk, (), (told,))])[wish]
    assert not isinstance(made, DatabaseError)
    assert (made["temp"].unit, made["temp"].label) == ("K", "Inlet")


def test_a_database_that_is_away_is_no_answer(monkeypatch):
    def away(wished):
        raise OperationalError("the database is away")

    monkeypatch.setattr(series, "_make", away)
    with pytest.raises(OperationalError):
        series.make_together([Wish(1, (TEMP,)), Wish(2, (TEMP,))])
