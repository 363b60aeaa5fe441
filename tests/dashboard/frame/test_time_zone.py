"""The zone in which times are shown: chosen, kept, refused, and back to the page."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import AsyncClient, Client

from telemetry.devices.models import Preferences, Theme


def choose(client, zone: str, referrer: str = "http://testserver/search?q=a%20b"):
    return client.post("/time-zone", {"zone": zone}, headers={"referer": referrer})


def test_is_kept_for_a_person_and_leads_back_to_the_page(people, sign_in):
    bob = sign_in(people.bob)
    answer = choose(bob, "Europe/Berlin")
    assert (answer.status_code, answer["Location"]) == (302, "/search?q=a%20b")
    assert Preferences.objects.get(user=people.bob).time_zone == "Europe/Berlin"
    chosen = 'value="Europe/Berlin" aria-pressed="true"'
    assert chosen in bob.get("/search").content.decode()


def test_other_preferences_stay(people, sign_in):
    Preferences.objects.create(user=people.bob, theme=Theme.DARK, language="en")
    choose(sign_in(people.bob), "Asia/Tokyo")
    kept = Preferences.objects.get(user=people.bob)
    assert (kept.time_zone, kept.theme, kept.language) == ("Asia/Tokyo", "dark", "en")


def test_of_nobody_it_is_kept_in_a_cookie_and_not_in_the_database(client, db):
    cookie = choose(client, "Asia/Tokyo").cookies[settings.ZONE_COOKIE_NAME]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 400 * 86_400
    assert "Asia/Tokyo" in client.get("/login").content.decode()
    assert not Preferences.objects.exists()
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_of_nobody_it_counts_also_where_requests_are_answered_by_the_loop():
    client = AsyncClient()
    chosen = await sync_to_async(choose)(Client(), "Asia/Tokyo")
    name = settings.ZONE_COOKIE_NAME
    client.cookies[name] = chosen.cookies[name].value
    assert "Asia/Tokyo" in (await client.get("/login")).content.decode()


@pytest.mark.parametrize("value", ["", "Asia/Tokyo", "Asia/Tokyo:1u:forged", "\\000"])
def test_a_cookie_that_this_hub_has_not_signed_is_no_zone(value, client, db):
    client.cookies[settings.ZONE_COOKIE_NAME] = value
    answer = client.get("/login")
    assert answer.status_code == 200
    assert answer.wsgi_request.preferences is None


@pytest.mark.parametrize(
    "zone", ["", "Mars/Phobos", "../etc/passwd", "x" * 5_000, "Europe", "a\0b"]
)
def test_what_is_no_zone_is_refused_in_a_sentence(zone, people, sign_in):
    answer = choose(sign_in(people.bob), zone)
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "expected a time zone such as Europe/Berlin" in page
    assert 'href="/search?q=a%20b"' in page
    assert len(page) < 20_000
    assert not Preferences.objects.exists()


@pytest.mark.parametrize(
    ("referrer", "back"),
    [
        ("", "/"),
        ("https://evil.example/g/plant", "/"),
        ("http://testserver//evil.example/", "/evil.example/"),
        ("http://testserver/g/plant?from=now-5m#x", "/g/plant?from=now-5m"),
        ("http://[", "/"),
        ("http://testserver/time-zone", "/"),
        ("http://testserver//time-zone?x", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_leads_nowhere_else(referrer, back, people, sign_in):
    assert choose(sign_in(people.bob), "UTC", referrer)["Location"] == back


def test_only_by_a_form(people, sign_in):
    assert sign_in(people.bob).get("/time-zone").status_code == 405
