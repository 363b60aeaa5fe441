"""The small lines of a fleet: buckets of the last 15 minutes, of at most 64 series."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone

import numpy as np
import pytest

from telemetry.dashboard.fleet.traces import BUCKETS, MOST_SERIES, WIDTH_US
from telemetry.devices.models import Series
from telemetry.history.journal import encode_columns
from telemetry.history.models import Journal
from telemetry.history.queries import turns

from ..conftest import add_device

PATH = "/fleet/traces.json?series="


def commit(series: int, *readings: tuple[float, float]) -> None:
    """(age in seconds, value) of one series, oldest first."""
    now_us = int(time.time() * 1e6)
    Journal.objects.create(
        writer_id=1,
        number=1,
        received_at=datetime.fromtimestamp(now_us / 1e6, timezone.utc),
        count=len(readings),
        marks=b"",
        columns=encode_columns(
            np.full(len(readings), series, np.int32),
            np.array([now_us - int(age * 1e6) for age, _ in readings], np.int64),
            np.array([value for _, value in readings], np.float64),
        ),
    )


def test_the_lowest_and_the_highest_of_each_bucket(plant, people, sign_in):
    device = add_device(plant, "pump")
    temp = Series.objects.get(device=device, name="temp").pk
    width = WIDTH_US / 1e6
    commit(temp, (2_000, 99), (10 * width, 20.5), (10 * width, -3), (0, 7))
    found = json.loads(sign_in(people.bob).get(f"{PATH}{temp}").content)
    assert found["width_ms"] == WIDTH_US // 1000
    assert found["from"] % found["width_ms"] == 0
    assert 0 <= found["from"] / 1000 + BUCKETS * width - time.time() <= width
    line = found["series"][str(temp)]
    assert [line["min"], line["max"]] == [[-3, 7], [20.5, 7]]
    assert line["at"][1] - line["at"][0] == 10
    assert line["at"][1] in (BUCKETS - 2, BUCKETS - 1)


def test_texts_have_no_line_booleans_have(plant, people, sign_in):
    device = add_device(plant, "pump")
    ids = dict(Series.objects.filter(device=device).values_list("name", "pk"))
    commit(ids["door"], (5, 0), (1, 1))
    path = PATH + ",".join(map(str, ids.values()))
    found = json.loads(sign_in(people.bob).get(path).content)["series"]
    assert str(ids["mode"]) not in found
    door = found[str(ids["door"])]
    assert (min(door["min"]), max(door["max"])) == (0, 1)


def test_the_number_of_queries_does_not_grow(
    plant, people, sign_in, django_assert_num_queries
):
    bob, counts = sign_in(people.bob), []
    for at in range(20):
        add_device(plant, f"pump-{at}")
    ids = list(Series.objects.filter(name="temp").values_list("pk", flat=True))
    for some in (ids[:2], ids):
        with django_assert_num_queries(20, exact=False) as queries:
            bob.get(PATH + ",".join(map(str, some)))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_while_others_read_it_asks_to_come_back(plant, people, sign_in, monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
    with turns.turn(), turns.turn():
        answer = sign_in(people.bob).get(PATH)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


class TestSeries:
    @pytest.mark.parametrize("asked", ["x", "1,-2", "1.5", "1;2", "9" * 16, "²"])
    def test_what_is_no_id_is_refused_in_a_sentence(
        self, plant, people, sign_in, asked
    ):
        answer = sign_in(people.bob).get(PATH + asked)
        assert answer.status_code == 400
        assert "series: expected" in json.loads(answer.content)["error"]

    @pytest.mark.parametrize(
        ("count", "status"), [(MOST_SERIES, 200), (MOST_SERIES + 1, 400)]
    )
    def test_at_most_64(self, plant, people, sign_in, count, status):
        ids = ",".join(str(at) for at in range(1, count + 1))
        assert sign_in(people.bob).get(PATH + ids).status_code == status

    def test_none_is_nothing(self, plant, people, sign_in):
        answer = json.loads(sign_in(people.bob).get(PATH).content)
        assert answer["series"] == {}
