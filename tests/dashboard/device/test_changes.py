"""`/d/<slug>/changes.json`: since when the values hold."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from telemetry.dashboard.device import changes
from telemetry.devices.models import Series
from telemetry.history.journal import encode_columns
from telemetry.history.models import Journal, TextReading
from telemetry.history.queries import turns
from telemetry.protocol.clock import now_us

from ..conftest import add_device


@pytest.fixture
def series(plant) -> dict[str, int]:
    add_device(plant, "pump")
    return dict(Series.objects.values_list("name", "pk"))


@pytest.fixture
def get(people, sign_in):
    bob = sign_in(people.bob)
    return lambda: bob.get("/d/pump/changes.json")


def commit(*readings: tuple[int, int, float]) -> None:
    series, times_us, values = zip(*readings, strict=True)
    Journal.objects.create(
        writer_id=1,
        number=1,
        received_at=datetime.now(timezone.utc),
        count=len(readings),
        marks=b"",
        columns=encode_columns(
            np.array(series, np.int32),
            np.array(times_us, np.int64),
            np.array(values, np.float64),
        ),
    )


def test_booleans_and_texts_are_told_and_no_numbers(series, get):
    hour_us, now = 3_600_000_000, now_us() // 1000 * 1000
    door, temp, mode = series["door"], series["temp"], series["mode"]
    commit(
        (door, now - 3 * hour_us, 0.0),
        (door, now - 2 * hour_us, 1.0),
        (door, now - hour_us, 1.0),
        (temp, now - hour_us, 21.5),
    )
    at = now - 5 * hour_us
    TextReading.objects.create(
        series_id=mode, time_us=at, received_us=at, value="hot water"
    )
    assert get().json() == {
        str(door): [(now - 2 * hour_us) // 1000, False],
        str(mode): [at // 1000, True],
    }


def test_a_device_that_has_sent_nothing_has_none(series, get):
    assert get().json() == {}


def test_only_so_many_are_looked_for(series, get, monkeypatch):
    now = now_us()
    commit((series["door"], now - 1_000, 1.0))
    for most, found in ((2, 1), (0, 0)):
        monkeypatch.setattr(changes, "MOST_SERIES", most)
        assert len(get().json()) == found


def test_while_others_read_history_it_says_so(series, get, monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0)
    at = now_us()
    TextReading.objects.create(
        series_id=series["mode"], time_us=at, received_us=at, value="hot water"
    )
    looked = []
    monkeypatch.setattr(changes, "texts_held", lambda *asked: looked.append(asked))
    with turns.turn(), turns.turn():
        answer = get()
    assert looked == []
    assert answer.status_code == 503
    assert "try again" in answer.json()["error"]
