"""Property tests of the history: no clock decides whether they pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from hypothesis import settings

from telemetry.devices.models import Device, Series
from telemetry.history.journal import open_writer
from telemetry.history.models import Writer

from .files import AWKWARD, TEXTS, T
from .rows import write

settings.register_profile("history", deadline=None)
settings.load_profile("history")


@pytest.fixture
def quick() -> Iterator[None]:
    """Without waiting for the disk: no power fails here."""
    is_sqlite = connection.vendor == "sqlite"
    off, on = (
        ("PRAGMA synchronous = OFF", "PRAGMA synchronous = FULL")
        if is_sqlite
        else ("SET synchronous_commit = off", "SET synchronous_commit = on")
    )
    with connection.cursor() as cursor:
        cursor.execute(off)
    yield
    with connection.cursor() as cursor:
        cursor.execute(on)


@pytest.fixture
def awkward(transactional_db) -> None:
    """Three series of a device, one of another, with awkward values."""
    pump = Device.objects.create(slug="pump", name="Pump")
    other = Device.objects.create(slug="a-first", name="Other")
    number = Series.objects.create(device=pump, name="temp", unit='°C, "x"').pk
    boolean = Series.objects.create(device=pump, name="door", kind="boolean").pk
    text = Series.objects.create(device=pump, name="mode", kind="text").pk
    more = Series.objects.create(device=other, name="z").pk
    rows = [(number, T + at * 250_001, value) for at, value in enumerate(AWKWARD)]
    # Two values at one time, in order of arrival; and a late one.
    rows += [(number, T, 7.0), (number, T, 3.0), (number, T - 1, -2.5)]
    rows += [(boolean, T, 1.0), (boolean, T + 1, 0.0)]
    rows += [(more, T + 999_999, 1.0)]
    texts = [(text, T + at // 2, value) for at, value in enumerate(TEXTS)]
    writer = open_writer(T)
    write(writer.pk, 1, *rows[:5], texts=texts[:3])
    write(writer.pk, 2, *rows[5:], texts=texts[3:])
    Writer.objects.update(folded_to=2)
