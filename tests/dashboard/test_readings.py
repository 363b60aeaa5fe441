"""`/g/<slug>/readings.json`: what it answers, how much of it, and to what."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

import numpy as np
import pytest

from telemetry import conf
from telemetry.dashboard import paging
from telemetry.devices.models import DeviceGroup, Series
from telemetry.history.journal import encode_columns
from telemetry.history.models import Journal

from .conftest import NOON_US, add_device

NOON_MS = NOON_US // 1000


def commit(*readings: tuple[int, int, float]) -> None:
    """(series id, µs after noon, value) as one journal row."""
    number = Journal.objects.count() + 1
    series, after_us, values = zip(*readings, strict=True)
    Journal.objects.create(
        writer_id=1,
        number=number,
        received_at=datetime.fromtimestamp(NOON_US / 1e6, timezone.utc),
        count=len(readings),
        marks=b"",
        columns=encode_columns(
            np.array(series, np.int32),
            np.array(after_us, np.int64) + NOON_US,
            np.array(values, np.float64),
        ),
    )


@pytest.fixture
def series(plant: DeviceGroup) -> dict[str, int]:
    add_device(plant, "pump")
    return dict(Series.objects.values_list("name", "pk"))


@pytest.fixture
def get(people, sign_in):
    bob = sign_in(people.bob)

    def got(**query):
        wanted = {"from": NOON_MS, "to": NOON_MS + 60_000, **query}
        answer = bob.get("/g/plant/readings.json", wanted)
        return answer.status_code, answer.json()

    return got


def test_answers_the_readings_of_the_range(series, get):
    temp, door = series["temp"], series["door"]
    commit((temp, 0, 20.0), (temp, 1_000_000, 21.5), (door, 500_000, 1.0))
    commit((temp, 59_999_000, 22.0), (temp, 60_000_000, 99.0), (temp, -1, 98.0))
    status, answer = get()
    assert status == 200
    assert answer["from"], answer["to"] == (NOON_MS, NOON_MS + 60_000)
    assert answer["count"] == 4
    assert answer["series"] == {
        str(temp): {
            "times": [NOON_MS, NOON_MS + 1000, NOON_MS + 59_999],
            "values": [20.0, 21.5, 22.0],
        },
        str(door): {"times": [NOON_MS + 500], "values": [1.0]},
    }


def test_a_fraction_of_a_millisecond_is_kept(series, get):
    commit((series["temp"], 250, 20.0))
    _, answer = get()
    assert answer["series"][str(series["temp"])]["times"] == [NOON_MS + 0.25]


def test_one_chart_can_be_asked_for(series, get):
    commit((series["temp"], 0, 20.0), (series["door"], 0, 1.0))
    _, answer = get(name="temp", unit="°C")
    assert list(answer["series"]) == [str(series["temp"])]
    _, answer = get(name="temp", unit="°F")
    assert answer["series"] == {}


def test_more_readings_than_points_keep_every_spike_and_the_count(series, get):
    rows = [(series["temp"], at * 1000, 20.0) for at in range(5_000)]
    rows[1234] = (series["temp"], 1234 * 1000, 95.0)
    commit(*rows)
    _, answer = get()
    found = answer["series"][str(series["temp"])]
    assert answer["count"] == 5_000
    assert len(found["times"]) <= 2_000
    assert max(found["values"]) == 95.0
    assert found["times"] == sorted(found["times"])
    _, answer = get(points=100)
    assert len(answer["series"][str(series["temp"])]["times"]) <= 100


@pytest.mark.parametrize(
    "query",
    [
        {"from": ""},
        {"from": "-1"},
        {"from": "yesterday"},
        {"to": "1" * 40},
        {"to": "١٢"},
        {"from": NOON_MS + 60_000},
        {"from": 0},
        {"points": "many"},
    ],
)
def test_a_wrong_range_is_told_what_was_expected(series, get, query):
    status, answer = get(**query)
    assert status == 400
    assert "expected" in answer["error"]


def test_a_name_with_a_script_in_it_finds_nothing(series, get):
    _, answer = get(name="<script>", unit="' OR 1=1")
    assert answer["series"] == {}


def test_more_series_than_a_range_may_have_are_refused_before_anything_is_read(
    series, get, monkeypatch
):
    monkeypatch.setattr(paging, "MOST_PAGES", 0)
    status, answer = get()
    assert status == 413
    assert "at most 1 series" in answer["error"]
    assert get(name="temp", unit="°C")[0] == 200


def test_more_readings_than_a_request_may_read_are_refused(series, get, settings):
    settings.TELEMETRY_READ_READINGS = 100_000
    conf.reset()
    at = range(0, 60_000_000, 500)
    commit(*((series["temp"], each, 20.0) for each in at))
    status, answer = get()
    assert status == 413
    assert "100000 readings" in answer["error"]
    assert get(to=NOON_MS + 1_000)[0] == 200


def test_a_busy_reader_says_when_to_ask_again(series, get, monkeypatch):
    monkeypatch.setattr(paging, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(paging, "_reads", threading.BoundedSemaphore(1))
    paging._reads.acquire()
    status, answer = get()
    assert status == 503
    assert "try again" in answer["error"]
