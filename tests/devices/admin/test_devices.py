from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from telemetry.devices import credentials
from telemetry.devices.admin.columns import moment_tag, relative
from telemetry.devices.models import (
    Credential,
    Device,
    DeviceGroup,
    DevicePresence,
    GroupAccess,
    Preferences,
    Series,
)
from telemetry.devices.records import DeviceEvent

from .conftest import allow, fields_of

pytestmark = pytest.mark.django_db
LIST = "/admin/telemetry/device/"
NOW = datetime(2026, 11, 22, 14, 3, 21, tzinfo=timezone.utc)


def change(device: Device) -> str:
    return f"{LIST}{device.pk}/change/"


def act(
    browser, action: str, *rows: Device | Credential, address: str = LIST, **extra: str
):
    selected = [str(row.pk) for row in rows]
    return browser.post(
        address, {"action": action, "_selected_action": selected, **extra}, follow=True
    )


def slugs_in(page: str) -> list[str]:
    return re.findall(r'class="field-slug">([^<]+)<', page)


def fleet(count: int, group: DeviceGroup, start: int = 0) -> list[Device]:
    devices = Device.objects.bulk_create(
        [Device(slug=f"d{start + n}", name=f"D {start + n}") for n in range(count)]
    )
    through = Device.groups.through
    through.objects.bulk_create(
        [through(device=device, devicegroup=group) for device in devices]
    )
    DevicePresence.objects.bulk_create(
        [DevicePresence(device=device, last_seen_at=NOW) for device in devices]
    )
    return devices


class TestList:
    def test_says_how_each_device_is_by_shape_and_word(self, browser, make_device):
        now = datetime.now(timezone.utc)
        for slug, fields, is_online, seen in (
            ("live", {"expected_period_seconds": 60}, True, now),
            ("late", {"expected_period_seconds": 1}, True, now - timedelta(seconds=60)),
            ("offline", {}, False, now - timedelta(minutes=9)),
            ("paused", {"is_paused": True}, True, now),
            ("disabled", {"is_enabled": False}, True, now),
        ):
            device = make_device(slug, **fields)
            DevicePresence.objects.create(
                device=device, is_online=is_online, changed_at=seen, last_seen_at=seen
            )
        make_device("new")
        page = browser.get(LIST).content.decode()
        states = re.findall(
            r'class="state state-(\w+)"><svg[^>]*>(.*?)</svg>\s*(\w+)', page
        )
        assert {state for state, _, _ in states} == set(slugs_in(page))
        assert all(state == word.lower() for state, _, word in states)
        assert len({shape for _, shape, _ in states}) == 6
        assert "9\xa0minutes ago" in page
        assert "never" in page

    def test_takes_as_many_queries_for_many_devices(self, browser, plant):
        counts: list[int] = []
        for start in (0, 3, 90):
            fleet(90 if start == 3 else 3, plant, start + 1000 * len(counts))
            with CaptureQueriesContext(connection) as queries:
                assert browser.get(LIST).status_code == 200
            counts.append(len(queries))
        assert len(set(counts)) == 1
        assert counts[0] <= 12

    def test_filters(self, browser, plant, make_device):
        on, off = make_device("on", plant), make_device("off", is_enabled=False)
        make_device("never", is_paused=True)
        DevicePresence.objects.create(device=on, is_online=True, last_seen_at=NOW)
        DevicePresence.objects.create(device=off, last_seen_at=NOW)
        for query, slugs in (
            ("online=yes", {"on"}),
            ("online=no", {"off", "never"}),
            ("online=never", {"never"}),
            (f"groups__id__exact={plant.pk}", {"on"}),
            ("is_enabled__exact=0", {"off"}),
            ("is_paused__exact=1", {"never"}),
            ("_facets=True", {"on", "off", "never"}),
        ):
            page = browser.get(f"{LIST}?{query}").content.decode()
            assert set(slugs_in(page)) == slugs, query

    def test_searches_by_what_people_know(self, browser, make_device, boiler, key):
        make_device("fan", serial="SN-1", tags="roof, north")
        prefix = credentials.prefix_of(key)
        for text, slugs in (
            ("SN-1", ["fan"]),
            ("north", ["fan"]),
            (prefix, ["boiler-7"]),
            ("nobody", []),
        ):
            page = browser.get(LIST, {"q": text}).content.decode()
            assert slugs_in(page) == slugs

    def test_has_nothing_that_a_strict_policy_blocks(self, browser, boiler, key):
        Series.objects.create(device=boiler, name="temp")
        for address in (
            LIST,
            change(boiler),
            f"{LIST}add/",
            reverse("admin:telemetry_device_new_key", args=[boiler.pk]),
            f"{LIST}{boiler.pk}/delete/",
            "/admin/telemetry/devicegroup/",
            "/admin/telemetry/credential/",
        ):
            response = browser.get(address)
            page = response.content.decode()
            assert response.status_code == 200, address
            assert not re.search(r"<[^>]+\sstyle=", page), address
            assert not re.search(r"<[^>]+\son\w+=", page), address
            assert "<style" not in page
            assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", page), address
            assert "unsafe" not in response["Content-Security-Policy"]

    def test_times_are_in_the_users_zone(self, browser, root, boiler):
        DevicePresence.objects.create(device=boiler, last_seen_at=NOW)
        Preferences.objects.create(user=root, time_zone="Asia/Shanghai")
        page = browser.get(LIST).content.decode()
        assert 'datetime="2026-11-22T22:03:21+08:00"' in page
        assert "CST" in page


class TestColumns:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (-5, "0 s ago"),
            (0.4, "0 s ago"),
            (59, "59 s ago"),
            (540, "9\xa0minutes ago"),
            (200_000, "2\xa0days ago"),
        ],
    )
    def test_relative(self, seconds, text):
        assert relative(NOW - timedelta(seconds=seconds), NOW) == text

    def test_a_moment_says_both(self):
        tag = moment_tag(NOW - timedelta(minutes=9), NOW)
        assert 'datetime="2026-11-22T13:54:21+00:00"' in tag
        assert "9\xa0minutes ago" in tag
        assert "1:54" in tag
        assert moment_tag(None, NOW) == "never"


class TestActions:
    def test_tell_how_many_they_changed(self, browser, make_device):
        devices = [make_device("a"), make_device("b"), make_device("c")]
        make_device("d")
        for action, column, value in (
            ("disable", "is_enabled", False),
            ("enable", "is_enabled", True),
            ("pause", "is_paused", True),
            ("resume", "is_paused", False),
        ):
            Device.objects.filter(pk=devices[0].pk).update(**{column: value})
            before = {d.pk: d.changed_at for d in Device.objects.all()}
            page = act(browser, action, *devices).content.decode()
            assert re.search(rf"{action}d 2 devices\.", page, re.IGNORECASE)
            got = Device.objects.filter(pk__in=[d.pk for d in devices])
            assert set(got.values_list(column, flat=True)) == {value}
            moved = {
                d.slug for d in Device.objects.all() if d.changed_at > before[d.pk]
            }
            assert moved == {"b", "c"}
        assert LogEntry.objects.count() == 8

    def test_work_on_a_filtered_list(self, browser, plant, make_device):
        device, other = make_device("a", plant), make_device("b")
        address = f"{LIST}?groups__id__exact={plant.pk}&q=a"
        act(browser, "pause", device, address=address)
        device.refresh_from_db()
        other.refresh_from_db()
        assert (device.is_paused, other.is_paused) == (True, False)

    def test_need_the_permission(self, clerk, boiler):
        allow(clerk, "view_device")
        act(clerk, "disable", boiler)
        boiler.refresh_from_db()
        assert boiler.is_enabled

    def test_deleting_many_marks_them_and_they_leave_the_list(
        self, browser, make_device, plant
    ):
        devices = fleet(40, plant)
        make_device("stays")
        ask = act(browser, "delete_selected", *devices).content.decode()
        assert "40" in ask
        act(browser, "delete_selected", *devices, post="yes")
        assert slugs_in(browser.get(LIST).content.decode()) == ["stays"]
        assert Device.objects.exclude(deleted_at=None).count() == 40


class TestEvents:
    """Edits are written down with the names of the fields."""

    def told(self) -> list[tuple[int, str]]:
        rows = DeviceEvent.objects.filter(kind="config_changed").order_by("id")
        return list(rows.values_list("device_id", "text"))

    def test_of_the_form(self, browser, boiler, key):
        Series.objects.create(device=boiler, name="temp")
        sent = fields_of(browser.get(change(boiler)).content.decode())
        browser.post(change(boiler), sent)
        assert self.told() == []
        edited = {"name": "B", "expected_period_seconds": "5"}
        edited["credentials-0-revoke"] = "on"
        assert browser.post(change(boiler), {**sent, **edited}).status_code == 302
        assert self.told() == [
            (boiler.pk, "credentials, expected_period_seconds, name")
        ]

    def test_of_a_series(self, browser, boiler, key):
        series = Series.objects.create(device=boiler, name="temp")
        address = f"/admin/telemetry/series/{series.pk}/change/"
        sent = fields_of(browser.get(address).content.decode())
        browser.post(address, sent)
        assert self.told() == []
        assert browser.post(address, {**sent, "unit": "K"}).status_code == 302
        assert self.told() == [(boiler.pk, "series")]

    def test_of_a_form_that_is_refused_there_is_none(self, browser, boiler, key):
        sent = fields_of(browser.get(change(boiler)).content.decode())
        browser.post(change(boiler), {**sent, "name": "", "slug": "other"})
        assert self.told() == []

    def test_of_actions_only_where_they_change_something(self, browser, make_device):
        one, other = make_device("a"), make_device("b", is_paused=True)
        act(browser, "pause", one, other)
        assert self.told() == [(one.pk, "is_paused")]


class TestChange:
    def test_deletion_is_a_tombstone(self, browser, boiler, key):
        Series.objects.create(device=boiler, name="temp")
        browser.post(f"{LIST}{boiler.pk}/delete/", {"post": "yes"})
        boiler.refresh_from_db()
        assert boiler.deleted_at is not None
        assert Series.objects.count() == Credential.objects.count() == 1
        assert browser.get(change(boiler)).status_code == 302
        series = browser.get("/admin/telemetry/series/").content.decode()
        assert "0 series" in series

    def test_shows_keys_and_series_but_no_deleted_ones(self, browser, boiler, key):
        Series.objects.create(device=boiler, name="temp", unit="°C")
        Series.objects.create(device=boiler, name="old_one").delete()
        page = browser.get(change(boiler)).content.decode()
        assert f"hub_{credentials.prefix_of(key)}_…" in page
        assert "temp" in page
        assert "old_one" not in page

    def test_a_box_revokes_a_key(self, browser, boiler, key):
        credentials.issue(boiler)
        sent = fields_of(browser.get(change(boiler)).content.decode())
        rows = [sent[f"credentials-{n}-id"] for n in (0, 1)]
        response = browser.post(change(boiler), {**sent, "credentials-0-revoke": "on"})
        assert response.status_code == 302
        revoked = Credential.objects.exclude(revoked_at=None)
        assert [str(each.pk) for each in revoked] == rows[:1]
        page = browser.get(change(boiler)).content.decode()
        assert re.search(r'name="credentials-0-revoke"[^>]*disabled', page)

    def test_keeps_what_was_not_edited(self, browser, boiler, key, plant):
        before: dict[str, Any] = dict(Device.objects.values().get())
        sent = fields_of(browser.get(change(boiler)).content.decode())
        assert browser.post(change(boiler), sent).status_code == 302
        after: dict[str, Any] = dict(Device.objects.values().get())
        assert after.pop("changed_at") > before.pop("changed_at")
        assert after == before
        assert list(boiler.groups.all()) == [plant]

    def test_joining_and_leaving_touches_the_groups(self, browser, boiler, plant):
        lab = DeviceGroup.objects.create(slug="lab", name="Lab")
        other = DeviceGroup.objects.create(slug="other", name="Other")
        stamps = {g.pk: g.changed_at for g in DeviceGroup.objects.all()}
        sent = fields_of(browser.get(change(boiler)).content.decode())
        browser.post(change(boiler), {**sent, "groups": str(lab.pk)})
        moved = {g.pk for g in DeviceGroup.objects.all() if g.changed_at > stamps[g.pk]}
        assert moved == {plant.pk, lab.pk}
        assert other.pk not in moved

    def test_256_series_fit_the_form(self, browser, boiler):
        Series.objects.bulk_create(
            [Series(device=boiler, name=f"m{n}") for n in range(256)]
        )
        sent = fields_of(browser.get(change(boiler)).content.decode())
        assert browser.post(change(boiler), sent).status_code == 302

    def test_one_who_may_only_view_changes_nothing(self, clerk, boiler, key):
        allow(clerk, "view_device", "view_credential")
        page = clerk.get(change(boiler)).content.decode()
        assert "Boiler-7" in page
        assert "revoke" not in fields_of(page)
        clerk.post(change(boiler), {"name": "X", "slug": "x"})
        boiler.refresh_from_db()
        assert boiler.name == "Boiler-7"


class TestKeys:
    def test_the_action_revokes_each_once(self, browser, boiler, key):
        _, _ = credentials.issue(boiler)
        keys = list(Credential.objects.all())
        credentials.revoke(keys[0])
        address = "/admin/telemetry/credential/"
        page = act(browser, "revoke", *keys, address=address).content.decode()
        assert "Revoked 1 key." in page
        assert not Credential.objects.filter(revoked_at=None).exists()

    def test_cannot_be_added_changed_or_deleted_here(self, browser, boiler, key):
        pk = Credential.objects.get().pk
        base = "/admin/telemetry/credential/"
        assert browser.get(f"{base}add/").status_code == 403
        assert browser.post(f"{base}{pk}/change/", {}).status_code == 403
        assert browser.post(f"{base}{pk}/delete/", {}).status_code == 403

    def test_filter_by_state(self, browser, boiler):
        past = datetime.now(timezone.utc) - timedelta(days=1)
        made = {
            "valid": credentials.issue(boiler)[0],
            "expired": credentials.issue(boiler, expires_at=past)[0],
            "revoked": credentials.issue(boiler)[0],
        }
        credentials.revoke(made["revoked"])
        for state, credential in made.items():
            page = browser.get(
                "/admin/telemetry/credential/", {"state": state}
            ).content.decode()
            assert re.findall(r"<code>(hub_\w{8}_…)</code>", page) == [str(credential)]


class TestGroups:
    ADDRESS = "/admin/telemetry/devicegroup/"

    def test_the_list_counts_living_devices_in_a_constant_number_of_queries(
        self, browser, plant, make_device
    ):
        make_device("gone", plant).delete()
        on = make_device("on", plant)
        make_device("off", plant)
        DevicePresence.objects.create(device=on, is_online=True)
        with CaptureQueriesContext(connection) as queries:
            page = browser.get(self.ADDRESS).content.decode()
        assert re.search(r'field-device_count"><a [^>]+>2</a>', page)
        assert re.search(r'field-online_count">1<', page)
        for n in range(20):
            DeviceGroup.objects.create(slug=f"g{n}", name="G")
        with CaptureQueriesContext(connection) as more:
            browser.get(self.ADDRESS)
        assert len(more) == len(queries)

    def test_access_is_given_and_taken_beside_the_group(self, browser, plant, people):
        address = f"{self.ADDRESS}{plant.pk}/change/"
        sent = fields_of(browser.get(address).content.decode())
        sent |= {"access-TOTAL_FORMS": "4", "access-0-DELETE": "on"}
        sent |= {"access-3-user": str(people.charlie.pk), "access-3-role": "viewer"}
        stamp = DeviceGroup.objects.get().changed_at
        assert browser.post(address, sent).status_code == 302
        users = GroupAccess.objects.values_list("user__username", flat=True)
        assert set(users) == {"bob", "inactive", "charlie"}
        assert DeviceGroup.objects.get().changed_at > stamp

    def test_access_is_for_one(self, browser, plant, people):
        address = f"{self.ADDRESS}{plant.pk}/change/"
        sent = fields_of(browser.get(address).content.decode())
        sent |= {"access-TOTAL_FORMS": "4", "access-3-role": "operator"}
        page = browser.post(address, sent).content.decode()
        assert "Choose a user or a group of users, one." in page

    def test_deleting_tells_its_devices(self, browser, plant, boiler):
        stamp = boiler.changed_at
        browser.post(f"{self.ADDRESS}{plant.pk}/delete/", {"post": "yes"})
        boiler.refresh_from_db()
        assert boiler.changed_at > stamp
        assert not DeviceGroup.objects.exists()


class TestSeries:
    ADDRESS = "/admin/telemetry/series/"

    def test_what_readings_depend_on_cannot_be_edited(self, browser, boiler):
        series = Series.objects.create(device=boiler, name="temp")
        address = f"{self.ADDRESS}{series.pk}/change/"
        sent = fields_of(browser.get(address).content.decode())
        sent |= {"name": "x", "kind": "text", "unit": "K"}
        assert browser.post(address, sent).status_code == 302
        series.refresh_from_db()
        assert (series.name, series.kind, series.unit) == ("temp", "number", "K")

    def test_a_second_one_of_a_name_is_refused_and_an_anew_one_is_not(
        self, browser, boiler
    ):
        old = Series.objects.create(device=boiler, name="temp")
        sent = {"device": str(boiler.pk), "name": "temp", "kind": "number"}
        page = browser.post(f"{self.ADDRESS}add/", sent).content.decode()
        assert "has a series “temp” already" in page
        old.delete()
        assert browser.post(f"{self.ADDRESS}add/", sent).status_code == 302
        assert Series.objects.alive().get().pk != old.pk

    def test_the_list_takes_as_many_queries_for_many(self, browser, boiler):
        counts = []
        for n in range(2):
            Series.objects.bulk_create(
                [Series(device=boiler, name=f"m{n}_{k}") for k in range(30)]
            )
            with CaptureQueriesContext(connection) as queries:
                browser.get(self.ADDRESS)
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestPeople:
    def test_preferences_are_beside_the_user(self, browser, people):
        address = f"/admin/auth/user/{people.bob.pk}/change/"
        page = browser.get(address).content.decode()
        sent = fields_of(page)
        sent["preferences-0-time_zone"] = "Europe/Berlin"
        response = browser.post(address, sent)
        assert response.status_code == 302
        assert people.bob.preferences.time_zone == "Europe/Berlin"


def test_every_page_of_the_admin_opens(browser, boiler, key, people):
    series = Series.objects.create(device=boiler, name="temp")
    for model, pk in (
        ("device", boiler.pk),
        ("devicegroup", boiler.groups.get().pk),
        ("credential", Credential.objects.get().pk),
        ("series", series.pk),
        ("metric", None),
    ):
        base = f"/admin/telemetry/{model}/"
        assert browser.get(base).status_code == 200, model
        if pk:
            assert browser.get(f"{base}{pk}/change/").status_code == 200, model
            assert browser.get(f"{base}{pk}/history/").status_code == 200, model
        if model != "credential":
            assert browser.get(f"{base}add/").status_code == 200, model
