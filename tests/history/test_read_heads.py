"""The last values as all processes know them, whatever is folded meanwhile."""

from __future__ import annotations

import pytest

from telemetry.devices.models import Device, Series
from telemetry.history import watermarks
from telemetry.history.journal import open_writer
from telemetry.history.models import SeriesHead
from telemetry.protocol import clock

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_folded_while_journals_are_read_is_found(monkeypatch):
    """Its row is no longer read in the journal, and was not yet among the heads."""
    device = Device.objects.create(slug="boiler", name="Boiler")
    series = Series.objects.create(device=device, name="temp").pk
    now_us = clock.now_us()
    open_writer(now_us)
    replayed = []

    def fold_first(heads, writer):
        replayed.append(writer)
        SeriesHead.objects.create(
            series_id=series,
            time_us=now_us,
            effective_us=now_us,
            received_us=now_us,
            value=21.5,
        )
        return 0, {}

    monkeypatch.setattr(watermarks, "_replay", fold_first)
    (head,) = watermarks.read_heads([series])
    assert len(replayed) == 1
    assert (head.series_id, head.value) == (series, 21.5)
