"""`GET /api/v1/readings` and one series: what is answered, to whom, and what is not."""

from __future__ import annotations

import contextlib
import io
import threading
from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, override_settings

from telemetry.api import streams
from telemetry.api.askers import Asker
from telemetry.api.readings import READS, READS_EACH
from telemetry.devices.entries import DeviceEntry
from telemetry.devices.models import Device, Preferences, Series
from telemetry.history.journal import open_writer
from telemetry.history.models import Block, SeriesHead, TextReading, Writer
from telemetry.history.queries import catalogue, turns
from telemetry.history.transfer import parquet_rows
from tests.history.rows import write

from ..history.stored import thin_out
from .conftest import HOUR_MS, SECOND, T_MS, Get, Plant, T

RANGE = {"from_": "2026-11-22T10:00:00Z", "to": "2026-11-22T10:01:00Z"}


class TestJson:
    async def test_readings_of_one_series(self, plant: Plant, get: Get):
        got = await get(f"series/{plant.temp}/readings", **RANGE)
        assert got.status == 200
        assert got.headers["Cache-Control"] == "no-store"
        assert got.body == {
            "from": T_MS,
            "to": T_MS + 60_000,
            "width_ms": None,
            "resolution_seconds": 0,
            "series": [
                {
                    "id": plant.temp,
                    "device": "pump",
                    "metric": "temp",
                    "kind": "number",
                    "unit": "°C",
                    "times": [T_MS + at * 1000 for at in range(10)],
                    "values": [20.0 + at for at in range(10)],
                }
            ],
            "missing": [],
            "raw_from": None,
        }

    async def test_all_series_of_a_device(self, plant: Plant, get: Get):
        got = await get(device="pump", **RANGE)
        door, mode, temp = got.body["series"]
        assert [door["metric"], mode["metric"], temp["metric"]] == [
            *("door", "mode", "temp")
        ]
        assert door["values"] == [False, True, False]
        assert mode["states"] == [
            [T_MS, T_MS + 1000, "off"],
            [T_MS + 1000, T_MS + 60_000, "on, “hot”"],
        ]

    async def test_buckets(self, plant: Plant, get: Get):
        got = await get(device="pump", metric=["temp", "door"], points=12, **RANGE)
        assert (got.body["width_ms"], got.body["resolution_seconds"]) == (5000, 0)
        door, temp = got.body["series"]
        assert temp["times"] == [T_MS, T_MS + 5000]
        assert temp["min"] == temp["first"] == [20.0, 25.0]
        assert temp["max"] == temp["last"] == [24.0, 29.0]
        assert (temp["mean"], temp["count"]) == ([22.0, 27.0], [5, 5])
        assert temp["sum"] == [110.0, 135.0]
        assert temp["before"] is None
        assert "rate" not in temp
        # Closed for 4 s and open for 1; open for 3 s, and then nothing is known.
        assert door["duty"] == [0.2, 1.0]

    async def test_rate_of_a_counter(self, plant: Plant, get: Get):
        got = await get(device="pump", metric="temp", points=12, show="rate", **RANGE)
        (temp,) = got.body["series"]
        assert temp["rate"] == [1.0, 1.0]

    async def test_a_fraction_of_a_millisecond_is_kept(self, plant: Plant, get: Get):
        path = f"series/{plant.temp}/readings"
        got = await get(path, from_=f"{T_MS - 1}.125", to=f"{T_MS + 1}")
        assert got.body["from"] == T_MS - 0.875
        assert got.body["series"][0]["times"] == [T_MS]

    async def test_without_a_range_the_last_hour(self, plant: Plant, get: Get):
        got = await get(f"series/{plant.temp}/readings")
        assert got.body["to"] - got.body["from"] == HOUR_MS
        assert got.body["series"][0]["times"] == []

    async def test_relative_times(self, plant: Plant, get: Get):
        got = await get(f"series/{plant.temp}/readings", from_="now-6h", to="now-1h")
        assert got.body["to"] - got.body["from"] == 5 * HOUR_MS

    async def test_a_range_that_is_thinned_out_says_from_when_on_it_is_raw(
        self, plant: Plant, get: Get
    ):
        def thin() -> None:
            thin_out(plant.temp, [(T - 600 * SECOND + at, 1.0) for at in range(3)])
            SeriesHead.objects.update_or_create(
                series_id=plant.temp,
                defaults={
                    **dict.fromkeys(("time_us", "effective_us", "received_us"), T),
                    "raw_from_us": T - 300 * SECOND,
                },
            )

        await _in_thread(thin)
        asked = {**RANGE, "from_": "2026-11-22T09:00:00Z"}
        got = await get(device="pump", **asked)
        assert got.body["resolution_seconds"] == 300
        assert got.body["raw_from"] == T_MS - 300_000
        assert "raw_from" not in (await get(device="pump", points=5, **asked)).body
        for format_ in ("csv", "parquet"):
            got = await get(device="pump", format=format_, **asked)
            assert got.headers["Telemetry-Raw-From"] == "2026-11-22T09:55:00.000000Z"
            got = await get(device="pump", format=format_, **RANGE)
            assert "Telemetry-Raw-From" not in got.headers

    async def test_a_damaged_block_is_named_and_the_rest_is_answered(
        self, plant: Plant, get: Get
    ):
        from tests.history.transfer.test_importing import sealed

        await _in_thread(sealed)
        block = await Block.objects.aget(series_id=plant.temp)
        await Block.objects.filter(pk=block.pk).aupdate(data=b"nonsense")
        for query in ({}, {"points": 12}):
            got = await get(device="pump", **RANGE, **query)
            assert got.status == 200
            assert got.body["missing"] == [
                {
                    "series": plant.temp,
                    "from": T_MS,
                    "to": T_MS + 9_000,
                    "resolution_seconds": 0,
                }
            ]
            assert len(got.body["series"]) == 3


async def _in_thread(work):
    from asgiref.sync import sync_to_async

    return await sync_to_async(work)()


class TestCalendar:
    """Readings an hour apart around the days when the clocks of Berlin change."""

    SPRING = {"from_": "2026-03-27T23:00:00Z", "to": "2026-03-30T22:00:00Z"}
    AUTUMN = {"from_": "2026-10-23T22:00:00Z", "to": "2026-10-26T23:00:00Z"}

    @pytest.fixture
    async def path(self, plant: Plant) -> str:
        await _in_thread(lambda: self._write(plant.temp))
        return f"series/{plant.temp}/readings"

    def _write(self, series: int) -> None:
        rows = []
        for query in (self.SPRING, self.AUTUMN):
            first, last = (
                int(datetime.fromisoformat(each).timestamp() * 1e6)
                for each in (query["from_"], query["to"])
            )
            rows += [(series, at, 1.0) for at in range(first, last, HOUR_MS * 1000)]
        writer = open_writer(T)
        write(writer.pk, 1, *rows)
        Writer.objects.filter(pk=writer.pk).update(folded_to=1)

    @pytest.mark.parametrize(
        ("query", "first", "hours"),
        [(SPRING, 1774652400000, [24, 23, 24]), (AUTUMN, 1792792800000, [24, 25, 24])],
    )
    async def test_days_have_23_24_or_25_hours(
        self, path: str, get: Get, query, first, hours
    ):
        got = await get(path, calendar="day", zone="Europe/Berlin", **query)
        assert got.status == 200
        named = [got.body[name] for name in ("calendar", "zone", "width_ms")]
        assert named == ["day", "Europe/Berlin", None]
        (temp,) = got.body["series"]
        starts = [first + sum(hours[:at]) * HOUR_MS for at in range(3)]
        assert temp["times"] == starts
        assert temp["count"] == temp["sum"] == hours

    async def test_weeks_begin_on_monday_and_months_on_the_first(
        self, path: str, get: Get
    ):
        span = {"from_": "2026-03-27T23:00:00Z", "to": "2026-11-01T00:00:00Z"}
        got = await get(path, calendar="week", zone="Europe/Berlin", **self.SPRING)
        assert got.body["series"][0]["count"] == [47, 24]
        got = await get(path, calendar="month", zone="Europe/Berlin", **span)
        assert got.body["series"][0]["count"] == [71, 73]
        assert got.body["series"][0]["times"][0] == 1774652400000

    async def test_rate_and_duty(self, plant: Plant, get: Get):
        span = {"from_": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"}
        got = await get(device="pump", calendar="day", show="rate", **span)
        door, _mode, temp = got.body["series"]
        assert (door["duty"], temp["rate"]) == ([0.5], [1.0])

    async def test_the_zone_is_that_of_who_asks(self, path: str, get: Get):
        got = await get(path, calendar="day", **self.SPRING)
        assert got.body["zone"] == "UTC"
        assert got.body["series"][0]["count"] == [1, 24, 24, 22]
        bob = await User.objects.aget(username="bob")
        await Preferences.objects.acreate(user=bob, time_zone="Europe/Berlin")
        got = await get(path, calendar="day", **self.SPRING)
        assert got.body["zone"] == "Europe/Berlin"
        assert got.body["series"][0]["count"] == [24, 23, 24]

    async def test_the_zone_of_a_device_is_its_own(self, path: str):
        await Device.objects.filter(slug="pump").aupdate(time_zone="Asia/Kolkata")
        pump = await Device.objects.aget(slug="pump")
        entry = DeviceEntry(pump.pk, "pump", "Pump", True, False, True)
        zone = await _in_thread(Asker(None, entry).zone)
        assert zone.key == "Asia/Kolkata"

    async def test_most_buckets_of_one_answer(self, path: str, get: Get):
        query = {"calendar": "day", "zone": "Europe/Berlin", **self.SPRING}
        with override_settings(TELEMETRY_API_READINGS=3):
            assert (await get(path, **query)).status == 200
        with override_settings(TELEMETRY_API_READINGS=2):
            got = await get(path, **query)
            assert got.is_error(413, "too_large", "2 points", "got 3")
        span = {"from_": "2001-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}
        got = await get(path, calendar="day", **span)
        assert got.is_error(400, "bad_request", "10000 buckets")


class TestStates:
    async def test_equal_texts_are_one_state(self, plant: Plant, get: Get):
        for after, text in ((2, "on, “hot”"), (3, "off"), (3, "fault")):
            await TextReading.objects.acreate(
                series_id=plant.mode,
                time_us=T + after * 1_000_000,
                received_us=T,
                value=text,
            )
        got = await get(f"series/{plant.mode}/readings", points=10, **RANGE)
        assert got.body["series"][0]["states"] == [
            [T_MS, T_MS + 1000, "off"],
            [T_MS + 1000, T_MS + 3000, "on, “hot”"],
            [T_MS + 3000, T_MS + 60_000, "fault"],
        ]

    async def test_nothing_was_ever_said(self, plant: Plant, get: Get):
        await TextReading.objects.all().adelete()
        got = await get(f"series/{plant.mode}/readings", **RANGE)
        assert got.body["series"][0]["states"] == []


class TestDownloads:
    async def test_csv(self, plant: Plant, get: Get):
        wanted = "text/csv"
        got = await get(device="pump", headers={"Accept": wanted}, **RANGE)
        assert got.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert got.headers["Cache-Control"] == "no-store"
        assert 'filename="readings.csv"' in got.headers["Content-Disposition"]
        lines = got.content.decode().splitlines()
        assert lines[:2] == [
            "device,metric,kind,unit,time,value",
            "pump,door,boolean,,2026-11-22T10:00:00.000000Z,false",
        ]
        assert 'pump,mode,text,,2026-11-22T10:00:01.000000Z,"on, “hot”"' in lines
        assert len(lines) == 1 + 3 + 1 + 10

    async def test_format_wins_over_accept(self, plant: Plant, get: Get):
        got = await get(
            device="pump", format="csv", headers={"Accept": "image/png"}, **RANGE
        )
        assert got.content.startswith(b"device,")

    async def test_parquet(self, plant: Plant, get: Get):
        import pyarrow.parquet as pq

        wanted = "application/vnd.apache.parquet"
        got = await get(device="pump", headers={"Accept": wanted}, **RANGE)
        assert got.headers["Content-Type"] == wanted
        rows = pq.read_table(io.BytesIO(got.content)).to_pylist()
        assert len(rows) == 14
        assert rows[3]["text"] == "on, “hot”"
        assert rows[4] == {
            "device": "pump",
            "metric": "temp",
            "kind": "number",
            "unit": "°C",
            "time": rows[4]["time"],
            "value": 20.0,
            "text": None,
        }
        assert rows[4]["time"].isoformat() == "2026-11-22T10:00:00+00:00"

    async def test_parquet_without_pyarrow(self, plant: Plant, get: Get, monkeypatch):
        def missing():
            raise parquet_rows.Missing

        monkeypatch.setattr(parquet_rows, "require", missing)
        got = await get(device="pump", format="parquet", **RANGE)
        assert got.is_error(406, "unsupported", "pyarrow", "requirements-parquet.txt")

    async def test_most_downloads_at_once(self, plant: Plant, get: Get):
        with override_settings(TELEMETRY_API_STREAMS=1):
            got = await get(device="pump", format="csv", **RANGE)
            assert got.status == 200
            # It has ended, so that there is room for this one.
            open_one = streams.Stream(iter_bytes())
            got = await get(device="pump", format="csv", **RANGE)
            assert got.is_error(503, "busy", "1 downloads")
            assert got.headers["Retry-After"] == "5"
            open_one.close()
            open_one.close()
            got = await get(device="pump", format="csv", **RANGE)
            assert got.status == 200


def iter_bytes():
    yield b"first"
    yield b"second"


class TestMostAtOnce:
    """What waits for its turn to read takes a thread each."""

    async def test_of_all(self, plant: Plant, get: Get):
        with override_settings(TELEMETRY_API_READS=2):
            with READS.take("others"):
                assert (await get(device="pump", **RANGE)).status == 200
                with READS.take("others"):
                    got = await get(device="pump", **RANGE)
                    assert got.is_error(503, "busy", "2 requests for readings")
                    assert got.headers["Retry-After"] == "5"
            assert (await get(device="pump", **RANGE)).status == 200

    async def test_of_one(self, plant: Plant, get: Get):
        bob = ("person", (await User.objects.aget(username="bob")).pk)
        path = f"series/{plant.temp}/readings"
        with contextlib.ExitStack() as taken:
            for _ in range(READS_EACH - 1):
                taken.enter_context(READS.take(bob))
            assert (await get(path, **RANGE)).status == 200
            with READS.take(bob):
                got = await get(path, **RANGE)
                assert got.is_error(503, "busy", "4 requests", "of one sender")
            assert (await get(path, **RANGE)).status == 200

    async def test_parameters(self, get: Get):
        got = await get(metric=["temp"] * 999, device="pump", **RANGE)
        assert got.is_error(400, "bad_request", "at most 1000 parameters")


class TestWhoMaySee:
    async def test_what_one_may_not_see_does_not_exist(self, plant: Plant, get: Get):
        for person, path in (
            ("bob", f"series/{plant.hidden}/readings"),
            ("charlie", f"series/{plant.temp}/readings"),
            ("bob", "series/999999/readings"),
            ("bob", "series/0/readings"),
            ("bob", f"series/{10**30}/readings"),
            ("bob", "series/temp/readings"),
        ):
            got = await get(path, person)
            assert got.is_error(404, "not_found", path.split("/")[1])
        for person, device in (("bob", "secret"), ("bob", "no"), ("charlie", "pump")):
            got = await get(person=person, device=["pump", device])
            assert got.is_error(404, "not_found")

    async def test_deleted_ones_do_not_exist(self, plant: Plant, get: Get):
        await Series.objects.filter(pk=plant.temp).aupdate(deleted_at="2026-11-22T10Z")
        got = await get(f"series/{plant.temp}/readings")
        assert got.is_error(404, "not_found")
        got = await get(device="pump", metric="temp")
        assert got.is_error(404, "not_found", "temp")
        await Device.objects.aupdate(deleted_at="2026-11-22T10Z")
        got = await get(device="pump")
        assert got.is_error(404, "not_found", "pump")

    async def test_nobody(self, plant: Plant, get: Get):
        got = await get(person=None, device="pump")
        assert got.is_error(401, "unauthorized", "session", "Bearer")
        assert got.headers["WWW-Authenticate"] == "Bearer"

    async def test_a_proxys_password_is_no_key(self, plant: Plant, get: Get):
        headers = {"Authorization": "Basic Ym9iOmJvYg=="}
        assert (await get(device="pump", headers=headers)).status == 200
        got = await get(person=None, device="pump", headers=headers)
        assert got.is_error(401, "unauthorized")
        headers = {"Authorization": "Bearer hub_nonsense"}
        got = await get(device="pump", headers=headers)
        assert got.is_error(503, "busy", "hub")

    async def test_another_method(self, plant: Plant):
        answer = await AsyncClient().post("/api/v1/readings")
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET"
        assert answer.json()["message"] == "expected GET, got POST"


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ({}, ["device"]),
            ({"device": "pump", "from_": "now", "to": "now-1h"}, ["from before to"]),
            ({"device": "pump", "from_": "now"}, ["from before to"]),
            ({"device": "pump", "from_": "1850-01-01T00:00:00Z"}, ["from", "2000"]),
            ({"device": "pump", "to": "2500-01-01T00:00:00Z"}, ["to", "2100"]),
            ({"device": "pump", "from_": "now-9000w"}, ["from", "2000"]),
            ({"device": "pump", "from_": "0"}, ["from", "2000"]),
            ({"device": "pump", "from_": "9" * 15}, ["from", "2100"]),
            ({"device": "pump", "from_": "yesterday"}, ["from", "now-6h", "yester"]),
            ({"device": "pump", "from_": "2026-11-22T10:00"}, ["from", "time such"]),
            ({"device": "pump", "from_": ["now-1h", "now-2h"]}, ["from once"]),
            ({"device": "pump", "points": "1000000"}, ["1 to 10000", "1000000"]),
            ({"device": "pump", "points": "0"}, ["1 to 10000"]),
            ({"device": "pump", "points": "-5"}, ["1 to 10000"]),
            ({"device": "pump", "points": "٣"}, ["1 to 10000"]),
            ({"device": "pump", "points": "9" * 5_000}, ["1 to 10000"]),
            ({"device": "pump", "points": 5, "show": "rates"}, ["show", "rates"]),
            ({"device": "pump", "show": "rate"}, ["points"]),
            ({"device": "pump", "format": "xml"}, ["json, csv or parquet", "xml"]),
            ({"device": "pump", "format": "csv", "points": 5}, ["no points"]),
            ({"device": "pump", "calendar": "year"}, ["day, week or month", "year"]),
            ({"device": "pump", "calendar": "day", "points": 5}, ["both"]),
            ({"device": "pump", "calendar": "day", "zone": "Mars/A"}, ["zone", "Mars"]),
            ({"device": "pump", "calendar": "day", "zone": "Europe"}, ["zone"]),
            ({"device": "pump", "calendar": "day", "zone": ""}, ["zone"]),
            ({"device": "pump", "calendar": "day", "zone": "../a\0"}, ["zone"]),
            ({"device": "pump", "calendar": "day", "zone": "x" * 5_000}, ["zone"]),
            ({"device": "pump", "zone": "UTC"}, ["calendar with zone"]),
            ({"device": "pump", "zone": "UTC", "points": 5}, ["calendar with zone"]),
            (
                {"device": "pump", "format": "csv", "calendar": "day"},
                ["no calendar with csv"],
            ),
            ({"device": "pump", "limit": 5}, ["from, to, points", "limit"]),
            ({"device": "pump", "metric": "no"}, ["metric"]),
            ({"device": "pump", "metric": ["temp", "te\0mp"]}, ["metric"]),
            ({"device": ["pump", "pump\0"]}, ["slug"]),
        ],
    )
    async def test_says_what_was_expected(self, plant: Plant, get: Get, query, words):
        got = await get(**query)
        status = 404 if words in (["metric"], ["slug"]) else 400
        code = {404: "not_found", 400: "bad_request"}[status]
        assert got.is_error(status, code, *words)
        assert len(got.content) < 600

    async def test_device_is_no_parameter_of_one_series(self, plant: Plant, get: Get):
        got = await get(f"series/{plant.temp}/readings", device="pump")
        assert got.is_error(400, "bad_request", "device")

    async def test_format_that_there_is_not(self, plant: Plant, get: Get):
        got = await get(device="pump", headers={"Accept": "image/png"})
        assert got.is_error(406, "unsupported", "text/csv", "image/png")

    async def test_most_readings_of_one_answer(self, plant: Plant, get: Get):
        path = f"series/{plant.temp}/readings"
        with override_settings(TELEMETRY_API_READINGS=10):
            assert (await get(path, **RANGE)).status == 200
        with override_settings(TELEMETRY_API_READINGS=9):
            got = await get(path, **RANGE)
            assert got.is_error(413, "too_large", "9 readings", "points", "CSV")
            assert (await get(path, format="csv", **RANGE)).status == 200

    async def test_most_blocks_that_one_answer_looks_at(
        self, plant: Plant, get: Get, monkeypatch
    ):
        from tests.history.transfer.test_importing import sealed

        await _in_thread(sealed)
        monkeypatch.setattr(catalogue, "MOST_BLOCKS", 0)
        got = await get(device="pump", points=5, **RANGE)
        assert got.is_error(413, "too_large", "at most 0 blocks", "a shorter one")
        assert got.body["message"].count("shorter") == 1

    async def test_a_busy_reader(self, plant: Plant, get: Get, monkeypatch):
        monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
        monkeypatch.setattr(turns, "_reads", threading.BoundedSemaphore(1))
        with turns.turn():
            got = await get(device="pump", **RANGE)
        assert got.is_error(503, "busy", "idle reader")
        assert (await get(device="pump", **RANGE)).status == 200

    async def test_most_points_of_one_answer(self, plant: Plant, get: Get):
        with override_settings(TELEMETRY_API_READINGS=20, TELEMETRY_API_POINTS=10):
            got = await get(device="pump", points=10, **RANGE)
            assert got.status == 200
            got = await get(device="pump", points=11, **RANGE)
            assert got.is_error(400, "bad_request", "1 to 10")
        with override_settings(TELEMETRY_API_READINGS=19):
            got = await get(device="pump", points=10, **RANGE)
            assert got.is_error(413, "too_large", "19 points")

    async def test_most_series_of_one_answer(self, plant: Plant, get: Get):
        with override_settings(TELEMETRY_API_SERIES=3):
            assert (await get(device="pump", **RANGE)).status == 200
        with override_settings(TELEMETRY_API_SERIES=2):
            got = await get(device="pump", **RANGE)
            assert got.is_error(413, "too_large", "2 series, got 3")

    async def test_most_states_of_one_answer(self, plant: Plant, get: Get):
        path = f"series/{plant.mode}/readings"
        with override_settings(TELEMETRY_API_READINGS=2):
            assert (await get(path, **RANGE)).status == 200
        with override_settings(TELEMETRY_API_READINGS=1):
            assert (await get(path, **RANGE)).is_error(413, "too_large", "1 state")
