"""Export: every raw reading once, in order, in pages of any size."""

from __future__ import annotations

import numpy as np
import pytest

from telemetry.devices.models import Device, Series
from telemetry.history.journal import open_writer
from telemetry.history.models import Writer
from telemetry.history.tail import Tail
from telemetry.history.transfer import export

from ..files import ALL, T, encoded, sealed
from ..rows import write


def test_lines_are_by_device_metric_time_and_arrival(awkward):
    lines = encoded("csv").decode().splitlines()
    assert lines[0] == "device,metric,kind,unit,time,value"
    assert lines[1] == "a-first,z,number,,2026-11-22T10:00:00.999999Z,1.0"
    assert lines[2] == "pump,door,boolean,,2026-11-22T10:00:00.000000Z,true"
    temp = [line for line in lines if ",temp," in line]
    assert temp[:4] == [
        'pump,temp,number,"°C, ""x""",2026-11-22T09:59:59.999999Z,-2.5',
        'pump,temp,number,"°C, ""x""",2026-11-22T10:00:00.000000Z,-0.0',
        'pump,temp,number,"°C, ""x""",2026-11-22T10:00:00.000000Z,7.0',
        'pump,temp,number,"°C, ""x""",2026-11-22T10:00:00.000000Z,3.0',
    ]


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("page_readings", [1, 2, 3, 100])
def test_pages_of_any_size_hold_the_same(awkward, page_readings, is_sealed):
    whole = encoded("csv")
    if is_sealed:
        sealed()
    tail = Tail(1_000_000)
    tail.load(0)
    assert encoded("csv", tail, page_readings=page_readings) == whole
    assert encoded("csv", page_readings=page_readings) == whole


def test_a_long_series_comes_in_pages(transactional_db):
    device = Device.objects.create(slug="fast", name="Fast")
    series = Series.objects.create(device=device, name="n").pk
    importer_rows = 50_000
    times = np.arange(importer_rows) * 1_000 + T
    writer = open_writer(T)
    for number, start in enumerate(range(0, importer_rows, 10_000), 1):
        some = times[start : start + 10_000].tolist()
        write(writer.pk, number, *((series, time, float(time)) for time in some))
    tail = Tail(1_000_000)
    tail.load(0)
    Writer.objects.update(folded_to=5)
    named = export.named(Series.objects.all())
    for held in (tail, None):
        if held is None:
            sealed()
        pages = list(export.pages(named, *ALL, held, 10_000))
        assert max(len(page.times_us) for page in pages) <= 10_000 + 2 * 16_384
        assert len(pages) >= 2
        assert np.concatenate([p.times_us for p in pages]).tolist() == times.tolist()


def test_the_estimate_is_about_what_comes(awkward):
    named = export.named(Series.objects.all())
    tail = Tail(1_000_000)
    tail.load(0)
    assert export.estimated(named, *ALL, tail) == 15
    sealed()
    assert export.estimated(named, *ALL) == 15
