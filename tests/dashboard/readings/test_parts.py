"""`readings.html` and `readings.csv`: what a chart shows, to take away."""

from __future__ import annotations

import re
from html import unescape

import pytest

from telemetry import conf
from telemetry.dashboard.readings import parts
from telemetry.devices.models import Series

from ..conftest import add_device
from .test_charts import NOON_MS, commit

RANGE = {"from": NOON_MS, "to": NOON_MS + 60_000}
PATHS = ["/g/plant/readings.html", "/d/pump/readings.html"]
PATHS += ["/g/plant/readings.csv", "/d/pump/readings.csv"]


@pytest.fixture
def series(plant) -> dict[str, int]:
    add_device(plant, "pump", "Pump <1>")
    return dict(Series.objects.values_list("name", "pk"))


@pytest.fixture
def bob(people, sign_in):
    return sign_in(people.bob)


def rows(answer) -> list[list[str]]:
    body = answer.content.decode().split("<tbody>")[1].split("</tbody>")[0]
    return [
        [
            unescape(re.sub("<[^>]*>", "", cell))
            for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)
        ]
        for row in body.split("</tr>")[:-1]
    ]


def link(answer, step: str) -> str | None:
    found = re.search(rf'data-step="{step}" href="([^"]*)"', answer.content.decode())
    return unescape(found[1]) if found else None


def content(answer) -> str:
    return b"".join(answer.streaming_content).decode("utf-8-sig")


@pytest.mark.parametrize("path", PATHS)
def test_what_may_not_be_seen_is_what_does_not_exist(
    series, people, sign_in, client, path
):
    charlie = sign_in(people.charlie)
    assert charlie.get(path, RANGE).status_code == 404
    nothing = path.replace("plant", "no").replace("pump", "no")
    assert charlie.get(nothing, RANGE).status_code == 404
    assert client.get(path, RANGE)["Location"].startswith("/login?next=")


def test_readings_are_listed_the_newest_first_by_device(plant, series, bob):
    fan = Series.objects.get(device=add_device(plant, "fan", "Fan"), name="temp")
    commit((series["temp"], 0, 20.0), (series["temp"], 1_500_000, 21.5))
    commit((fan.pk, 0, 5.0), (series["door"], 0, 1.0))
    answer = bob.get(PATHS[0], {**RANGE, "name": "temp", "unit": "°C"})
    assert rows(answer) == [
        ["2026-11-22 12:00:01.500", "Pump <1>", "21.5"],
        ["2026-11-22 12:00:00", "Pump <1>", "20.0"],
        ["2026-11-22 12:00:00", "Fan", "5.0"],
    ]
    assert b"Pump <1>" not in answer.content
    door = rows(bob.get(PATHS[0], {**RANGE, "name": "door", "kind": "boolean"}))
    assert door == [["2026-11-22 12:00:00", "Pump <1>", "on"]]


def test_a_device_is_listed_by_metric_and_only_those_that_are_shown(series, bob):
    commit((series["temp"], 0, 20.0), (series["door"], 0, 1.0))
    asked = {**RANGE, "device": "pump", "m": "door,gone"}
    for path in PATHS[:2]:
        assert rows(bob.get(path, asked)) == [["2026-11-22 12:00:00", "door", "on"]]


def test_a_long_list_is_turned_over_page_by_page(series, bob, monkeypatch):
    monkeypatch.setattr(parts, "PAGE_ROWS", 2)
    commit(*((series["temp"], at * 1_000_000, float(at)) for at in range(5)))
    answer = bob.get(PATHS[1], {**RANGE, "name": "temp", "unit": "°C"})
    seen = []
    assert link(answer, "newer") is None
    while answer is not None:
        seen.append([row[2] for row in rows(answer)])
        older = link(answer, "older")
        newest, answer = answer, older and bob.get(older)
    assert seen == [["4", "3"], ["2", "1"], ["0"]]
    assert [row[2] for row in rows(bob.get(link(newest, "newer")))] == ["2", "1"]
    for page in ("99", "x", "-1", "9" * 30):
        bob.get(PATHS[1], {**RANGE, "page": page}).content.index(b"Renew")


def test_a_range_that_goes_on_is_renewed_as_of_now(series, bob):
    fixed = str(link(bob.get(PATHS[0], {**RANGE, "page": "3"}), "renew"))
    assert f"from={NOON_MS}&to={NOON_MS + 60_000}" in fixed
    assert "page" not in fixed
    live = str(link(bob.get(PATHS[0], {**RANGE, "live": "1"}), "renew"))
    start, end = map(int, re.findall(r"(?:from|to)=(\d+)", live))
    assert end - start == 60_000
    assert end != NOON_MS + 60_000


def test_an_empty_range_says_so(series, bob):
    assert b"No reading in this range" in bob.get(PATHS[0], RANGE).content


def test_summaries_have_their_extremes_and_their_count(series, bob):
    commit(*((series["temp"], at * 100_000, at % 7.0) for at in range(600)))
    asked = {**RANGE, "points": "60", "name": "temp", "unit": "°C", "width": "1000"}
    first = rows(bob.get(PATHS[0], asked))[0]
    assert first[-1] == "10"
    lines = content(bob.get(PATHS[2], asked)).splitlines()
    assert lines[0] == "time,device,name,metric,unit,mean,lowest,highest,readings"
    assert len(lines) == 61


def test_a_file_has_every_reading_and_a_name(series, bob):
    commit((series["temp"], 0, 20.0), (series["temp"], 1_500_000, 21.5))
    for path, name in ((PATHS[2], "plant"), (PATHS[3], "pump")):
        answer = bob.get(path, {**RANGE, "title": "Temp 1/2"})
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert f'"{name}-Temp-1-2-2026' in answer["Content-Disposition"]
        assert content(answer).splitlines()[1:] == [
            "2026-11-22T12:00:00.000Z,pump,Pump <1>,temp,°C,20",
            "2026-11-22T12:00:01.500Z,pump,Pump <1>,temp,°C,21.5",
        ]


def test_what_is_refused_says_why(series, bob, settings):
    wrong = bob.get(PATHS[2], {"from": "x", "to": "1"})
    assert (wrong.status_code, wrong["Content-Type"]) == (400, "text/plain")
    assert "expected a whole number" in wrong.content.decode()
    assert "expected a whole number" in bob.get(PATHS[0]).content.decode()
    settings.TELEMETRY_READ_READINGS = 100_000
    conf.reset()
    commit(*((series["temp"], at, 20.0) for at in range(0, 60_000_000, 500)))
    assert bob.get(PATHS[2], RANGE).status_code == 413
    assert "100000 readings" in bob.get(PATHS[0], RANGE).content.decode()
