"""`/d/<slug>/events.json` and `quality.json`: what they answer, and to whom."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

from telemetry.dashboard.device import records
from telemetry.dashboard.device.records import words_of
from telemetry.devices.models import Device
from telemetry.devices.quality import first_hour
from telemetry.devices.records import DeviceEvent, DeviceHour, EventKind

from ..conftest import NOON_US, add_device

NOON = datetime.fromtimestamp(NOON_US / 1e6, timezone.utc)
LINK = ["latency", "skew_ms", "readings", "lost", "sent_again", "rejected"]
LINK += ["connects", "reconnects", "availability", "received"]
ADDRESSES = ["/d/pump/events.json", "/d/pump/quality.json"]


def without_token(answer) -> str:
    text = answer.content.decode()
    return re.sub(r'(csrfmiddlewaretoken" value=")[^"]*', r"\1", text)


@pytest.fixture
def pump(plant) -> Device:
    return add_device(plant, "pump", is_online=True, skew_ms=3_100.0)


@pytest.fixture
def bob(people, sign_in):
    return sign_in(people.bob)


def add(device: Device, kind: str, code: int = 0, text: str = "", at: int = 0) -> int:
    moment = NOON + timedelta(seconds=at)
    event = DeviceEvent.objects.create(
        device_id=device.pk, at=moment, kind=kind, code=code, text=text
    )
    return event.pk


class TestRights:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_what_may_not_be_seen_is_what_does_not_exist(
        self, pump, people, sign_in, address
    ):
        charlie = sign_in(people.charlie)
        hidden = charlie.get(address)
        nothing = charlie.get(address.replace("pump", "nothing"))
        assert hidden.status_code == nothing.status_code == 404
        same = without_token(hidden).replace("pump", "nothing")
        assert same == without_token(nothing)
        assert sign_in(people.staff).get(address).status_code == 200

    @pytest.mark.parametrize("address", ADDRESSES)
    def test_nobody_is_sent_to_the_login(self, pump, client, address):
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login?next=")

    @pytest.mark.parametrize("address", ADDRESSES)
    def test_only_reads_and_is_never_kept(self, pump, bob, address):
        assert bob.post(address).status_code == 405
        assert "no-store" in bob.get(address)["Cache-Control"]

    def test_a_deleted_device_has_none(self, pump, bob):
        pump.delete()
        assert [bob.get(address).status_code for address in ADDRESSES] == [404, 404]


class TestEvents:
    def test_newest_first(self, pump, bob):
        add(pump, "connected", text="10.0.0.7")
        add(pump, "disconnected", 4408, at=90)
        answer = bob.get("/d/pump/events.json").json()
        newest, oldest = answer["events"]
        assert answer["next"] is None
        assert newest == {
            "id": newest["id"],
            "time": NOON_US // 1000 + 90_000,
            "kind": "disconnected",
            "code": 4408,
            "text": "",
            "words": "Disconnected: the device was silent for too long (4408)",
        }
        assert (oldest["words"], oldest["text"]) == (
            "Connected from 10.0.0.7",
            "10.0.0.7",
        )

    def test_goes_on_where_the_page_ended(self, pump, bob, monkeypatch):
        monkeypatch.setattr(records, "EVENTS", 3)
        ids = [add(pump, "late", at=at // 2) for at in range(6)]
        first = bob.get("/d/pump/events.json").json()
        assert [event["id"] for event in first["events"]] == ids[:2:-1]
        assert first["next"] == ids[3]
        rest = bob.get("/d/pump/events.json", {"before": first["next"]}).json()
        assert [event["id"] for event in rest["events"]] == ids[2::-1]
        assert rest["next"] is None

    @pytest.mark.parametrize("before", ["", "x", "-1", "1.5", "٣", "9" * 19, "<b>"])
    def test_a_bad_cursor_gets_one_sentence(self, pump, bob, before):
        answer = bob.get("/d/pump/events.json", {"before": before})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("before: expected the id of an event")

    @pytest.mark.parametrize("before", ["0", "9" * 18])
    def test_before_what_is_not_there_is_nothing(self, pump, bob, before):
        add(pump, "late")
        answer = bob.get("/d/pump/events.json", {"before": before}).json()
        assert answer == {"events": [], "next": None}

    @pytest.mark.parametrize(
        ("kind", "code", "text", "words"),
        [
            ("connected", 0, "", "Connected from ?"),
            ("key_used", 0, "hub_abcdefgh_…", "Key hub_abcdefgh_… used for the first"),
            (
                *("config_changed", 0, "expected_period_seconds, name, series, gone"),
                "Configuration changed: expected period in seconds, name, series, gone",
            ),
            ("firmware", 0, "1.4.1 → 1.4.2", "Firmware 1.4.1 → 1.4.2"),
            ("left_out", 1, "", "1 more event like these, which is not"),
            ("left_out", 37, "", "37 more events like these, which are not"),
            ("late", 0, "", "Late"),
            ("of a later version", 0, "", "of a later version"),
        ],
    )
    def test_words(self, kind, code, text, words):
        event = DeviceEvent(kind=kind, code=code, text=text)
        assert words_of(event).startswith(words)

    def test_every_kind_has_words_of_its_own(self):
        for kind in EventKind.values:
            assert words_of(DeviceEvent(kind=kind)) != kind

    def test_hostile_text_stays_text(self, pump, bob):
        add(pump, "firmware", text="<script>")
        answer = bob.get("/d/pump/events.json")
        assert answer["Content-Type"] == "application/json"
        assert answer.json()["events"][0]["words"] == "Firmware <script>"


class TestQuality:
    def test_of_a_device_that_was_never_heard(self, plant, pump, bob):
        answer = bob.get("/d/pump/quality.json").json()
        assert answer.pop("from") == first_hour(datetime.now(timezone.utc)) * 3_600_000
        assert abs(answer.pop("time") / 1000 - datetime.now().timestamp()) < 3_600
        assert {name: answer[name] for name in LINK} == {
            "latency": {"p50": None, "p95": None, "count": 0},
            "skew_ms": 3_100.0,
            **dict.fromkeys(("readings", "lost", "sent_again", "rejected"), 0),
            "connects": 0,
            "reconnects": 0,
            "availability": [None] * 24,
            "received": [0] * 24,
        }

    def test_is_that_of_its_rows(self, pump, bob):
        first = first_hour(datetime.now(timezone.utc))
        Device.objects.update(created_at=NOON - timedelta(days=300))
        DeviceHour.objects.create(
            device_id=pump.pk,
            hour=first + 3,
            readings=5,
            connects=3,
            sent_again=1,
            lost=2,
            rejected=4,
            online_seconds=1_800,
            latency={"1": 10},
        )
        answer = bob.get("/d/pump/quality.json").json()
        assert answer["latency"]["count"] == 10
        assert 1.0 < answer["latency"]["p50"] < answer["latency"]["p95"] <= 1.25
        assert (answer["readings"], answer["lost"], answer["sent_again"]) == (5, 2, 1)
        assert (answer["rejected"], answer["reconnects"]) == (4, 2)
        assert answer["availability"][:5] == [None, None, None, 0.5, 0]
        assert answer["received"] == [0, 0, 0, 5, *[0] * 20]

    def test_takes_as_many_queries_however_much_there_is(
        self, pump, bob, django_assert_max_num_queries
    ):
        first = first_hour(datetime.now(timezone.utc))
        for at in range(24):
            DeviceHour.objects.create(device_id=pump.pk, hour=first + at)
        with django_assert_max_num_queries(9):
            bob.get("/d/pump/quality.json")
