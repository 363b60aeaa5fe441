"""telemetry.history.admin.usage: what a day takes, of devices that are as they are."""

from __future__ import annotations

import numpy as np
import pytest

from telemetry.devices.models import Device, Series
from telemetry.history import blocks
from telemetry.history.admin import usage
from telemetry.history.keeping import tiers
from telemetry.history.models import Block
from telemetry.history.space import ROW_BYTES
from telemetry.history.summary import Summaries, of_readings
from telemetry.protocol.clock import DAY_US

from ..rows import NOW_US

pytestmark = pytest.mark.django_db


def series_of(name: str) -> Series:
    device, _ = Device.objects.get_or_create(slug=name, name=name)
    number = device.series.count()
    made: Series = Series.objects.create(
        device=device, name=f"m{number}", kind="number"
    )
    return made


def block(
    series_id: int, start_us: int, end_us: int, count: int = 100, is_open: bool = False
) -> Block:
    times_us = np.linspace(start_us, end_us, count).astype(np.int64)
    values = np.arange(count, dtype=float)
    return write(blocks.build(series_id, times_us, values, is_open=is_open))


def write(new: blocks.NewBlock) -> Block:
    blocks.insert([new])
    return Block.objects.latest("id")


def size_of(*made: Block) -> int:
    return sum(len(each.data) + ROW_BYTES for each in made)


def day(number: float) -> int:
    """A moment so many days ago."""
    return NOW_US - int(number * DAY_US)


def test_an_empty_hub_uses_nothing():
    assert usage.by_device(NOW_US) == usage.Usage(7.0, {})
    assert usage.oldest_us(0) is None
    assert usage.tier_row_bytes() == tiers.ROW_BYTES


def test_a_week_of_a_device_with_two_series():
    one, other = series_of("boiler"), series_of("boiler")
    made = [block(one.id, day(at), day(at - 0.9)) for at in range(1, 8)]
    made += [block(other.id, day(at), day(at - 0.9)) for at in range(1, 8)]
    found = usage.by_device(NOW_US)
    assert found.window_days == 7
    use = found.devices[one.device_id]
    assert use.readings_a_day == pytest.approx(200)
    assert use.bytes_a_day == pytest.approx(size_of(*made) / 7)
    assert use.series == 2
    assert use.bytes_a_reading == pytest.approx(size_of(*made) / 1_400)


def test_what_is_older_than_the_window_is_left_out():
    series = series_of("boiler")
    block(series.id, day(30), day(8))
    assert usage.by_device(NOW_US).devices == {}


def test_of_a_closed_block_that_began_earlier_its_share_counts():
    series = series_of("boiler")
    made = block(series.id, day(8), day(6), count=200)
    block(series.id, day(9), day(8.1), count=100)
    use = usage.by_device(NOW_US).devices[series.device_id]
    assert use.readings_a_day == pytest.approx(100 / 7)
    assert use.bytes_a_day == pytest.approx(size_of(made) / 2 / 7, rel=0.01)


def test_of_an_open_block_that_began_earlier_its_share_counts():
    series = series_of("boiler")
    made = block(series.id, day(14), day(0), count=1_400, is_open=True)
    use = usage.by_device(NOW_US).devices[series.device_id]
    assert use.readings_a_day == pytest.approx(100)
    assert use.bytes_a_day == pytest.approx(size_of(made) / 14, rel=0.01)


def test_a_device_that_began_today_is_judged_by_its_time():
    series = series_of("boiler")
    block(series.id, day(0.5), day(0), count=100)
    use = usage.by_device(NOW_US).devices[series.device_id]
    assert use.readings_a_day == pytest.approx(200)


def test_but_never_by_less_than_an_hour():
    series = series_of("boiler")
    block(series.id, NOW_US - 1_000_000, NOW_US, count=100)
    use = usage.by_device(NOW_US).devices[series.device_id]
    assert use.readings_a_day == pytest.approx(2_400)


def test_series_of_no_device_have_their_line():
    block(999_999, day(1), day(0.5), count=7)
    (device,) = usage.by_device(NOW_US).devices
    assert device is None


def test_many_blocks_make_the_window_shorter(monkeypatch):
    monkeypatch.setattr(usage, "MOST_BLOCKS", 7)
    series = series_of("boiler")
    for at in range(14):
        block(series.id, day(at / 2 + 0.5), day(at / 2 + 0.1))
    found = usage.by_device(NOW_US)
    assert found.window_days == pytest.approx(3.5)
    assert found.devices[series.device_id].readings_a_day == pytest.approx(200)


@pytest.mark.parametrize("devices", [1, 30])
def test_as_many_queries_for_many_devices(devices, django_assert_num_queries):
    for number in range(devices):
        block(series_of(f"device-{number}").id, day(2), day(1))
    with django_assert_num_queries(5):
        assert len(usage.by_device(NOW_US).devices) == devices


def tier(count: int) -> Summaries:
    width_us = 300_000_000
    times_us = NOW_US // width_us * width_us + np.arange(count) * width_us
    return of_readings(times_us, np.arange(count, dtype=float), np.arange(count))


def test_a_row_of_the_tier_is_measured():
    made = write(blocks.build_tier(1, tier(400)))
    row_bytes = usage.tier_row_bytes()
    assert row_bytes == pytest.approx(size_of(made) / 400)
    fast = usage.Use(series=2, readings_a_day=1e6)
    assert usage.tier_bytes_a_day(fast, row_bytes) == pytest.approx(576 * row_bytes)
    slow = usage.Use(series=2, readings_a_day=10)
    assert usage.tier_bytes_a_day(slow, row_bytes) == pytest.approx(10 * row_bytes)
