"""Screens on walls: a link of its own, a cookie, what it opens, and never a login."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from telemetry.dashboard.kiosk import version
from telemetry.devices import kiosk_cookie, tokens
from telemetry.devices.access_token import AccessToken, TokenKind
from telemetry.devices.models import DeviceGroup, GroupAccess, Preferences

from ..conftest import add_device

START = "/g/plant?kiosk=1"
READINGS = "/g/plant/readings.json?from=0&to=1"


@pytest.fixture
def other(db: None) -> DeviceGroup:
    return DeviceGroup.objects.create(slug="other", name="Other")


@pytest.fixture
def link(people, plant) -> tuple[AccessToken, str]:
    add_device(plant, "pump")
    token, secret = tokens.make(people.bob, TokenKind.KIOSK, "Hall", groups=[plant])
    return token, f"/k/{secret}"


@pytest.fixture
def screen(link) -> Client:
    """A browser in which the link was opened."""
    client = Client()
    assert client.get(link[1]).status_code == 302
    return client


def is_ended(answer) -> bool:
    return (
        answer.status_code == 404
        and "link has ended" in answer.content.decode()
        and "no-store" in answer["Cache-Control"]
        and answer["Referrer-Policy"] == "no-referrer"
        and 'name="password"' not in answer.content.decode()
    )


class TestTheLink:
    def test_is_swapped_for_a_cookie_at_once(self, client, link):
        token, address = link
        answer = client.get(address)
        assert (answer.status_code, answer["Location"]) == (302, START)
        assert answer["Referrer-Policy"] == "no-referrer"
        assert "no-store" in answer["Cache-Control"]
        cookie = answer.cookies[settings.KIOSK_COOKIE_NAME]
        assert cookie["httponly"] and cookie["samesite"] == "Lax"
        assert cookie["max-age"] == 400 * 86_400
        secret = address.removeprefix("/k/")
        assert secret.split("_", 2)[2] not in cookie.value + answer["Location"]
        assert settings.SESSION_COOKIE_NAME not in client.cookies

    def test_of_https_is_kept_from_http(self, client, link, settings):
        settings.SESSION_COOKIE_SECURE = True
        answer = client.get(link[1])
        assert answer.cookies[settings.KIOSK_COOKIE_NAME]["secure"]

    def test_that_ends_gives_no_longer_cookie(self, client, link):
        soon = timezone.now() + timedelta(hours=1)
        AccessToken.objects.update(expires_at=soon)
        age = client.get(link[1]).cookies[settings.KIOSK_COOKIE_NAME]["max-age"]
        assert 3_500 < age <= 3_600

    def test_leads_to_its_first_group_by_name(self, client, link, other, people):
        GroupAccess.objects.create(group=other, user=people.bob)
        link[0].groups.add(other)
        assert client.get(link[1])["Location"] == "/g/other?kiosk=1"

    @pytest.mark.parametrize(
        ("asked", "kept"),
        [
            ("rotate=30", "&rotate=30"),
            ("to=now&from=-1h", "&from=-1h&to=now"),
            ("kiosk=0&next=//evil.example&x=1", ""),
            ("m=%26a%3D%0d%0aX", "&m=%26a%3D%0D%0AX"),
            ("m=" + "x" * 201, "&m=" + "x" * 200),
        ],
    )
    def test_carries_on_how_it_is_shown(self, client, link, asked, kept):
        answer = client.get(f"{link[1]}?{asked}")
        assert answer["Location"] == START + kept

    @pytest.mark.parametrize(
        "address",
        [
            "/k/x",
            "/k/hubt_AAAAAAAA_" + "A" * 43,
            "/k/hub_AAAAAAAA_" + "A" * 43,
            "/k/" + "%00" * 9,
            "/k/%F0%9F%92%A5",
        ],
    )
    def test_that_is_wrong_says_so_and_asks_for_no_password(
        self, client, link, address
    ):
        assert is_ended(client.get(address))
        assert settings.KIOSK_COOKIE_NAME not in client.cookies

    @pytest.mark.parametrize("end", ["revoke", "expire", "inactive", "right", "groups"])
    def test_that_has_ended_is_as_one_that_never_was(self, client, link, people, end):
        token, address = link
        wrong = client.get("/k/wrong").content
        {
            "revoke": lambda: tokens.revoke(token),
            "expire": lambda: AccessToken.objects.update(expires_at=timezone.now()),
            "inactive": lambda: User.objects.update(is_active=False),
            "right": GroupAccess.objects.all().delete,
            "groups": lambda: token.groups.clear(),
        }[end]()
        answer = client.get(address)
        assert is_ended(answer)
        assert answer.content == wrong

    def test_of_a_script_opens_no_screen(self, client, people, plant):
        _, secret = tokens.make(people.bob, TokenKind.SCRIPT, "s", groups=[plant])
        assert is_ended(client.get(f"/k/{secret}"))

    @pytest.mark.parametrize("method", ["post", "put", "delete"])
    def test_is_only_read(self, client, link, method):
        assert getattr(client, method)(link[1]).status_code == 405


class TestTheScreen:
    def test_sees_its_group_and_the_history(self, screen):
        page = screen.get(START)
        assert page.status_code == 200
        text = page.content.decode()
        assert "Plant A" in text and "is-kiosk" in text and "hub-kiosk" in text
        assert 'data-mode="link"' in text
        assert "Sign out" not in text and "kiosk-form" not in text
        assert screen.get(READINGS).status_code == 200

    def test_is_told_what_it_may_show_and_how_new_its_page_is(self, screen):
        answer = screen.get("/kiosk.json")
        assert answer.json() == {"version": version.page_version(), "groups": ["plant"]}
        assert "no-store" in answer["Cache-Control"]

    @pytest.mark.parametrize("path", ["/g/other", "/g/other/readings.json", "/g/nope"])
    def test_sees_no_other_group(self, screen, other, path):
        assert screen.get(path).status_code == 404

    def test_that_stands_on_a_group_that_went_goes_to_one_that_is_there(
        self, screen, other
    ):
        for slug in ("other", "nope"):
            answer = screen.get(f"/g/{slug}?kiosk=1&rotate=30")
            assert (answer.status_code, answer["Location"]) == (
                302,
                f"{START}&rotate=30",
            )

    @pytest.mark.parametrize("path", ["/", "/groups", "/d/pump", "/g/plant/kiosk"])
    def test_is_nobody_everywhere_else_and_is_shown_no_login(self, screen, path):
        answer = screen.get(path)
        if answer.status_code != 404:
            assert (answer.status_code, answer["Location"]) == (302, START)

    def test_reads_nothing_else(self, screen):
        assert screen.get("/api/v1/readings?device=pump").status_code == 401
        assert "/admin/login" in screen.get("/admin/")["Location"]

    @pytest.mark.parametrize("path", ["/g/plant", "/g/plant/kiosk", "/logout"])
    def test_changes_nothing(self, screen, path):
        answer = screen.post(path)
        assert answer.status_code in (302, 404, 405)
        assert AccessToken.objects.filter(revoked_at=None).count() == 1

    def test_may_be_signed_in_at_by_hand(self, screen):
        assert screen.get("/login").status_code == 200

    def test_shows_times_as_its_user_does(self, screen, people):
        Preferences.objects.create(user=people.bob, time_zone="Asia/Tokyo")
        assert "Asia/Tokyo" in screen.get(START).content.decode()

    def test_says_that_its_link_has_ended(self, screen, link):
        tokens.revoke(link[0])
        assert is_ended(screen.get(START))
        assert is_ended(screen.get("/g/nope?kiosk=1"))
        assert screen.get("/kiosk.json").status_code == 404

    def test_says_so_too_where_its_user_lost_the_group(self, screen):
        GroupAccess.objects.all().delete()
        assert is_ended(screen.get(START))

    def test_whose_link_has_ended_lets_people_sign_in(self, screen, link):
        tokens.revoke(link[0])
        assert screen.get("/")["Location"].startswith("/login")
        assert screen.get("/g/plant")["Location"].startswith("/login")

    @pytest.mark.parametrize("value", ["", "x", "AAAAAAAA:forged", "é:1", "a" * 5000])
    def test_cannot_be_claimed(self, client, link, value):
        client.cookies[settings.KIOSK_COOKIE_NAME] = value
        assert is_ended(client.get(START))
        assert client.get("/g/plant")["Location"].startswith("/login")

    def test_of_another_hub_is_none_here(self, client, link, settings):
        value = kiosk_cookie.write(link[0])
        settings.SECRET_KEY = "another" * 9
        client.cookies[settings.KIOSK_COOKIE_NAME] = value
        assert is_ended(client.get(START))


class TestPeople:
    def test_stay_who_they_are_after_they_tried_a_link(
        self, link, people, sign_in, other
    ):
        staff = sign_in(people.staff)
        staff.get(link[1])
        assert staff.get("/g/other").status_code == 200
        assert "is-kiosk" not in staff.get("/g/plant").content.decode()
        tokens.revoke(link[0])
        assert staff.get(START).status_code == 200

    def test_may_show_a_group_without_its_frame(self, people, plant, sign_in):
        bob = sign_in(people.bob)
        page = bob.get(START).content.decode()
        assert 'data-mode="person"' in page and "hub-kiosk" in page
        assert bob.get("/kiosk.json").json()["groups"] == ["plant"]
        assert "hub-kiosk" not in bob.get("/g/plant").content.decode()

    def test_who_are_not_signed_in_are_asked_to_be(self, client, plant):
        assert client.get(START)["Location"].startswith("/login")
        assert client.get("/kiosk.json").status_code == 404

    def test_without_a_screens_cookie_cost_no_query(
        self, client, plant, django_assert_num_queries
    ):
        with django_assert_num_queries(0):
            client.get("/login")


def token_of(page: str) -> str:
    found = re.search(r'name="once" value="(\w+)"', page)
    assert found
    return found[1]


@pytest.fixture
def maker(people, sign_in) -> Client:
    """Bob, who may make links."""
    people.bob.user_permissions.add(Permission.objects.get(codename="add_accesstoken"))
    return sign_in(people.bob)


class TestTheForm:
    FIELDS = {"name": "Hall 2", "days": "30", "rotate": "30"}

    def send(self, maker: Client, **fields):
        once = token_of(maker.get("/g/plant/kiosk").content.decode())
        return maker.post("/g/plant/kiosk", {**self.FIELDS, "once": once, **fields})

    def test_makes_a_link_that_is_shown_once(self, maker, people, plant, client):
        answer = self.send(maker)
        assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
        page = answer.content.decode()
        link = re.search(r'id="kiosk-link"[^>]*>([^<]+)<', page)
        assert link and link[1].startswith(f"{settings.HUB_URL}/k/hubt_")
        token = AccessToken.objects.get()
        assert (token.user, token.name, token.kind) == (people.bob, "Hall 2", "kiosk")
        assert token.expires_at is not None
        assert timedelta(days=29) < token.expires_at - timezone.now()
        path = link[1].removeprefix(settings.HUB_URL)
        assert client.get(path)["Location"] == START
        assert token.prefix not in maker.get("/g/plant/kiosk").content.decode()

    def test_that_is_sent_again_makes_no_second_link(self, maker, plant):
        once = token_of(maker.get("/g/plant/kiosk").content.decode())
        for _ in range(2):
            answer = maker.post("/g/plant/kiosk", {**self.FIELDS, "once": once})
        assert answer["Location"] == "/g/plant/kiosk"
        assert "shown before" in maker.get("/g/plant/kiosk").content.decode()
        assert AccessToken.objects.count() == 1

    def test_takes_other_groups_that_one_may_see(self, maker, people, other):
        hidden = DeviceGroup.objects.create(slug="hidden", name="Hidden")
        GroupAccess.objects.create(group=other, user=people.bob)
        assert "Hidden" not in maker.get("/g/plant/kiosk").content.decode()
        refused = self.send(maker, groups=[other.pk, hidden.pk])
        assert "not one of the available choices" in refused.content.decode()
        page = self.send(maker, groups=[other.pk]).content.decode()
        assert "?rotate=30" in page
        groups = AccessToken.objects.get().groups.values_list("slug", flat=True)
        assert set(groups) == {"plant", "other"}

    @pytest.mark.parametrize(
        ("field", "good", "bad"),
        [
            ("name", "x" * 120, "x" * 121),
            ("name", "x", "  "),
            ("days", "1", "0"),
            ("days", "3650", "3651"),
            ("days", "", "1.5"),
            ("days", "7", "٧٧٧٧٧"),
            ("rotate", "5", "4"),
            ("rotate", "86400", "86401"),
            ("rotate", "", "x"),
        ],
    )
    def test_says_what_is_wrong(self, maker, people, other, field, good, bad):
        GroupAccess.objects.create(group=other, user=people.bob)
        answer = self.send(maker, **{field: bad})
        assert answer.status_code == 200 and 'role="alert"' in answer.content.decode()
        assert not AccessToken.objects.exists()
        assert self.send(maker, **{field: good}).status_code == 200
        assert AccessToken.objects.count() == 1

    def test_wants_a_form_of_this_hub(self, people, plant, maker):
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(people.bob)
        assert strict.post("/g/plant/kiosk", self.FIELDS).status_code == 403
        assert not AccessToken.objects.exists()

    def test_is_for_those_who_may_make_tokens(self, people, plant, sign_in):
        bob = sign_in(people.bob)
        assert bob.get("/g/plant/kiosk").status_code == 403
        assert bob.post("/g/plant/kiosk", self.FIELDS).status_code == 403
        assert "/g/plant/kiosk" not in bob.get("/g/plant").content.decode()
        charlie = sign_in(people.charlie)
        assert charlie.get("/g/plant/kiosk").status_code == 404
        assert Client().get("/g/plant/kiosk")["Location"].startswith("/login")

    def test_is_reached_from_the_page_of_the_group(self, maker, plant):
        assert 'href="/g/plant/kiosk"' in maker.get("/g/plant").content.decode()


class TestEndingALink:
    def test_of_ones_own(self, maker, people, plant):
        token, _ = tokens.make(people.bob, TokenKind.KIOSK, "Hall", groups=[plant])
        assert "Hall" in maker.get("/g/plant/kiosk").content.decode()
        answer = maker.post("/g/plant/kiosk", {"end": token.pk}, follow=True)
        assert "has ended" in answer.content.decode()
        token.refresh_from_db()
        assert token.revoked_at is not None

    @pytest.mark.parametrize("end", ["0", "x", "", "99999999999999999999"])
    def test_that_is_none_changes_nothing(self, maker, people, plant, end):
        tokens.make(people.bob, TokenKind.KIOSK, "Hall", groups=[plant])
        assert maker.post("/g/plant/kiosk", {"end": end}).status_code == 302
        assert AccessToken.objects.filter(revoked_at=None).exists()

    def test_of_somebody_else_or_for_a_script_is_not_possible_here(
        self, maker, people, plant
    ):
        for user, kind in (
            (people.staff, TokenKind.KIOSK),
            (people.bob, TokenKind.SCRIPT),
        ):
            token, _ = tokens.make(user, kind, "Foreign", groups=[plant])
            assert "Foreign" not in maker.get("/g/plant/kiosk").content.decode()
            maker.post("/g/plant/kiosk", {"end": token.pk})
        assert AccessToken.objects.filter(revoked_at=None).count() == 2


def test_the_version_is_the_hubs_own():
    assert re.fullmatch(r"\d+\.\d+\.\d+\+\w*", version.page_version())
