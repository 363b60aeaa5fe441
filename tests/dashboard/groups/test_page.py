"""The pages without a script: what they say, to whom, with how many queries."""

from __future__ import annotations

import json
import re
import time

import pytest
from django.http import HttpResponse
from django.test import Client

from telemetry.devices.models import Device, DeviceGroup, Preferences, Series
from telemetry.history.models import SeriesHead

from ..conftest import add_device

PAGES = ("/groups", "/g/plant", "/d/pump", "/g/plant/readings.json?from=0&to=1")


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def without_token(answer: HttpResponse) -> str:
    return re.sub(
        r'(csrfmiddlewaretoken" value=")[^"]*', r"\1", answer.content.decode()
    )


class TestRights:
    @pytest.mark.parametrize("path", PAGES)
    def test_a_stranger_is_sent_to_sign_in(self, path, plant, client):
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login?next=")

    @pytest.mark.parametrize("path", PAGES[1:])
    def test_what_one_may_not_see_is_what_does_not_exist(
        self, path, plant, people, sign_in
    ):
        add_device(plant, "pump")
        charlie = sign_in(people.charlie)
        forbidden = charlie.get(path)
        unknown = charlie.get(path.replace("plant", "nope").replace("pump", "nope"))
        assert (forbidden.status_code, unknown.status_code) == (404, 404)
        assert without_token(forbidden) == without_token(unknown)

    def test_who_may_see_a_group_sees_it_its_devices_and_no_other(
        self, plant, people, sign_in
    ):
        add_device(plant, "pump")
        DeviceGroup.objects.create(slug="other", name="Other plant")
        bob = sign_in(people.bob)
        listed = page(bob, "/groups")
        assert "Plant A" in listed
        assert "Other plant" not in listed
        page(bob, "/g/plant")
        assert bob.get("/g/other").status_code == 404

    def test_a_deleted_device_is_gone(self, plant, people, sign_in):
        add_device(plant, "pump").delete()
        bob = sign_in(people.bob)
        assert bob.get("/d/pump").status_code == 404
        assert "No devices in this group yet" in page(bob, "/g/plant")


class TestGroup:
    def test_shows_current_values_without_a_script(self, plant, people, sign_in):
        add_device(plant, "pump", "Pump 1")
        text = page(sign_in(people.bob), "/g/plant")
        for expected in (
            "Pump 1",
            "21.5",
            "hot water",
            ">on<",
            "Connected",
            "Times in UTC",
        ):
            assert expected in text

    def test_names_of_devices_are_text(self, plant, people, sign_in):
        hostile = "</script><script>alert(1)</script>\u202etxt"
        add_device(plant, "pump", hostile)
        series = Series.objects.get(name="temp")
        series.label, series.unit = "<b>hot</b>", "</script>"
        series.save()
        text = page(sign_in(people.bob), "/g/plant")
        assert "<script>alert" not in text
        assert "<b>hot" not in text

    def test_a_group_that_has_sent_nothing_says_how_to_begin(
        self, plant, people, sign_in
    ):
        Device.objects.create(slug="pump", name="Pump").groups.add(plant)
        bob, staff = sign_in(people.bob), sign_in(people.staff)
        for path in ("/g/plant", "/d/pump"):
            text = page(bob, path)
            for expected in ("/api/v1/ingest", "Bearer KEY", "/ws/device", "New"):
                assert expected in text
            assert "/admin/" not in text
            assert "/admin/telemetry/device/" in page(staff, path)

    def test_a_unit_that_the_label_says_is_not_said_again(self, plant, people, sign_in):
        add_device(plant, "pump")
        Series.objects.filter(name="temp").update(label="temperature (°C)")
        assert page(sign_in(people.bob), "/g/plant").count("°C</span>") == 0

    def test_a_young_group_begins_with_a_short_span(self, plant, people, sign_in):
        add_device(plant, "pump")
        bob = sign_in(people.bob)
        assert '"usualMs": 300000' in page(bob, "/g/plant")
        Series.objects.filter(name="temp").update(created_at="2026-01-01T00:00Z")
        assert '"usualMs": 900000' in page(bob, "/g/plant")

    def test_tells_its_script_what_the_metrics_are(self, plant, people, sign_in):
        add_device(plant, "pump")
        text = page(sign_in(people.bob), "/g/plant")
        found = re.search(r'<script id="page-config"[^>]*>(.*?)</script>', text)
        assert found
        config = json.loads(found[1])
        assert config["group"] == "plant"
        assert config["readings"] == "/g/plant/readings.json"
        assert ["temp", "°C", "", "number", None] in config["catalogue"]

    def test_the_number_of_queries_does_not_grow(
        self, plant, people, sign_in, django_assert_num_queries
    ):
        bob = sign_in(people.bob)
        counts = []
        for more in (2, 20):
            for at in range(more):
                add_device(plant, f"pump-{more}-{at}")
            for path in ("/groups", "/g/plant"):
                with django_assert_num_queries(20, exact=False) as queries:
                    page(bob, path)
                counts.append(len(queries))
        assert counts[:2] == counts[2:]

    def test_a_large_group_shows_its_first_hundred(self, plant, people, sign_in):
        for at in range(103):
            add_device(plant, f"pump-{at:03}")
        text = page(sign_in(people.bob), "/g/plant")
        assert "103 devices" in text
        assert "/d/pump-099" in text
        assert "/d/pump-100" not in text


class TestDevice:
    def test_shows_its_last_values_and_groups(self, plant, people, sign_in):
        add_device(plant, "pump", is_online=False)
        text = page(sign_in(people.bob), "/d/pump")
        for expected in ("21.5", "°C", "hot water", "/g/plant", "Not connected"):
            assert expected in text

    def test_each_value_has_its_own_age(self, plant, people, sign_in):
        device = add_device(plant, "pump")
        temp = Series.objects.get(device=device, name="temp")
        for series, age_s in ((temp, 12), (temp, 240)):
            at_us = int((time.time() - age_s) * 1e6)
            SeriesHead.objects.filter(series_id=series.pk).update(
                time_us=at_us, received_us=at_us
            )
            text = page(sign_in(people.bob), "/d/pump")
            assert ("4 min ago" if age_s > 100 else "s ago") in text


class TestPreferences:
    def test_times_are_those_of_the_users_zone(self, plant, people, sign_in):
        add_device(plant, "pump")
        bob = sign_in(people.bob)
        assert "2026-11-22 12:00:00" in page(bob, "/g/plant")
        Preferences.objects.create(user=people.bob, time_zone="Asia/Kolkata")
        text = page(bob, "/g/plant")
        assert "2026-11-22 17:30:00" in text
        assert "Times in Asia/Kolkata" in text

    def test_the_theme_is_on_the_page_before_it_is_drawn(self, plant, people, sign_in):
        bob = sign_in(people.bob)
        assert 'data-theme="auto"' in page(bob, "/")
        Preferences.objects.create(user=people.bob, theme="dark")
        assert 'data-theme="dark"' in page(bob, "/")

    def test_a_zone_that_is_no_more_is_utc(self, plant, people, sign_in):
        Preferences.objects.create(user=people.bob, time_zone="Mars/Olympus")
        assert "UTC" in page(sign_in(people.bob), "/g/plant")


def test_signing_in_leads_to_where_one_wanted_to_go(plant, people, client):
    people.bob.set_password("of bob")
    people.bob.save()
    form = {"username": "bob", "password": "wrong", "next": "/g/plant"}
    refused = client.post("/login?next=/g/plant", form)
    assert 'role="alert"' in refused.content.decode()
    answer = client.post("/login?next=/g/plant", {**form, "password": "of bob"})
    assert answer["Location"] == "/g/plant"


def test_a_missing_csrf_token_is_answered_by_a_page_of_ours(plant):
    answer = Client(enforce_csrf_checks=True).post("/login", {"username": "bob"})
    assert answer.status_code == 403
    assert "<style" not in answer.content.decode()


class TestRange:
    def test_the_address_says_which_button_is_pressed(self, plant, people, sign_in):
        add_device(plant, "pump")
        text = page(sign_in(people.bob), "/g/plant?from=now-6h&to=now")
        assert 'value="now-6h" aria-pressed="true"' in text
        presets = text.split('id="presets"')[1].split("</form>")[0]
        assert presets.count('aria-pressed="true"') == 1

    @pytest.mark.parametrize("asked", ['"><script>', "9" * 5_000, "%00"])
    def test_a_wrong_range_is_no_error(self, plant, people, sign_in, asked):
        add_device(plant, "pump")
        text = page(sign_in(people.bob), f"/g/plant?from={asked}&to={asked}")
        assert asked not in text
        assert "is no time that this page understands" in text

    def test_another_range_keeps_the_grouping_and_the_metrics(
        self, plant, people, sign_in
    ):
        add_device(plant, "pump")
        text = page(sign_in(people.bob), "/g/plant?by=device&m=temp,%22hum&from=now-6h")
        for form in ("presets", "dates"):
            fields = text.split(f'id="{form}"')[1].split("</form>")[0]
            assert '<input type="hidden" name="by" value="device">' in fields
            assert '<input type="hidden" name="m" value="temp,&quot;hum">' in fields

    def test_the_script_knows_the_hubs_time_and_the_readers_zone(
        self, plant, people, sign_in
    ):
        add_device(plant, "pump")
        Preferences.objects.create(user=people.bob, time_zone="Asia/Tokyo")
        text = page(sign_in(people.bob), "/g/plant?from=2026-11-22T14:00:00Z")
        assert 'name="from" value="2026-11-22T23:00:00"' in text
        found = re.search(r'id="page-config"[^>]*>(.*?)</script>', text, re.S)
        assert found is not None
        config = json.loads(found.group(1))
        assert config["zone"] == "Asia/Tokyo"
        assert abs(config["nowMs"] - time.time() * 1000) < 60_000
