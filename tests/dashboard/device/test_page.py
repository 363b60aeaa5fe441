"""`/d/<slug>`: what it says without a script, to whom, and with how many queries."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from telemetry.devices.models import Device, DeviceGroup, Preferences, Series
from telemetry.devices.records import DeviceEvent, DeviceHour, EventKind
from telemetry.devices.tallies import HOUR_US, hour_of
from telemetry.devices.times import us_of
from telemetry.history.models import SeriesHead

from ..conftest import add_device


@pytest.fixture
def pump(plant: DeviceGroup) -> Device:
    return add_device(plant, "pump", "Pump 1")


@pytest.fixture
def text(people, sign_in):
    bob = sign_in(people.bob)

    def got(query: str = "") -> str:
        answer = bob.get(f"/d/pump{query}")
        assert answer.status_code == 200
        return unescape(answer.content.decode())

    return got


def config(text: str) -> dict[str, Any]:
    found = re.search(r'<script id="page-config"[^>]*>(.*?)</script>', text, re.S)
    assert found
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


def event(device: Device, kind: str, minutes: int, **fields: object) -> DeviceEvent:
    at = timezone.now() - timedelta(minutes=minutes)
    return DeviceEvent.objects.create(device_id=device.pk, at=at, kind=kind, **fields)


class TestHeader:
    def test_says_its_state_and_why(self, pump, text):
        pump.presence.is_online = False
        pump.presence.changed_at = timezone.now() - timedelta(minutes=9)
        pump.presence.save()
        # Its last reading was read at noon of the conftest's day.
        shown = plain(text())
        assert re.search(r"Offline : last reading .* Disconnected 9 min ago\.", shown)

    def test_a_device_that_was_never_heard_of_is_new(self, plant, text):
        Device.objects.create(slug="pump", name="Pump").groups.add(plant)
        shown = plain(text())
        assert "New : no reading yet. Not connected." in shown
        assert "This device has sent nothing yet" in shown

    def test_names_the_groups_that_one_may_see(self, pump, text):
        other = DeviceGroup.objects.create(slug="secret", name="Secret plant")
        pump.groups.add(other)
        assert 'href="/g/plant"' in text()
        assert "secret" not in text().lower()

    def test_names_the_firmware(self, pump, text):
        assert 'title="Firmware"' not in text()
        Device.objects.update(firmware="1.4.2")
        assert "1.4.2" in text()

    def test_who_may_change_it_can_edit_it(self, pump, people, sign_in, text):
        assert "/admin/" not in text()
        admin_path = f"/admin/telemetry/device/{pump.pk}/change/"
        assert admin_path in sign_in(people.staff).get("/d/pump").content.decode()
        people.bob.is_staff = True
        people.bob.save()
        assert admin_path not in text()
        people.bob.user_permissions.add(
            Permission.objects.get(codename="change_device")
        )
        assert admin_path in text()


class TestValues:
    def test_each_metric_is_a_tile_numbers_first(self, pump, text):
        tiles = re.findall(r'class="tile-name"[^>]*><bdi>(\w+)<', text())
        assert tiles == ["temp", "door", "mode"]
        shown = plain(text())
        assert "21.5" in shown
        assert "hot water" in shown
        assert " on " in shown

    def test_a_metric_without_a_reading_is_no_tile(self, pump, text):
        Series.objects.create(device=pump, name="power")
        assert "power" not in re.findall(r'tile-name"[^>]*><bdi>(\w+)<', text())
        assert ["power", "", "", "number", None] in config(text())["catalogue"]

    def test_names_and_values_are_text(self, pump, people, sign_in):
        hostile = "</script><script>alert(1)</script>\u202etxt"
        Device.objects.update(name=hostile, firmware="<i>1</i>")
        Series.objects.filter(name="temp").update(label="<b>hot</b>", unit="</script>")
        SeriesHead.objects.filter(value=None).update(text="<u>water</u>")
        event(pump, EventKind.CONFIG_CHANGED, 1, text="<s>name</s>")
        raw = sign_in(people.bob).get("/d/pump").content.decode()
        for markup in ("<script>alert", "<i>", "<b>hot", "<u>", "<s>"):
            assert markup not in raw


class TestParts:
    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("", "live"),
            ("?tab=history", "history"),
            ("?tab=events", "events"),
            ("?tab=link", "link"),
            ("?tab=commands", "live"),
            ("?tab=%3Cscript%3E", "live"),
        ],
    )
    def test_the_address_says_which_is_shown(self, pump, text, query, shown):
        assert f'id="parts" data-tab="{shown}"' in text(query)
        assert text(query).count('aria-current="page"') == 1

    def test_the_range_keeps_the_part(self, pump, text):
        shown = text("?tab=history&from=now-6h")
        assert '<input type="hidden" name="tab" value="history">' in shown
        assert 'value="now-6h" aria-pressed="true"' in shown

    @pytest.mark.parametrize("asked", ["<banana>", "9" * 5_000, "%00"])
    def test_a_wrong_range_is_no_error(self, pump, people, sign_in, asked):
        answer = sign_in(people.bob).get(f"/d/pump?from={asked}&to={asked}")
        assert answer.status_code == 200
        assert asked not in answer.content.decode()

    def test_the_script_is_told_where_everything_is(self, pump, text):
        told = config(text())
        assert told["group"] == "device:pump"
        assert told["readings"] == "/d/pump/readings.json"
        parts = re.findall(r'data-url="([^"]*)"', text())
        assert parts == [
            "/d/pump/changes.json",
            "/d/pump/connection",
            "/d/pump/events?events=100",
        ]


class TestEvents:
    def test_are_listed_with_their_reasons_the_newest_first(self, pump, text):
        event(pump, EventKind.CONNECTED, 9, text="192.0.2.7")
        event(pump, EventKind.DISCONNECTED, 5, code=4408)
        shown = plain(text())
        newest = shown.index("Disconnected: the device was silent for too long (4408)")
        assert newest < shown.index("Connected from 192.0.2.7")

    def test_times_are_those_of_the_users_zone(self, pump, people, text):
        made = event(pump, EventKind.FIRMWARE, 5, text="1.4.2")
        DeviceEvent.objects.update(at="2026-11-22T12:00:00Z")
        Preferences.objects.create(user=people.bob, time_zone="Asia/Kolkata")
        assert made.kind == "firmware"
        assert "2026-11-22 17:30:00" in text()

    def test_another_devices_are_not(self, plant, pump, text):
        event(add_device(plant, "other"), EventKind.CONNECTED, 1, text="192.0.2.9")
        assert "192.0.2.9" not in text()
        assert "Nothing has happened yet" in text()


class TestConnection:
    def test_says_how_the_last_day_went(self, pump, text):
        now_hour = hour_of(us_of(timezone.now()))
        Device.objects.update(created_at=timezone.now() - timedelta(days=9))
        for hour in range(now_hour - 23, now_hour):
            DeviceHour.objects.create(
                device_id=pump.pk,
                hour=hour,
                connects=1,
                lost=1,
                online_seconds=1_800 if hour == now_hour - 3 else 3_600,
                latency={"10": 3},
            )
        shown = text()
        assert shown.count("strip-share") == 24
        assert "23 batches" in plain(shown)
        # An hour that ended is half connected; the one that goes on is not connected.
        assert "with breaks in" in shown
        assert 'height="14.0"' in shown
        assert HOUR_US == 3_600_000_000

    def test_is_not_measured_of_a_new_device(self, pump, text):
        assert "not measured" in plain(text())


def test_the_number_of_queries_does_not_grow(
    pump, people, sign_in, django_assert_max_num_queries
):
    bob = sign_in(people.bob)
    counts = []
    for more in (1, 40):
        for at in range(more):
            Series.objects.create(device=pump, name=f"m{more}_{at}")
            event(pump, EventKind.CONNECTED, at, text="192.0.2.7")
        with django_assert_max_num_queries(24) as queries:
            bob.get("/d/pump")
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "path", ["/d/pump", "/d/pump/readings.json?from=0&to=1", "/d/pump/changes.json"]
)
def test_what_may_not_be_seen_is_what_does_not_exist(pump, people, sign_in, path):
    charlie = sign_in(people.charlie)
    forbidden, unknown = charlie.get(path), charlie.get(path.replace("pump", "nope"))
    assert (forbidden.status_code, unknown.status_code) == (404, 404)
    pump.delete()
    assert sign_in(people.staff).get(path).status_code == 404


def test_its_readings_are_its_own(plant, pump, people, sign_in):
    add_device(plant, "other")
    bob = sign_in(people.bob)
    answer = bob.get("/d/pump/readings.json?from=0&to=1").json()
    assert (answer["count"], answer["series"]) == (0, {})
    assert bob.get("/d/pump/readings.json?from=2&to=1").status_code == 400
