"""The verdict over a real journal: exact, missing, twice, never acked."""

from __future__ import annotations

import pytest

from telemetry.devices.models import Device, Kind, Series
from telemetry.fleet.ledger import Ledger
from telemetry.fleet.verify import verify
from telemetry.history.journal import Gathered, Row

NOW = 1_795_341_600_000_000
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def series() -> Series:
    device = Device.objects.create(slug="boiler-7", name="Boiler")
    return Series.objects.create(device=device, name="temp")


def store(number: int, readings: list[tuple[int, int, float]], texts=()) -> None:
    gathered = Gathered()
    for series, time_us, value in readings:
        gathered.series.append(series)
        gathered.times_us.append(time_us)
        gathered.values.append(value)
    gathered.texts.extend(texts)
    Row(1, number, NOW + number, gathered).write()


def acked(*readings: tuple[str, int, float | str]) -> Ledger:
    ledger = Ledger()
    for metric, time_us, value in readings:
        ledger.add("boiler-7", metric, time_us, value)
    return ledger


def test_what_is_stored_once_is_exact(series: Series) -> None:
    store(1, [(series.pk, NOW, 1.5), (series.pk, NOW - 5, 2.5)])
    verdict = verify(acked(("temp", NOW, 1.5), ("temp", NOW - 5, 2.5)), {})
    assert verdict.is_exact
    assert (verdict.acked, verdict.stored, verdict.missing) == (2, 2, 0)


def test_an_acked_reading_that_is_not_there_is_missing(series: Series) -> None:
    store(1, [(series.pk, NOW, 1.5)])
    verdict = verify(acked(("temp", NOW, 1.5), ("temp", NOW + 1, 2.5)), {})
    assert not verdict.is_exact
    assert verdict.missing == 1


def test_another_value_is_a_difference(series: Series) -> None:
    store(1, [(series.pk, NOW, 1.5)])
    assert not verify(acked(("temp", NOW, 1.6)), {}).is_exact


def test_a_reading_in_two_rows_of_the_journal_is_there_twice(series: Series) -> None:
    store(1, [(series.pk, NOW, 1.5)])
    store(2, [(series.pk, NOW, 1.5)])
    verdict = verify(acked(("temp", NOW, 1.5)), {})
    assert verdict.twice == 1
    assert not verdict.is_exact


def test_what_was_never_acked_may_be_there_or_not(series: Series) -> None:
    store(
        1, [(series.pk, NOW, 1.5), (series.pk, NOW + 2, 9.0), (series.pk, NOW + 4, 3)]
    )
    ledger = acked(("temp", NOW, 1.5), ("temp", NOW + 4, 3))
    assert not verify(ledger, {}).is_exact
    uncertain = {("boiler-7", "temp"): [NOW + 2, NOW + 9]}
    assert verify(ledger, uncertain).is_exact


def test_texts_are_compared_as_well(series: Series) -> None:
    state = Series.objects.create(device=series.device, name="state", kind=Kind.TEXT)
    store(1, [], texts=[(state.pk, NOW, "on")])
    assert verify(acked(("state", NOW, "on")), {}).is_exact
    assert not verify(acked(("state", NOW, "off")), {}).is_exact


def test_nothing_acked_is_exact() -> None:
    assert verify(Ledger(), {}).is_exact
