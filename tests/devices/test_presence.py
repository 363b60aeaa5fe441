from __future__ import annotations

import asyncio

import pytest
from django.db import InterfaceError, OperationalError

from telemetry.devices import presence as presence_module
from telemetry.devices import presence_rows
from telemetry.devices.models import Device, DevicePresence
from telemetry.devices.presence import ABNORMAL, UNSEEN, Presence
from telemetry.devices.sweep import take_offline
from telemetry.devices.times import us_of
from telemetry.threads import on_database_thread

SECOND = 1_000_000
NOW = 1_795_341_600 * SECOND


def alone(*watchers):
    """Of a process that has the database to itself."""
    return Presence(*watchers, is_shared=False)


@pytest.fixture
def presence():
    return alone()


class TestMemory:
    def test_a_device_that_never_came_is_unseen(self, presence):
        assert presence.get(7) is UNSEEN
        assert not UNSEEN.is_online

    def test_comes_and_goes(self, presence):
        presence.connect(7, "10.0.0.7", NOW)
        entry = presence.get(7)
        assert (entry.is_online, entry.changed_us, entry.close_code) == (True, NOW, 0)
        presence.disconnect(7, 4408, NOW + SECOND)
        assert (entry.is_online, entry.changed_us) == (False, NOW + SECOND)
        assert (entry.close_code, entry.last_seen_us) == (4408, NOW)

    def test_a_superseded_socket_that_ends_takes_nobody_offline(self, presence):
        presence.connect(7, "a", NOW)
        presence.connect(7, "b", NOW + SECOND)
        presence.disconnect(7, 4409, NOW + 2 * SECOND)
        entry = presence.get(7)
        assert (entry.is_online, entry.changed_us, entry.address) == (True, NOW, "b")
        presence.disconnect(7, 1000, NOW + 3 * SECOND)
        assert not entry.is_online

    def test_hearing_moves_only_forward_and_makes_nobody_online(self, presence):
        presence.heard([7, 8], NOW)
        presence.heard([7], NOW - SECOND)
        assert presence.get(7).last_seen_us == NOW
        assert not presence.get(8).is_online

    def test_listeners_hear_who_came_went_or_was_first_heard(self, presence):
        heard = []
        presence.listen(lambda ids: heard.append(list(ids)))
        presence.heard([1, 2], NOW)
        presence.heard([1, 2], NOW + 1)
        presence.connect(1, "", NOW)
        presence.connect(1, "", NOW)
        presence.disconnect(1, 1000, NOW)
        presence.disconnect(1, 1000, NOW)
        presence.disconnect(1, 1000, NOW)
        assert heard == [[1, 2], [1], [1]]


class Watching:
    """Who writes down every socket."""

    def __init__(self):
        self.seen = []

    def connected(self, device_id, address, now_us):
        self.seen.append((device_id, address, now_us))

    def disconnected(self, device_id, code, now_us):
        self.seen.append((device_id, code, now_us))


def test_watchers_see_every_socket_come_and_go():
    watchers = Watching(), Watching()
    presence = Presence(*watchers)
    presence.connect(7, "a", NOW)
    presence.connect(7, "b", NOW + 1)
    presence.disconnect(7, 4409, NOW + 2)
    presence.heard([7], NOW + 3)
    presence.disconnect(7, 1000, NOW + 4)
    for watcher in watchers:
        assert watcher.seen == [
            *((7, "a", NOW), (7, "b", NOW + 1)),
            *((7, 4409, NOW + 2), (7, 1000, NOW + 4)),
        ]


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    async def test_watchers_see_what_a_dead_process_left(self, presence, boiler):
        presence.connect(boiler.id, "", NOW)
        presence.heard([boiler.id], NOW + SECOND)
        await presence.flush()
        watcher = Watching()
        await alone(watcher).load()
        later = alone(watcher)
        assert watcher.seen == [(boiler.id, ABNORMAL, NOW + SECOND)]
        presence.disconnect(boiler.id, 1000, NOW + SECOND)
        await presence.flush()
        await later.load()
        assert len(watcher.seen) == 1

    async def test_is_written_and_read_again(self, presence, boiler):
        presence.connect(boiler.id, "10.0.0.7", NOW)
        presence.heard([boiler.id], NOW + 123_456)
        presence.measured(boiler.id, -3.5)
        presence.disconnect(boiler.id, 4409, NOW + SECOND)
        await presence.flush()
        row = await on_database_thread(DevicePresence.objects.get)
        assert (row.is_online, row.close_code, row.skew_ms) == (False, 4409, -3.5)
        assert us_of(row.last_seen_at) == NOW + 123_456
        later = alone()
        await later.load()
        assert later.get(boiler.id) == presence.get(boiler.id)

    async def test_who_was_online_in_a_dead_process_is_offline(self, presence, boiler):
        presence.connect(boiler.id, "", NOW)
        await presence.flush()
        later = alone()
        await later.load()
        entry = later.get(boiler.id)
        assert (entry.is_online, entry.close_code) == (False, ABNORMAL)
        assert entry.changed_us == NOW
        await later.flush()
        assert not (await on_database_thread(DevicePresence.objects.get)).is_online

    async def test_a_device_that_came_while_the_rows_were_read_stays(
        self, presence, boiler
    ):
        presence.connect(boiler.id, "", NOW)
        await presence.flush()
        later = alone()
        later.connect(boiler.id, "new", NOW + SECOND)
        await later.load()
        assert later.get(boiler.id).is_online

    async def test_many_are_written_in_slices_and_only_once(
        self, presence, monkeypatch
    ):
        devices = await on_database_thread(
            Device.objects.bulk_create,
            [Device(slug=f"d{n}", name="x") for n in range(1_200)],
        )
        sizes = []
        real = presence_rows.write_alone

        def write(lines):
            sizes.append(len(lines))
            real(lines)

        monkeypatch.setattr(presence_rows, "write_alone", write)
        presence.heard([device.id for device in devices], NOW)
        await presence.flush()
        await presence.flush()
        assert sizes == [500, 500, 200]
        assert await on_database_thread(DevicePresence.objects.count) == 1_200

    @pytest.mark.parametrize(
        "kind", [OperationalError, InterfaceError, asyncio.CancelledError]
    )
    async def test_what_was_not_written_is_written_later(
        self, presence, boiler, monkeypatch, kind
    ):
        def away(lines):
            raise kind("the database is away, or it is cancelled")

        presence.heard([boiler.id], NOW)
        with monkeypatch.context() as patch:
            patch.setattr(presence_rows, "write_alone", away)
            with pytest.raises(kind):
                await presence.flush()
        await presence.flush()
        assert await on_database_thread(DevicePresence.objects.count) == 1

    async def test_a_device_that_was_removed_keeps_nobody_from_being_written(
        self, presence, boiler
    ):
        presence.heard([boiler.id, 999_999], NOW)
        await presence.flush()
        row = await on_database_thread(DevicePresence.objects.get)
        assert row.device_id == boiler.id


@pytest.mark.django_db(transaction=True)
class TestBetweenProcesses:
    """Two processes that share a database: writers 1 and 2."""

    @pytest.fixture
    async def both(self):
        both = Presence(is_shared=True), Presence(is_shared=True)
        for writer, each in enumerate(both, 1):
            await each.load(writer)
        return both

    async def test_what_is_online_there_is_online_here_and_listeners_hear_once(
        self, both, boiler
    ):
        one, other = both
        heard = []
        other.listen(lambda ids: heard.append(list(ids)))
        one.connect(boiler.id, "10.0.0.7", NOW)
        await one.flush()
        await other.look()
        await other.look()
        entry = other.get(boiler.id)
        assert (entry.is_online, entry.address) == (True, "10.0.0.7")
        one.disconnect(boiler.id, 1000, NOW + SECOND)
        await one.flush()
        await other.look()
        assert (entry.is_online, entry.close_code) == (False, 1000)
        assert heard == [[boiler.id], [boiler.id]]

    async def test_a_start_leaves_the_devices_of_others_online(self, both, boiler):
        one, _ = both
        one.connect(boiler.id, "", NOW)
        await one.flush()
        third = Presence(is_shared=True)
        await third.load(3)
        assert third.get(boiler.id).is_online
        await third.flush()
        row = await on_database_thread(DevicePresence.objects.get)
        assert (row.is_online, row.writer_id) == (True, 1)

    async def test_the_end_of_an_older_socket_takes_nobody_offline(self, both, boiler):
        one, other = both
        one.connect(boiler.id, "", NOW)
        await one.flush()
        await other.look()
        other.connect(boiler.id, "", NOW + SECOND)
        one.moved(boiler.id)
        one.disconnect(boiler.id, 4409, NOW + 2 * SECOND)
        assert one.get(boiler.id).is_online
        for each in (one, other, one):
            await each.flush()
            await each.look()
        for each in both:
            assert each.get(boiler.id).is_online
        row = await on_database_thread(DevicePresence.objects.get)
        assert (row.is_online, row.writer_id) == (True, 2)

    async def test_a_device_that_moved_and_never_came_is_offline(
        self, both, boiler, monkeypatch
    ):
        monkeypatch.setattr(presence_module, "MOVED_SECONDS", 0.0)
        one, _ = both
        one.connect(boiler.id, "", NOW)
        one.moved(boiler.id)
        one.disconnect(boiler.id, 4409, NOW + SECOND)
        assert one.get(boiler.id).is_online
        await one.look()
        assert not one.get(boiler.id).is_online

    async def test_a_newer_socket_elsewhere_is_told_of(self, both, boiler):
        one, other = both
        taken = []
        one.listen_for_takeovers(lambda ids: taken.append(list(ids)))
        one.connect(boiler.id, "", NOW)
        other.connect(boiler.id, "", NOW + SECOND)
        await other.flush()
        await one.look()
        assert taken == [[boiler.id]]
        one.disconnect(boiler.id, 4409, NOW + 2 * SECOND)
        assert one.get(boiler.id).is_online

    async def test_a_process_that_was_taken_for_gone_says_that_it_lives(
        self, both, boiler
    ):
        one, other = both
        one.connect(boiler.id, "", NOW)
        await one.flush()
        assert await on_database_thread(take_offline, [1]) == 1
        await other.look()
        assert not other.get(boiler.id).is_online
        await one.look()
        await one.flush()
        await other.look()
        assert other.get(boiler.id).is_online

    async def test_being_heard_elsewhere_changes_no_state(self, both, boiler):
        one, other = both
        one.connect(boiler.id, "", NOW)
        await one.flush()
        other.heard([boiler.id], NOW + 9 * SECOND)
        await other.flush()
        row = await on_database_thread(DevicePresence.objects.get)
        assert (row.is_online, row.writer_id) == (True, 1)
        assert us_of(row.last_seen_at) == NOW + 9 * SECOND
