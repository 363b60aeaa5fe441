from __future__ import annotations

import pytest
from django.db import OperationalError

from telemetry.devices import presence as presence_module
from telemetry.devices.models import Device, DevicePresence
from telemetry.devices.presence import ABNORMAL, UNSEEN, Presence
from telemetry.devices.times import us_of
from telemetry.threads import on_database_thread

SECOND = 1_000_000
NOW = 1_795_341_600 * SECOND


@pytest.fixture
def presence():
    return Presence()


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
        await Presence(watcher).load()
        later = Presence(watcher)
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
        later = Presence()
        await later.load()
        assert later.get(boiler.id) == presence.get(boiler.id)

    async def test_who_was_online_in_a_dead_process_is_offline(self, presence, boiler):
        presence.connect(boiler.id, "", NOW)
        await presence.flush()
        later = Presence()
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
        later = Presence()
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
        real = presence_module._write

        def write(lines):
            sizes.append(len(lines))
            real(lines)

        monkeypatch.setattr(presence_module, "_write", write)
        presence.heard([device.id for device in devices], NOW)
        await presence.flush()
        await presence.flush()
        assert sizes == [500, 500, 200]
        assert await on_database_thread(DevicePresence.objects.count) == 1_200

    async def test_what_was_not_written_is_written_later(
        self, presence, boiler, monkeypatch
    ):
        def away(lines):
            raise OperationalError("the database is away")

        presence.heard([boiler.id], NOW)
        with monkeypatch.context() as patch:
            patch.setattr(presence_module, "_write", away)
            with pytest.raises(OperationalError):
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
