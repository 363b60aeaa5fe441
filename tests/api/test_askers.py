"""Who may ask for readings: scripts by a token, besides people and devices."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from telemetry.api.askers import Asker
from telemetry.devices import tokens
from telemetry.devices.access_token import AccessToken, TokenKind
from telemetry.devices.models import DeviceGroup, Preferences

from .conftest import Get, Got, Plant

RANGE = {"from_": "2026-11-22T10:00:00Z", "to": "2026-11-22T10:01:00Z"}


def make(user: str, *slugs: str, kind: TokenKind = TokenKind.SCRIPT):
    groups = DeviceGroup.objects.filter(slug__in=slugs)
    return tokens.make(User.objects.get(username=user), kind, "export", groups=groups)


@pytest.fixture
def ask(plant: Plant, get: Get):
    async def asked(secret: str, scheme: str = "Bearer", **query) -> Got:
        headers = {"Authorization": f"{scheme} {secret}"}
        query = {"device": "pump", "metric": "temp", **RANGE, **query}
        return await get(person=None, headers=headers, **query)

    return asked


class TestToken:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Bearer  "])
    async def test_reads_what_its_user_may_see(self, ask, scheme):
        _, secret = await sync_to_async(make)("bob")
        got = await ask(secret, scheme)
        assert got.status == 200
        assert got.body["series"][0]["values"] == [20.0 + at for at in range(10)]

    async def test_streams_as_well(self, ask):
        _, secret = await sync_to_async(make)("bob")
        got = await ask(secret, format="csv")
        assert got.status == 200 and got.content.count(b"\n") == 11

    async def test_reads_no_more_than_its_user(self, ask):
        _, secret = await sync_to_async(make)("bob")
        hidden = await ask(secret, device="secret")
        unknown = await ask(secret, device="nobody")
        assert hidden.is_error(404, "not_found")
        assert hidden.content.replace(b"secret", b"nobody") == unknown.content

    async def test_reads_no_more_than_its_groups(self, ask, plant):
        await DeviceGroup.objects.acreate(slug="other", name="Other")
        _, secret = await sync_to_async(make)("bob", "other")
        assert (await ask(secret)).is_error(404, "not_found")

    async def test_reads_one_series(self, plant, get):
        _, secret = await sync_to_async(make)("bob")
        headers = {"Authorization": f"Bearer {secret}"}
        path = f"series/{plant.temp}/readings"
        assert (await get(path, None, headers, **RANGE)).status == 200
        path = f"series/{plant.hidden}/readings"
        assert (await get(path, None, headers, **RANGE)).is_error(404, "not_found")

    async def test_that_does_not_hold_is_unauthorized(self, ask):
        token, secret = await sync_to_async(make)("bob")
        _, link = await sync_to_async(make)("bob", "plant", kind=TokenKind.KIOSK)
        await sync_to_async(tokens.revoke)(token)
        for wrong in (secret, link, "hubt_", "hubt_AAAAAAAA_" + "A" * 43):
            got = await ask(wrong)
            assert got.is_error(401, "unauthorized", "access token")
            assert got.headers["WWW-Authenticate"] == "Bearer"
            assert wrong not in got.content.decode()

    async def test_that_is_wrong_is_not_saved_by_a_session(self, plant, get):
        got = await get(device="pump", headers={"Authorization": "Bearer hubt_x"})
        assert got.is_error(401, "unauthorized")


class TestAsker:
    @pytest.fixture
    def token(self, plant: Plant) -> AccessToken:
        return make("bob")[0]

    def test_of_a_token_is_one_of_its_own(self, token):
        asker = Asker(token, None)
        assert asker.who == ("token", token.pk)
        assert asker.who != Asker(token.user, None).who

    def test_has_the_zone_of_the_tokens_user(self, token):
        assert Asker(token, None).zone().key == "UTC"
        Preferences.objects.create(user=token.user, time_zone="Asia/Tokyo")
        again = AccessToken.objects.get()
        assert Asker(again, None).zone().key == "Asia/Tokyo"
