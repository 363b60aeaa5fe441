from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from telemetry.devices import credentials
from telemetry.devices.models import Credential, Device

from .conftest import allow, fields_of

pytestmark = pytest.mark.django_db
ADD = "/admin/telemetry/device/add/"
KEY = re.compile(r"hub_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")


def send(browser: Client, address: str, **fields: str):
    sent = fields_of(browser.get(address).content.decode())
    return browser.post(address, {**sent, **fields}), sent


def keys_in(response) -> set[str]:
    return set(KEY.findall(response.content.decode()))


def new_key_address(device: Device) -> str:
    return reverse("admin:telemetry_device_new_key", args=[device.pk])


class TestAdd:
    def test_a_new_device_shows_its_key(self, browser, plant):
        response, _ = send(browser, ADD, name="Kühlraum 3", groups=str(plant.pk))
        assert response.status_code == 200
        (key,) = keys_in(response)
        device = Device.objects.get()
        assert (device.slug, device.name) == ("kuhlraum-3", "Kühlraum 3")
        assert list(device.groups.all()) == [plant]
        assert credentials.matches(key, bytes(device.credentials.get().sha256))
        assert "no-store" in response["Cache-Control"]

    def test_the_key_is_nowhere_else(self, browser, caplog):
        caplog.set_level(logging.DEBUG)
        response, _ = send(browser, ADD, name="Fan")
        (key,) = keys_in(response)
        secret = key[13:]
        logged = caplog.text + "".join(
            entry.change_message + entry.object_repr for entry in LogEntry.objects.all()
        )
        sessions = "".join(str(each.get_decoded()) for each in Session.objects.all())
        assert secret not in logged + sessions
        assert secret not in str(response.headers) + str(response.cookies)
        device = Device.objects.get()
        for address in (
            f"/admin/telemetry/device/{device.pk}/change/",
            f"/admin/telemetry/device/{device.pk}/history/",
            "/admin/telemetry/credential/",
            f"/admin/telemetry/credential/{device.credentials.get().pk}/change/",
        ):
            page = browser.get(address).content.decode()
            assert secret not in page
            assert str(device.credentials.get().sha256) not in page
            assert "sha256" not in page

    def test_a_page_that_is_loaded_again_makes_no_second_device(self, browser):
        response, sent = send(browser, ADD, name="Fan")
        again = browser.post(ADD, {**sent, "name": "Fan"})
        assert again.status_code == 302
        assert Device.objects.count() == Credential.objects.count() == 1

    def test_what_is_wrong_is_told_at_its_field(self, browser, boiler):
        response, _ = send(browser, ADD, name="X", slug="boiler-7")
        assert "There is a device with this slug." in response.content.decode()
        response, _ = send(browser, ADD, name="X", slug="not a slug")
        assert "expected a-z" in response.content.decode()
        assert Device.objects.count() == 1

    def test_the_slug_of_a_deleted_device_may_be_taken(self, browser, boiler):
        boiler.delete()
        response, _ = send(browser, ADD, name="X", slug="boiler-7")
        assert keys_in(response)

    def test_somebody_who_may_not_make_keys_gets_none(self, clerk):
        allow(clerk, "add_device", "view_device")
        response, _ = send(clerk, ADD, name="Fan")
        assert response.status_code == 302
        assert Device.objects.count() == 1
        assert not Credential.objects.exists()


class TestNewKey:
    def test_the_old_one_stays_valid(self, browser, boiler, key):
        response, _ = send(browser, new_key_address(boiler))
        (new,) = keys_in(response)
        assert new != key
        assert boiler.credentials.filter(revoked_at=None).count() == 2
        assert "no-store" in response["Cache-Control"]
        assert new not in response.request["PATH_INFO"]

    def test_it_may_have_an_end(self, browser, boiler):
        end = timezone.now().replace(microsecond=0, second=0) + timedelta(days=30)
        send(
            browser,
            new_key_address(boiler),
            expires_at_0=f"{end:%Y-%m-%d}",
            expires_at_1=f"{end:%H:%M}",
        )
        assert boiler.credentials.get().expires_at == end

    def test_an_end_that_is_over_is_refused(self, browser, boiler):
        response, _ = send(
            browser,
            new_key_address(boiler),
            expires_at_0="2020-01-01",
            expires_at_1="00:00",
        )
        assert "Expected a moment to come" in response.content.decode()
        assert not boiler.credentials.exists()

    def test_loaded_again_it_makes_no_second_key(self, browser, boiler):
        _, sent = send(browser, new_key_address(boiler))
        assert browser.post(new_key_address(boiler), sent).status_code == 302
        assert boiler.credentials.count() == 1

    def test_a_look_makes_none(self, browser, boiler):
        assert browser.get(new_key_address(boiler)).status_code == 200
        assert not boiler.credentials.exists()

    def test_a_deleted_device_gets_none(self, browser, boiler):
        boiler.delete()
        assert browser.get(new_key_address(boiler)).status_code == 302

    def test_needs_both_permissions_and_a_token_of_this_site(self, clerk, boiler):
        address = new_key_address(boiler)
        allow(clerk, "change_device")
        assert clerk.get(address).status_code == 403
        allow(clerk, "add_credential")
        assert clerk.get(address).status_code == 200
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = clerk.cookies
        assert strict.post(address).status_code == 403
        assert Client().post(address).status_code == 302
        assert not boiler.credentials.exists()

    def test_the_tool_is_offered_to_those_who_may(self, clerk, browser, boiler):
        address = new_key_address(boiler)
        change = f"/admin/telemetry/device/{boiler.pk}/change/"
        allow(clerk, "change_device")
        assert address not in clerk.get(change).content.decode()
        assert address in browser.get(change).content.decode()
