"""Whoever loses a right, or logs out, loses the pages that are open."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from telemetry import conf
from telemetry.devices.models import GroupAccess
from telemetry.live.audience import Audience
from telemetry.live.people import find_people

from .conftest import do, make_person, watching

pytestmark = pytest.mark.django_db(transaction=True)


class TestRights:
    async def test_removed_right_takes_the_group_away(self, live, plant):
        user, cookie = await do(make_person, "bob", plant.group, plant.other)
        page, _ = await watching(live, cookie, "plant", "other", devices=["pump-1"])
        for _ in range(3):
            await page.receive("snapshot")
        await live.hub.feed.audience.check()
        await do(GroupAccess.objects.filter(group=plant.group).delete)
        await live.hub.feed.audience.check()
        taken = {(await page.receive("reset"))["group"] for _ in range(2)}
        assert taken == {"plant", "device:pump-1"}
        assert page.messages[-1]["reason"] == "forbidden"
        live.hub.commit((plant.temp, 1, 1.0))
        assert await page.is_silent()
        assert (await page.subscribe("plant"))["refused"] == {"plant": "not_found"}

    @pytest.mark.parametrize("how", ["log-out", "inactive", "password", "deleted"])
    async def test_person_who_is_gone_is_sent_away(self, live, plant, how):
        user, cookie = await do(make_person, "bob", plant.group)
        page, _ = await watching(live, cookie, "plant")

        def end():
            if how == "log-out":
                Session.objects.all().delete()
            elif how == "inactive":
                User.objects.filter(pk=user.pk).update(is_active=False)
            elif how == "deleted":
                user.delete()
            else:
                user.set_password("another")
                user.save()

        await do(end)
        await live.hub.feed.audience.check()
        code, bye = await page.closed()
        assert (code, bye and bye["code"]) == (4401, 4401)

    async def test_session_that_ends_while_topics_are_opened_is_unauthorized(
        self, live, staff, plant, monkeypatch, caplog
    ):
        page = await live.page(staff)
        await page.hello()
        feed = live.hub.feed
        real = feed.open

        async def meanwhile(topic):
            await do(Session.objects.all().delete)
            await feed.audience.check()
            return await real(topic)

        left = asyncio.Event()
        monkeypatch.setattr(feed, "open", meanwhile)
        monkeypatch.setattr(feed.audience, "leave", lambda seat: left.set())
        await page.send(type="subscribe", id=1, groups=["plant", "other"])
        code, bye = await page.closed()
        assert (code, bye["code"]) == (4401, 4401)
        assert not [each for each in page.messages if each["type"] == "subscribed"]
        await asyncio.wait_for(left.wait(), 20)
        assert "failed" not in caplog.text

    async def test_checks_come_by_themselves(self, live, plant, settings):
        assert conf.value("LIVE_CHECK_SECONDS") <= 3
        settings.TELEMETRY_LIVE_CHECK_SECONDS = 0.1
        audience, checked = Audience(), asyncio.Event()

        async def check():
            checked.set()

        audience.check = check
        audience.start()
        await asyncio.wait_for(checked.wait(), 5)
        await audience.stop()

    async def test_check_costs_the_same_for_many_as_for_one(self, live, plant):
        def sign_in_many():
            made = [make_person(f"p{n}", plant.group) for n in range(12)]
            return [cookie.partition("=")[2] for _, cookie in made]

        keys = await do(sign_in_many)

        def count(asked):
            with CaptureQueriesContext(connection) as queries:
                people = find_people(asked)
            assert len(people) == len(asked)
            return len(queries)

        assert await do(count, keys) == await do(count, keys[:1]) <= 5
