"""`/g/<slug>/readings.json`: what it answers, how much of it, and to what."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

import numpy as np
import pytest

from telemetry import conf
from telemetry.dashboard.readings import charts
from telemetry.devices.models import DeviceGroup, Series
from telemetry.history.journal import encode_columns
from telemetry.history.models import Journal
from telemetry.history.queries import turns
from telemetry.history.queries.buckets import Missing, TooMuch, read_buckets

from ..conftest import NOON_US, add_device

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


def test_few_readings_come_as_they_are(series, get):
    temp, door = series["temp"], series["door"]
    commit((temp, 0, 20.0), (temp, 1_000_000, 21.5), (door, 500_000, 1.0))
    commit((temp, 59_999_000, 22.0), (temp, 60_000_000, 99.0))
    status, answer = get()
    assert status == 200
    assert (answer["from"], answer["to"]) == (NOON_MS, NOON_MS + 60_000)
    assert (answer["count"], answer["width_ms"], answer["resolution"]) == (4, None, 0)
    assert answer["missing"] == []
    assert answer["series"] == {
        str(temp): {
            "times": [NOON_MS, NOON_MS + 1000, NOON_MS + 59_999],
            "values": [20.0, 21.5, 22.0],
            "before": None,
        },
        str(door): {"times": [NOON_MS + 500], "values": [1], "before": None},
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


@pytest.mark.parametrize(
    "query",
    [
        {"name": "te\0mp", "unit": "°C"},
        {"name": "temp", "unit": "\0"},
        {"device": "pump\0"},
        {"device": "pump", "unit": "\0"},
    ],
)
def test_nothing_is_called_by_what_no_database_can_hold(series, get, query):
    commit((series["temp"], 0, 20.0))
    status, answer = get(**query)
    assert (status, answer["series"]) == (200, {})


def test_more_readings_than_points_come_as_summaries_with_every_spike(series, get):
    rows = [(series["temp"], at * 1000, 20.0) for at in range(5_000)]
    rows[1234] = (series["temp"], 1234 * 1000, 95.5)
    commit(*rows)
    _, answer = get()
    found = answer["series"][str(series["temp"])]
    assert answer["count"] == sum(found["count"]) == 5_000
    assert answer["width_ms"] == 100
    assert found["starts"] == [NOON_MS + at * 100 for at in range(50)]
    assert found["max"][12] == 95.5
    assert found["mean"][12] == 20.755
    assert found["min"] == [20.0] * 50
    assert found["last"] == [NOON_MS + 4_999, 20.0]
    _, answer = get(points=100)
    assert answer["width_ms"] == 1_000


def test_gaps_stay_gaps(series, get):
    rows = [(series["temp"], at * 1000, 20.5) for at in range(5_000)]
    commit(*rows, *((series["temp"], 50_000_000 + at, 1.5) for at in range(500)))
    _, answer = get(points=60)
    found = answer["series"][str(series["temp"])]
    assert [at - NOON_MS for at in found["starts"]] == [
        0,
        1000,
        2000,
        3000,
        4000,
        50_000,
    ]


def test_a_boolean_comes_as_the_share_of_time_that_it_was_on(series, get):
    door = series["door"]
    commit((door, 0, 0.0), (door, 250_000, 1.0), (door, 1_500_000, 0.0))
    commit(*((door, 2_000_000 + at, 0.0) for at in range(500)))
    _, answer = get(points=60)
    found = answer["series"][str(door)]
    assert found["mean"][:2] == [0.75, 0.5]
    assert (found["min"][0], found["max"][0]) == (0, 1)


def test_a_chart_gets_the_width_that_it_has(series, get):
    commit((series["temp"], 0, 20.0), (series["temp"], 11_000_000, 22.5))
    _, answer = get(width=10_000)
    found = answer["series"][str(series["temp"])]
    assert answer["width_ms"] == 10_000
    assert found["starts"] == [NOON_MS, NOON_MS + 10_000]
    assert found["count"] == [1, 1]


def test_a_range_of_ten_years_is_a_range(series, get):
    commit((series["temp"], 0, 20.0))
    status, answer = get(**{"from": NOON_MS - 3_650 * 86_400_000, "width": 604_800_000})
    assert status == 200
    assert answer["count"] == 1


def test_what_cannot_be_read_is_named_and_the_rest_comes(series, get, monkeypatch):
    temp = series["temp"]
    commit((temp, 0, 20.0))
    read = read_buckets

    def read_with_a_hole(*args, **options):
        answer = read(*args, **options)
        answer.missing.append(
            Missing(temp, 0, NOON_US + 1_000_000, NOON_US + 2_000_500)
        )
        return answer

    monkeypatch.setattr(charts, "read_buckets", read_with_a_hole)
    status, answer = get()
    assert status == 200
    assert answer["missing"] == [[temp, NOON_MS + 1_000, NOON_MS + 2_000.5]]
    assert answer["series"][str(temp)]["values"] == [20]


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
        {"width": "-1"},
        {"width": 99},
        {"width": "wide"},
        {"from": NOON_MS - 3_670 * 86_400_000},
        {"from": NOON_MS - 86_400_000, "width": 1_000},
    ],
)
def test_a_wrong_range_is_told_what_was_expected(series, get, query):
    status, answer = get(**query)
    assert status == 400
    assert "expected" in answer["error"]


def test_one_device_is_asked_for_by_its_slug_and_unit(plant, series, get):
    fan = Series.objects.get(device=add_device(plant, "fan"), name="temp")
    commit((series["temp"], 0, 20.0), (series["door"], 0, 1.0), (fan.pk, 0, 5.0))
    _, answer = get(device="pump")
    assert answer["series"].keys() == {str(series["temp"]), str(series["door"])}
    _, answer = get(device="pump", unit="°C")
    assert answer["series"].keys() == {str(series["temp"])}
    _, answer = get(device="of-another-group")
    assert answer["series"] == {}


def test_a_name_with_a_script_in_it_finds_nothing(series, get):
    _, answer = get(name="<script>", unit="' OR 1=1")
    assert answer["series"] == {}


def test_more_series_than_an_answer_may_have_are_refused(series, get, monkeypatch):
    monkeypatch.setattr(charts, "MAX_POINTS_TOTAL", charts.MIN_POINTS)
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
    before = {"from": NOON_MS - 900_000, "to": NOON_MS - 600_000}
    assert get(**before)[0] == 200


def test_the_bound_that_was_met_is_named(series, get, monkeypatch):
    def read(*args, **kwargs):
        raise TooMuch("expected at most 7 blocks of readings in the range, got more")

    monkeypatch.setattr(charts, "read_buckets", read)
    status, answer = get()
    assert status == 413
    assert "at most 7 blocks" in answer["error"]


def test_a_busy_reader_says_when_to_ask_again(series, get, monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(turns, "_reads", threading.BoundedSemaphore(1))
    with turns.turn():
        status, answer = get()
    assert status == 503
    assert "try again" in answer["error"]
    assert get()[0] == 200
