from __future__ import annotations

import asyncio
import logging
import threading
import time
from datetime import timedelta
from typing import cast

import pytest
from django.db import OperationalError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from telemetry.devices import credentials, edits, entry_rows, registry
from telemetry.devices.edits import Interest
from telemetry.devices.entries import Change, SeriesWanted
from telemetry.devices.events import Events
from telemetry.devices.models import (
    Credential,
    Device,
    DeviceGroup,
    GroupAccess,
)
from telemetry.devices.records import DeviceEvent
from telemetry.devices.registry import Registry
from telemetry.protocol.errors import Forbidden, Unauthorized
from telemetry.protocol.limits import Limits

from .conftest import do

pytestmark = pytest.mark.django_db(transaction=True)


async def edit_between(hub, monkeypatch, read, load, edit):
    """`edit` after this function of `rows` has read and before a look does.

    The look is asked for while what is read is not held yet.
    """
    real = getattr(entry_rows, read)
    has_read, go_on = threading.Event(), threading.Event()

    def reading(*args):
        found = real(*args)
        has_read.set()
        assert go_on.wait(20)
        edit()
        return found

    monkeypatch.setattr(entry_rows, read, reading)
    loading = asyncio.ensure_future(load)
    assert await asyncio.to_thread(has_read.wait, 20)
    looking = asyncio.ensure_future(hub.refresh())
    await asyncio.sleep(0)
    go_on.set()
    await looking
    return await loading


def names(group):
    return [device.slug for device in group.devices]


class TestAuthenticate:
    async def test_the_key_opens_the_door_of_its_own_device(
        self, hub, make_device, plant
    ):
        keys = {}
        for slug in ("a", "b", "c"):
            device = await do(make_device, slug, plant)
            keys[slug] = (await do(credentials.issue, device))[1]
        for slug, key in keys.items():
            entry = await hub.authenticate(key)
            assert (entry.slug, entry.groups) == (slug, frozenset({"plant"}))
            assert hub.device(entry.id) is entry

    async def test_mixed_parts_of_two_keys_open_nothing(self, hub, make_device):
        device, other = await do(make_device, "a"), await do(make_device, "b")
        key = (await do(credentials.issue, device))[1]
        key_of_other = (await do(credentials.issue, other))[1]
        for mixed in (key[:13] + key_of_other[13:], key_of_other[:13] + key[13:]):
            with pytest.raises(Unauthorized):
                await hub.authenticate(mixed)

    @pytest.mark.parametrize(
        "wrong", ["", "hub_x", "Bearer x", "hub_aBcD1234_" + "x" * 43, "\ud800" * 56]
    )
    async def test_what_is_no_key_of_this_hub_is_unauthorized(self, hub, wrong):
        with pytest.raises(Unauthorized) as caught:
            await hub.authenticate(wrong)
        assert not wrong or wrong not in caught.value.message

    async def test_a_wrong_secret_says_what_an_unknown_prefix_says(self, hub, key):
        answers = set()
        for wrong in (key[:-2] + "~~"[:0] + "ab", "hub_00000000_" + "x" * 43):
            with pytest.raises(Unauthorized) as caught:
                await hub.authenticate(wrong)
            answers.add(caught.value.message)
        assert len(answers) == 1

    async def test_a_revoked_key_is_unauthorized(self, hub, boiler, key):
        await do(lambda: credentials.revoke(boiler.credentials.get()))
        with pytest.raises(Unauthorized, match="revoked"):
            await hub.authenticate(key)

    async def test_an_expired_key_is_unauthorized(self, hub, boiler):
        past = timezone.now() - timedelta(seconds=1)
        _, key = await do(credentials.issue, boiler, expires_at=past)
        with pytest.raises(Unauthorized, match="expired"):
            await hub.authenticate(key)

    @pytest.mark.parametrize("end", ["disable", "delete"])
    async def test_a_device_that_is_gone_is_forbidden(self, hub, boiler, key, end):
        if end == "delete":
            await do(boiler.delete)
        else:
            await do(Device.objects.update, is_enabled=False)
        with pytest.raises(Forbidden):
            await hub.authenticate(key)

    async def test_a_second_time_asks_no_database(self, hub, key, monkeypatch):
        await hub.authenticate(key)
        with monkeypatch.context() as patch:
            patch.setattr(registry, "on_database_thread", None)
            await hub.authenticate(key)

    async def test_a_storm_of_devices_takes_a_few_queries(self, hub, plant):
        def create():
            devices = Device.objects.bulk_create(
                [Device(slug=f"d{n}", name="x") for n in range(300)]
            )
            through = Device.groups.through
            through.objects.bulk_create(
                [through(device=device, devicegroup=plant) for device in devices]
            )
            return [credentials.issue(device)[1] for device in devices]

        keys = await do(create)
        counts = []
        real = entry_rows.read_logins

        def counting(*args):
            with CaptureQueriesContext(connection) as queries:
                found = real(*args)
            counts.append(len(queries))
            return found

        entry_rows.read_logins = counting
        try:
            entries = await asyncio.gather(*map(hub.authenticate, keys))
        finally:
            entry_rows.read_logins = real
        assert {entry.slug for entry in entries} == {f"d{n}" for n in range(300)}
        assert sum(counts) <= 8

    async def test_both_keys_of_a_rotation_work_until_the_old_one_is_revoked(
        self, hub, boiler, key
    ):
        old = await do(boiler.credentials.get)
        new = (await do(credentials.issue, boiler))[1]
        assert await hub.authenticate(key) is await hub.authenticate(new)
        await do(credentials.revoke, old)
        await hub.refresh()
        assert (await hub.authenticate(new)).slug == "boiler-7"
        with pytest.raises(Unauthorized):
            await hub.authenticate(key)

    async def test_the_last_use_is_written_and_is_no_edit(self, hub, key):
        await hub.refresh()
        await hub.authenticate(key)
        before = await do(Credential.objects.get)
        assert before.last_used_at is None
        await hub.refresh()
        after = await do(Credential.objects.get)
        assert after.last_used_at is not None
        assert after.changed_at == before.changed_at
        # Within a minute it is not written again.
        await hub.authenticate(key)
        await hub.refresh()
        assert (await do(Credential.objects.get)).last_used_at == after.last_used_at


class TestIsValid:
    async def test_follows_what_people_edit(self, hub, boiler, key):
        await hub.authenticate(key)
        prefix = credentials.prefix_of(key)
        assert hub.is_valid(boiler.id, prefix) is None
        assert hub.is_valid(boiler.id, "other678") == "unauthorized"
        assert hub.is_valid(boiler.id + 1, prefix) == "forbidden"
        await do(Device.objects.update, is_enabled=False)
        await hub.refresh()
        assert hub.is_valid(boiler.id, prefix) == "forbidden"
        await do(Device.objects.update, is_enabled=True)
        await do(lambda: credentials.revoke(Credential.objects.get()))
        change = await hub.refresh()
        assert change.credentials == {boiler.id}
        assert hub.is_valid(boiler.id, prefix) == "unauthorized"
        await do(boiler.delete)
        await hub.refresh()
        assert hub.is_valid(boiler.id, prefix) == "forbidden"

    async def test_a_key_that_ends_is_told_once(self, hub, boiler):
        soon = timezone.now() + timedelta(milliseconds=300)
        _, key = await do(credentials.issue, boiler, expires_at=soon)
        await hub.authenticate(key)
        heard = [(await hub.refresh()).credentials]
        while timezone.now() < soon:
            await asyncio.sleep(0.05)
        heard += [(await hub.refresh()).credentials for _ in range(2)]
        assert heard == [set(), {boiler.id}, set()]
        prefix = credentials.prefix_of(key)
        assert hub.is_valid(boiler.id, prefix) == "unauthorized"


class TestRefresh:
    async def test_listeners_hear_of_an_edit_once(self, hub, boiler, key):
        heard: list[Change] = []
        hub.listen(heard.append)
        device = await hub.authenticate(key)
        await hub.refresh()
        await do(Device.objects.update, name="Kettle", is_paused=True)
        await hub.refresh()
        await hub.refresh()
        assert heard[-1] == Change(frozenset({boiler.id}), frozenset({"plant"}))
        assert len([c for c in heard if c.devices]) == 1
        assert (device.name, device.is_paused) == ("Kettle", True)

    async def test_an_edit_of_what_sockets_do_not_use_is_no_change(
        self, hub, boiler, key
    ):
        await hub.authenticate(key)
        await hub.refresh()
        await do(Device.objects.update, notes="in the cellar")
        assert not await hub.refresh()

    async def test_a_listener_that_fails_keeps_nobody_from_hearing(
        self, hub, key, boiler, caplog
    ):
        heard: list[Change] = []
        hub.listen(lambda change: 1 / 0)
        hub.listen(heard.append)
        await hub.authenticate(key)
        await do(Device.objects.update, name="Kettle")
        await hub.refresh()
        assert heard
        assert "listener failed" in caplog.text

    @pytest.mark.parametrize(
        ("read", "load"),
        [
            ("read_logins", lambda hub, key: hub.authenticate(key)),
            ("read_devices_by_slug", lambda hub, key: hub.device_by_slug("boiler-7")),
            ("read_group", lambda hub, key: hub.group("plant")),
        ],
    )
    async def test_an_edit_between_a_first_read_and_a_look_is_noticed(
        self, hub, boiler, key, monkeypatch, read, load
    ):
        await hub.refresh()
        await edit_between(
            hub,
            monkeypatch,
            read,
            load(hub, key),
            lambda: Device.objects.update(is_enabled=False),
        )
        await hub.refresh()
        assert not hub.device(boiler.id).is_enabled

    async def test_a_transaction_that_commits_late_is_noticed(self, hub, boiler, key):
        await hub.authenticate(key)
        await do(DeviceGroup.objects.update)
        await hub.refresh()
        stamp = timezone.now() - timedelta(seconds=4)
        await do(Device.objects.update, name="Late", changed_at=stamp)
        await hub.refresh()
        assert hub.device(boiler.id).name == "Late"

    async def test_a_clock_that_was_set_back_hides_no_edit(self, hub, boiler, key):
        await hub.authenticate(key)
        await do(DeviceGroup.objects.update, changed_at=timezone.now() + timedelta(2))
        await hub.refresh()
        await do(Device.objects.update, name="Kettle")
        await hub.refresh()
        assert hub.device(boiler.id).name == "Kettle"

    async def test_a_deleted_device_leaves_and_its_slug_may_be_anothers(
        self, hub, boiler, key, make_device, plant
    ):
        await hub.authenticate(key)
        group = await hub.group("plant")
        await do(boiler.delete)
        heir = await do(make_device, "boiler-7", plant)
        change = await hub.refresh()
        assert change.devices >= {boiler.id}
        assert hub.device(boiler.id) is None
        assert (await hub.device_by_slug("boiler-7")).id == heir.id
        assert [device.id for device in group.devices] == [heir.id]

    async def test_removed_rights_are_told_by_the_group(self, hub, people, plant):
        await hub.refresh()
        for take in (
            lambda: GroupAccess.objects.get(user=people.bob).delete(),
            lambda: GroupAccess.objects.filter(user=people.alice).delete(),
            lambda: GroupAccess.objects.create(group=plant, user=people.bob),
            lambda: GroupAccess.objects.update(role="operator"),
        ):
            await do(take)
            assert (await hub.refresh()).groups == {"plant"}
            assert not await hub.refresh()

    async def test_a_quiet_look_takes_six_queries_however_many_devices(
        self, hub, plant
    ):
        def create(count):
            devices = Device.objects.bulk_create(
                [Device(slug=f"d{count}-{n}", name="x") for n in range(count)]
            )
            through = Device.groups.through
            through.objects.bulk_create(
                [through(device=device, devicegroup=plant) for device in devices]
            )

        def quiet(mark, interest):
            with CaptureQueriesContext(connection) as queries:
                found = edits.look(mark, mark.since(timezone.now(), 0), interest)
            assert not found.has_news
            return len(queries)

        for count in (1, 700):
            await do(create, count)
            await hub.group("plant")
            await hub.refresh()
            assert await do(quiet, hub._mark, hub._cache.interest()) == 6

    async def test_what_settled_is_not_read_again(self, hub, boiler, key):
        await hub.authenticate(key)
        await hub.refresh()
        mark = hub._mark
        since = mark.since(timezone.now(), edits.SETTLED_SECONDS + 1)
        empty = Interest(frozenset(), {}, {})
        found = await do(edits.look, mark, since, empty)
        assert not found.mark.seen
        assert found.mark.newest == mark.newest

    async def test_a_database_that_is_away_is_logged_once_and_asked_again(
        self, hub, boiler, key, settings, monkeypatch, caplog
    ):
        settings.TELEMETRY_RELOAD_SECONDS = 0.05
        caplog.set_level(logging.INFO)
        await hub.authenticate(key)
        real, tries = edits.look, []

        def away(*args):
            tries.append(args)
            raise OperationalError("the database is away")

        monkeypatch.setattr(edits, "look", away)
        await hub.start()
        while len(tries) < 4:
            await asyncio.sleep(0.01)
        assert (await hub.authenticate(key)).slug == "boiler-7"
        monkeypatch.setattr(edits, "look", real)
        await do(Device.objects.update, name="Kettle")
        while "read again" not in caplog.text:
            await asyncio.sleep(0.01)
        assert hub.device(boiler.id).name == "Kettle"
        await hub.stop()
        own = [r.message for r in caplog.records if r.name == registry.__name__]
        assert [text[:31] for text in own] == [
            "Edits of devices cannot be read",
            "Edits of devices are read again",
        ]


class TestGroup:
    async def test_members_come_and_go(self, hub, boiler, plant, make_device):
        group = await hub.group("plant")
        assert (group.name, names(group)) == ("Plant A", ["boiler-7"])
        await do(make_device, "fan-1", plant)
        assert (await hub.refresh()).groups >= {"plant"}
        assert names(group) == ["boiler-7", "fan-1"]

        def leave():
            boiler.groups.clear()
            boiler.save()

        await do(leave)
        assert (await hub.refresh()).groups == {"plant"}
        assert names(group) == ["fan-1"]
        assert hub.device(boiler.id).groups == frozenset()

    async def test_a_device_that_joins_between_the_read_and_a_look_is_there(
        self, hub, boiler, plant, make_device, monkeypatch
    ):
        await hub.refresh()
        group = await edit_between(
            hub,
            monkeypatch,
            "read_group",
            hub.group("plant"),
            lambda: make_device("fan-1", plant),
        )
        await hub.refresh()
        assert names(group) == ["boiler-7", "fan-1"]

    async def test_an_edit_of_the_members_from_the_groups_side_is_noticed(
        self, hub, boiler, plant, make_device
    ):
        fan = await do(make_device, "fan-1")
        group = await hub.group("plant")

        def edit():
            plant.devices.set([fan])
            plant.save()

        await do(edit)
        await hub.refresh()
        assert names(group) == ["fan-1"]

    async def test_a_new_name_and_slug_reach_group_and_members(
        self, hub, boiler, plant, key
    ):
        device, group = await hub.authenticate(key), await hub.group("plant")
        await hub.refresh()
        await do(DeviceGroup.objects.update, slug="works", name="Works")
        change = await hub.refresh()
        assert change.groups == {"plant", "works"}
        assert (group.slug, group.name, names(group)) == (
            "works",
            "Works",
            ["boiler-7"],
        )
        assert device.groups == {"works"}
        assert await hub.group("plant") is None
        assert await hub.group("works") is group

    @pytest.mark.parametrize("by", ["row", "queryset"])
    async def test_a_deleted_group_is_gone(self, hub, boiler, plant, key, by):
        device, group = await hub.authenticate(key), await hub.group("plant")
        await hub.refresh()
        await do(plant.delete if by == "row" else DeviceGroup.objects.all().delete)
        change = await hub.refresh()
        assert change.groups == {"plant"}
        assert (group.devices, device.groups) == ([], frozenset())
        assert await hub.group("plant") is None

    async def test_what_is_not_there_is_none(self, hub, boiler):
        for slug in ("nobody", "", "PLANT", "x\x00", "../plant"):
            assert await hub.group(slug) is None
            assert await hub.device_by_slug(slug) is None

    async def test_many_are_looked_up_at_once_and_what_is_not_there_once_a_look(
        self, hub, boiler, plant, make_device, monkeypatch
    ):
        asked: list[set[str]] = []
        read = entry_rows.read_devices_by_slug

        def counted(slugs):
            asked.append(set(slugs))
            return read(slugs)

        monkeypatch.setattr(entry_rows, "read_devices_by_slug", counted)
        await hub.look_up(["boiler-7", "nobody", "none", "Not a slug"])
        assert asked == [{"boiler-7", "nobody", "none"}]
        for slug in ("nobody", "none", "boiler-7"):
            await hub.device_by_slug(slug)
        assert len(asked) == 1
        await do(make_device, "nobody", plant)
        await hub.refresh()
        assert (await hub.device_by_slug("nobody")).slug == "nobody"
        assert await hub.device_by_slug("none") is None
        assert asked[1:] == [{"nobody"}, {"none"}]

    @pytest.mark.parametrize(("most", "is_kept"), [(2, False), (3, True)])
    async def test_what_is_not_there_is_remembered_up_to_a_limit(
        self, hub, monkeypatch, most, is_kept
    ):
        monkeypatch.setattr(registry, "MOST_ABSENT", most)
        await hub.look_up(["a", "b"])
        await hub.look_up(["c"])
        assert ("a" in hub._absent) is is_kept
        assert "c" in hub._absent

    async def test_a_device_is_one_object_however_it_is_found(
        self, hub, boiler, plant, key
    ):
        group = await hub.group("plant")
        entry = await hub.authenticate(key)
        assert group.devices[0] is entry is await hub.device_by_slug("boiler-7")


async def test_the_firmware_of_a_hello_is_kept_and_is_no_edit(hub, boiler, key):
    device = await hub.authenticate(key)
    await hub.refresh()
    await hub.report_firmware(device, "1.4.2\x00" + "x" * 99)
    row = await do(Device.objects.get)
    assert row.firmware == device.firmware == ("1.4.2" + "x" * 99)[:64]
    assert row.changed_at == boiler.changed_at or not await hub.refresh()


class Noted:
    """What was told of devices."""

    def __init__(self):
        self.told = []

    def firmware(self, device_id, before, after):
        self.told.append((device_id, "firmware", before, after))

    def config_changed(self, device_id, fields):
        self.told.append((device_id, "config", *sorted(fields)))


class TestNoted:
    @pytest.fixture
    async def noted(self):
        made = Registry(Limits(), cast(Events, Noted()))
        yield made
        await made.stop()

    async def test_edits_are_told_with_their_fields_once(self, noted, boiler, key):
        await noted.authenticate(key)
        await noted.refresh()
        assert noted._noted.told == []
        await do(Device.objects.update, name="B", expected_period_seconds=5.0)
        await noted.refresh()
        await noted.refresh()
        edit = (boiler.pk, "config", "expected_period_seconds", "name")
        assert noted._noted.told == [edit]

    async def test_what_nobody_holds_and_what_a_device_says_is_no_edit(
        self, noted, boiler, key
    ):
        await do(Device.objects.update, name="B")
        await noted.refresh()
        device = await noted.authenticate(key)
        await noted.report_firmware(device, "1.4.1")
        await noted.report_firmware(device, "1.4.1")
        await noted.report_firmware(device, "1.4.2")
        await noted.ensure_series(device, [SeriesWanted("temp", "number")])
        await noted.refresh()
        assert noted._noted.told == [
            (boiler.pk, "firmware", "", "1.4.1"),
            (boiler.pk, "firmware", "1.4.1", "1.4.2"),
        ]

    async def test_series_that_another_process_made_are_no_edit(
        self, noted, hub, boiler, key
    ):
        await noted.authenticate(key)
        await noted.refresh()
        elsewhere = await hub.authenticate(key)
        await hub.ensure_series(elsewhere, [SeriesWanted("temp", "number")])
        assert await noted.refresh()
        assert noted._noted.told == []

    async def test_the_first_use_of_a_key_is_written_once(self, noted, boiler, key):
        for _ in range(2):
            await noted.authenticate(key)
            await noted._write_used()
            noted._cache.credentials[key[4:12]].used_us = 0
        rows = await do(lambda: list(DeviceEvent.objects.all()))
        assert [(row.device_id, row.kind, row.text) for row in rows] == [
            (boiler.pk, "key_used", f"{key[:12]}_…")
        ]


async def test_an_edit_reaches_the_entry_by_itself(hub, boiler, key, settings):
    settings.TELEMETRY_RELOAD_SECONDS = 0.05
    device = await hub.authenticate(key)
    await hub.start()
    await do(Device.objects.update, is_enabled=False)
    until = time.monotonic() + 5
    while device.is_enabled:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_an_update_that_keeps_changed_at_is_no_edit(hub, boiler, key):
    device = await hub.authenticate(key)
    await hub.refresh()
    await do(Device.objects.update, name="Quiet", changed_at=F("changed_at"))
    await hub.refresh()
    assert device.name != "Quiet"
