"""Sockets without a session: screens by their cookie, scripts by a token in `hello`."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from telemetry.devices import kiosk_cookie, tokens
from telemetry.devices.access_token import AccessToken, TokenKind
from telemetry.devices.models import GroupAccess

from .conftest import T0, do, make_person

pytestmark = pytest.mark.django_db(transaction=True)
KIOSK, SCRIPT = TokenKind.KIOSK, TokenKind.SCRIPT


def make_token(kind, *groups, name="bob", sees=(), **fields):
    """A token, its secret, and the Cookie header of a screen that has it."""
    user = User.objects.filter(username=name).first()
    user = user or make_person(name, *sees, is_staff=not sees)[0]
    token, secret = tokens.make(user, kind, "Hall 2", groups=groups, **fields)
    cookie = f"{settings.KIOSK_COOKIE_NAME}={kiosk_cookie.write(token)}"
    return token, secret, cookie


async def welcomed(live, secret):
    script = await live.page(None, origin=None)
    await script.send(type="hello", interval_ms=100, token=secret)
    return script, await script.receive("welcome")


class TestScript:
    async def test_with_a_token_follows_its_groups_and_no_other(self, live, plant):
        _, secret, _ = await do(make_token, SCRIPT, plant.group)
        live.hub.commit((plant.temp, 0, 21.5))
        script, welcome = await welcomed(live, secret)
        assert welcome["user"] == "Hall 2"
        subscribed = await script.subscribe("plant", "other", devices=["pump-1"])
        assert subscribed["groups"] == ["plant", "device:pump-1"]
        assert subscribed["refused"] == {"other": "not_found"}
        snapshot = await script.receive("snapshot")
        assert [plant.temp, T0 // 1000, 21.5] in snapshot["rows"]

    async def test_without_groups_follows_all_that_its_user_sees(self, live, plant):
        _, secret, _ = await do(make_token, SCRIPT, sees=(plant.group,))
        script, _ = await welcomed(live, secret)
        subscribed = await script.subscribe("plant", "other")
        assert subscribed["groups"] == ["plant"]

    async def test_works_without_a_subprotocol(self, live, plant):
        _, secret, _ = await do(make_token, SCRIPT)
        script = await live.page(None, origin=None, subprotocols=None)
        await script.send(type="hello", token=secret)
        assert (await script.receive())["type"] == "welcome"

    @pytest.mark.parametrize("end", ["revoke", "expire", "inactive", "delete"])
    async def test_is_sent_away_when_the_token_ends(self, live, plant, end):
        token, secret, _ = await do(make_token, SCRIPT, plant.group)
        script, _ = await welcomed(live, secret)
        await script.subscribe("plant")
        await do(
            {
                "revoke": lambda: tokens.revoke(token),
                "expire": lambda: AccessToken.objects.update(expires_at=timezone.now()),
                "inactive": lambda: User.objects.update(is_active=False),
                "delete": User.objects.all().delete,
            }[end]
        )
        await live.hub.feed.audience.check()
        assert (await script.closed())[0] == 4401

    async def test_loses_a_group_that_its_user_lost(self, live, plant):
        _, secret, _ = await do(make_token, SCRIPT, plant.group, sees=(plant.group,))
        script, _ = await welcomed(live, secret)
        await script.subscribe("plant")
        await do(GroupAccess.objects.all().delete)
        await live.hub.feed.audience.check()
        assert (await script.receive("reset"))["reason"] == "forbidden"

    async def test_is_let_in_no_more_after_the_end(self, live, plant):
        hour_ago = timezone.now() - timedelta(hours=1)
        _, expired, _ = await do(make_token, SCRIPT, plant.group, expires_at=hour_ago)
        token, revoked, _ = await do(make_token, SCRIPT, plant.group)
        await do(tokens.revoke, token)
        for secret in (expired, revoked):
            script = await live.page(None, origin=None)
            await script.send(type="hello", token=secret)
            assert (await script.closed())[0] == 4401

    async def test_with_the_secret_of_a_screen_is_not_let_in(self, live, plant):
        _, secret, _ = await do(make_token, KIOSK, plant.group)
        script = await live.page(None, origin=None)
        await script.send(type="hello", token=secret)
        assert (await script.closed())[0] == 4401

    async def test_shows_one_token_once(self, live, plant):
        _, secret, _ = await do(make_token, SCRIPT, plant.group)
        script, _ = await welcomed(live, secret)
        await script.send(type="hello", token=secret)
        assert (await script.receive())["code"] == "conflict"
        await script.send(type="ping", echo=1)
        assert (await script.receive())["type"] == "pong"

    async def test_in_a_page_needs_the_session_all_the_same(self, live, plant):
        _, secret, _ = await do(make_token, SCRIPT, plant.group)
        # A page of any other origin, and one of ours that nobody is signed in at.
        for origin, code in (("http://evil.example", 4403), ("own", 4401)):
            page = await live.page(None, origin=origin)
            with contextlib.suppress(ConnectionClosed):
                await page.send(type="hello", token=secret)
            assert (await page.closed())[0] == code


class TestScreen:
    async def test_follows_its_groups_and_no_other(self, live, plant):
        _, _, cookie = await do(make_token, KIOSK, plant.group)
        page = await live.page(cookie)
        assert (await page.hello())["user"] == "Hall 2"
        subscribed = await page.subscribe("plant", "other")
        assert subscribed["groups"] == ["plant"]
        assert subscribed["refused"] == {"other": "not_found"}

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
    async def test_needs_the_exact_origin(self, live, plant, origin):
        _, _, cookie = await do(make_token, KIOSK, plant.group)
        page = await live.page(cookie, origin=origin)
        assert (await page.closed())[0] == 4403

    async def test_is_sent_away_when_its_link_is_revoked(self, live, plant):
        token, _, cookie = await do(make_token, KIOSK, plant.group)
        page = await live.page(cookie)
        await page.hello()
        await page.subscribe("plant")
        await do(tokens.revoke, token)
        await live.hub.feed.audience.check()
        assert (await page.closed())[0] == 4401

    @pytest.mark.parametrize("value", ["", "AAAAAAAA:forged", "x"])
    async def test_cannot_be_claimed(self, live, plant, value):
        page = await live.page(f"{settings.KIOSK_COOKIE_NAME}={value}")
        assert (await page.closed())[0] == 4401

    async def test_whose_session_has_ended_goes_by_its_link(self, live, plant, staff):
        _, _, cookie = await do(make_token, KIOSK, plant.group)
        ended = f"{settings.SESSION_COOKIE_NAME}=made-up; {cookie}"
        page = await live.page(ended)
        assert (await page.hello())["user"] == "Hall 2"

    async def test_somebody_who_is_signed_in_stays_who_they_are(
        self, live, plant, staff
    ):
        _, _, cookie = await do(make_token, KIOSK, plant.group)
        page = await live.page(f"{cookie}; {staff}")
        assert (await page.hello())["user"] == "staff"
        assert (await page.subscribe("plant", "other"))["refused"] == {}
