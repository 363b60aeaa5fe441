"""telemetry.devices.events: what is noted is written once, in order and bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
from django.db import OperationalError, connections

from telemetry import counters
from telemetry.devices import credentials
from telemetry.devices import events as module
from telemetry.devices.events import (
    LEFT_OUT,
    Events,
    note_edit,
    note_first_uses,
    recent,
)
from telemetry.devices.records import DeviceEvent, EventKind
from telemetry.threads import on_database_thread
from tests.postgresql import as_default, new_database

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOW = 1_795_348_800 * SECOND
MOMENT = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


@pytest.fixture
def events(monkeypatch) -> Events:
    monkeypatch.setattr(module, "now_us", lambda: NOW)
    return Events(per_minute=4, most_held=10)


def rows(device_id: int = 7) -> list[tuple[str, int, str]]:
    found = DeviceEvent.objects.filter(device_id=device_id).order_by("at", "id")
    return list(found.values_list("kind", "code", "text"))


async def written(events: Events, device_id: int = 7) -> list[tuple[str, int, str]]:
    await events.flush()
    return await on_database_thread(rows, device_id)


async def fail_in_the_next_commit(end: Callable[[], None] = lambda: None) -> None:
    """`end` is what comes of the commit whose answer is lost."""
    wrapper = await on_database_thread(lambda: connections["default"])

    def commit() -> None:
        del wrapper.commit
        end()
        raise OperationalError("the answer was lost")

    wrapper.commit = commit


async def commit_and_fail() -> None:
    wrapper = await on_database_thread(lambda: connections["default"])
    await fail_in_the_next_commit(lambda: wrapper.commit())


@pytest.mark.django_db(transaction=True)
class TestWriting:
    async def test_what_happened_is_written_once(self, events):
        events.connected(7, "10.0.0.7", NOW)
        events.disconnected(7, 4408, NOW + SECOND)
        events.firmware(7, "", "1.4.1")
        events.firmware(7, "1.4.1", "1.4.2")
        events.config_changed(7, ["name", "groups"])
        expected = {
            ("connected", 0, "10.0.0.7"),
            ("disconnected", 4408, ""),
            ("firmware", 0, "1.4.1"),
            ("firmware", 0, "1.4.1 → 1.4.2"),
            ("config_changed", 0, "groups, name"),
        }
        assert set(await written(events)) == expected
        assert len(await written(events)) == 5

    async def test_time_is_kept_to_the_microsecond(self, events):
        events.connected(7, "", NOW + 123_456)
        await events.flush()
        row = await on_database_thread(DeviceEvent.objects.get)
        assert row.at == MOMENT + timedelta(microseconds=123_456)

    async def test_a_text_that_no_column_takes_is_cut(self, events):
        events.connected(7, "\0a" * 300, NOW)
        assert await written(events) == [("connected", 0, "a" * 200)]

    async def test_nothing_is_lost_while_the_database_is_away_up_to_the_bound(
        self, events, monkeypatch
    ):
        write = module._write

        def fail(*args):
            raise OperationalError("away")

        monkeypatch.setattr(module, "_write", fail)
        lost = counters.EVENTS_LOST._value.get()
        for device_id in range(11):
            assert counters.EVENTS_LOST._value.get() == lost
            events.connected(device_id, "", NOW)
            with pytest.raises(OperationalError):
                await events.flush()
        assert counters.EVENTS_LOST._value.get() == lost + 1
        monkeypatch.setattr(module, "_write", write)
        await events.flush()
        await events.flush()
        found = await on_database_thread(
            lambda: sorted(DeviceEvent.objects.values_list("device_id", flat=True))
        )
        assert found == list(range(10))

    async def test_a_flush_whose_caller_gives_up_is_not_repeated(
        self, events, monkeypatch
    ):
        write, may_write = module._write, threading.Event()

        def wait(*args):
            assert may_write.wait(30)
            write(*args)

        monkeypatch.setattr(module, "_write", wait)
        events.connected(7, "", NOW)
        writing = asyncio.create_task(events.flush())
        await asyncio.sleep(0.05)
        writing.cancel()
        may_write.set()
        assert len(await written(events)) == 1

    async def test_what_was_stored_though_the_answer_was_lost_is_not_repeated(
        self, events
    ):
        events.connected(7, "a", NOW)
        events.config_changed(7, ["name"])
        await commit_and_fail()
        with pytest.raises(OperationalError, match="lost"):
            await events.flush()
        assert len(await on_database_thread(rows)) == 2
        # At the same moment, but something else.
        events.connected(7, "b", NOW)
        events.disconnected(7, 1000, NOW)
        await commit_and_fail()
        with pytest.raises(OperationalError, match="lost"):
            await events.flush()
        assert sorted(await written(events)) == [
            ("config_changed", 0, "name"),
            ("connected", 0, "a"),
            ("connected", 0, "b"),
            ("disconnected", 1000, ""),
        ]
        # In doubt no more: the same may happen again.
        events.connected(7, "a", NOW)
        assert len(await written(events)) == 5

    async def test_what_came_to_nothing_is_written_beside_what_others_wrote(
        self, events
    ):
        events.connected(7, "a", NOW)
        await fail_in_the_next_commit()
        with pytest.raises(OperationalError, match="lost"):
            await events.flush()
        # SQLite gives it the id that the event would have had.
        await on_database_thread(note_edit, [7], ["name"])
        assert sorted(await written(events)) == [
            ("config_changed", 0, "name"),
            ("connected", 0, "a"),
        ]

    async def test_more_than_a_statement_takes(self, monkeypatch):
        many = Events(4, 2_000)
        for device_id in range(1_101):
            many.connected(device_id, "", NOW)
        await many.flush()
        assert await on_database_thread(DeviceEvent.objects.count) == 1_101


@pytest.mark.django_db(transaction=True)
class TestFlapping:
    async def test_the_limit_is_written_and_the_rest_is_one_row(self, events):
        for at in range(4):
            events.connected(7, str(at), NOW + at)
        assert len(await written(events)) == 4
        events.disconnected(7, 1006, NOW + 4)
        assert (await written(events))[-1] == (LEFT_OUT, 1, "")
        events.connected(7, "x", NOW + 5)
        events.firmware(7, "1", "2")
        found = await written(events)
        assert (len(found), found[-1]) == (5, (LEFT_OUT, 3, ""))
        assert await written(events) == found

    async def test_other_devices_and_edits_are_not_left_out(self, events):
        for at in range(9):
            events.connected(7, "", NOW + at)
        events.connected(8, "", NOW)
        events.config_changed(7, ["name"])
        assert ("config_changed", 0, "name") in await written(events)
        assert await written(events, 8) == [("connected", 0, "")]

    async def test_a_minute_later_it_may_again(self, events):
        for at in range(4):
            events.connected(7, "", NOW + at)
        events.connected(7, "", NOW + MINUTE)
        assert len(await written(events)) == 5

    async def test_who_goes_on_is_given_longer_windows(self, events):
        """One that comes and goes each second, for three hours."""
        events._most_held = 100_000
        for second in range(3 * 3_600):
            events.connected(7, "", NOW + second * SECOND)
            if second % 600 == 0:
                await events.flush()
        found = await written(events)
        counted = sum(code or 1 for _kind, code, _text in found)
        assert counted == 3 * 3_600
        # 1, 2, 4, 8 and from then on 16 minutes.
        assert len(found) == 5 * (4 + 10 + 1)

    async def test_who_fills_each_minute_is_given_longer_windows(self, events):
        """Four a minute, just as many as may be written, for three hours."""
        events._most_held = 100_000
        for quarter in range(3 * 60 * 4):
            events.connected(7, "", NOW + quarter * MINUTE // 4)
        found = await written(events)
        assert sum(code or 1 for _kind, code, _text in found) == 3 * 60 * 4
        # 1, 2, 4, 8 and from then on 16 minutes; nothing is left out of the first.
        assert len(found) == 5 * (4 + 10 + 1) - 1

    async def test_who_does_not_fill_the_minute_is_written_in_full(self, events):
        events._most_held = 100_000
        for third in range(30):
            events.connected(7, "", NOW + third * MINUTE // 3)
        assert len(await written(events)) == 30

    async def test_who_was_calm_for_as_long_begins_anew(self, events):
        for at in range(5):
            events.connected(7, "", NOW + at)
        window = events._windows[7]
        await events.flush()
        events.connected(7, "", NOW + 2 * MINUTE - 1)
        assert events._windows[7].doublings == 1
        events._windows[7] = window
        events.connected(7, "", NOW + 2 * MINUTE)
        assert events._windows[7].doublings == 0

    async def test_a_clock_set_back_begins_anew(self, events):
        for at in range(4):
            events.connected(7, "", NOW + at)
        events.connected(7, "", NOW - 3_600 * SECOND)
        found = await written(events)
        assert len(found) == 5 and LEFT_OUT not in {kind for kind, *_ in found}

    async def test_calm_devices_take_no_memory(self, events, monkeypatch):
        for device_id in range(8):
            events.connected(device_id, "", NOW)
        for at in range(9):
            events.connected(9, "", NOW + at)
        monkeypatch.setattr(module, "now_us", lambda: NOW + 10 * MINUTE)
        await events.flush()
        assert (events._windows, events._overflowed, events._held) == ({}, set(), [])
        assert (await on_database_thread(rows, 9))[-1] == (LEFT_OUT, 5, "")

    async def test_the_count_waits_for_the_database(self, events, monkeypatch):
        write = module._write_left_out

        def fail(*args):
            raise OperationalError("away")

        monkeypatch.setattr(module, "_write_left_out", fail)
        for at in range(6):
            events.connected(7, "", NOW + at)
        with pytest.raises(OperationalError):
            await events.flush()
        monkeypatch.setattr(module, "_write_left_out", write)
        assert (await written(events))[-1] == (LEFT_OUT, 2, "")

    @pytest.mark.parametrize("fail", [commit_and_fail, fail_in_the_next_commit])
    async def test_the_count_is_one_row_though_the_answer_was_lost(self, events, fail):
        for at in range(4):
            events.connected(7, "", NOW + at)
        await events.flush()
        for at in range(4, 6):
            events.connected(7, "", NOW + at)
            await fail()
            with pytest.raises(OperationalError, match="lost"):
                await events.flush()
        events.connected(7, "", NOW + 6)
        assert (await written(events))[4:] == [(LEFT_OUT, 3, "")]
        events.connected(7, "", NOW + 7)
        assert (await written(events))[4:] == [(LEFT_OUT, 4, "")]


@pytest.fixture(scope="module")
def database_url(postgres_url, tmp_path_factory) -> str:
    return new_database(postgres_url, tmp_path_factory.mktemp("events") / "var")


class TestCommitThatHangs:
    """On PostgreSQL, where the server goes on with what was given up."""

    @pytest.fixture(autouse=True)
    def postgresql(
        self, database_url, monkeypatch, django_db_blocker
    ) -> Iterator[None]:
        with django_db_blocker.unblock(), as_default(database_url, monkeypatch):
            DeviceEvent.objects.all().delete()
            yield

    @pytest.mark.parametrize("already", [0, 4])
    async def test_is_not_passed_by_its_repeat(self, events, already):
        for at in range(already):
            events.connected(7, "", NOW + at)
        await events.flush()
        events.connected(7, "", NOW + already)
        wrapper = await on_database_thread(lambda: connections["default"])
        await on_database_thread(wrapper.ensure_connection)
        hanging = wrapper.connection

        def give_up() -> None:
            wrapper.connection = None

        await fail_in_the_next_commit(give_up)
        with pytest.raises(OperationalError, match="lost"):
            await events.flush()
        for _ in range(2):
            with pytest.raises(OperationalError, match="has not ended"):
                await events.flush()
        other = Events(4, 10)
        other.connected(8, "", NOW)
        assert len(await written(other, 8)) == 1
        assert len(await on_database_thread(rows)) == already
        hanging.commit()
        hanging.close()
        assert len(await written(events)) == already + 1


@pytest.mark.django_db(transaction=True)
class TestEdits:
    @pytest.mark.parametrize(
        ("told", "noticed", "seconds", "count"),
        [
            (["name", "notes"], ["name"], 10, 1),
            (["name"], ["name"], -10, 1),
            (["name"], ["name"], 11, 2),
            (["name"], ["groups"], 1, 2),
            (["name"], ["name", "groups"], 1, 2),
        ],
    )
    async def test_an_edit_that_was_told_is_not_told_again(
        self, events, monkeypatch, told, noticed, seconds, count
    ):
        monkeypatch.setattr("django.utils.timezone.now", lambda: MOMENT)
        await on_database_thread(note_edit, [7, 8], told)
        monkeypatch.setattr(module, "now_us", lambda: NOW + seconds * SECOND)
        events.config_changed(7, noticed)
        assert len(await written(events)) == count
        assert len(await written(events, 8)) == 1

    async def test_two_processes_notice_one_edit(self, events):
        other = Events(4, 10)
        for each in (events, other):
            each.config_changed(7, ["name"])
            await each.flush()
        assert len(await written(events)) == 1


@pytest.mark.django_db
class TestFirstUse:
    def test_a_key_is_told_of_once(self, boiler, key):
        first, _ = credentials.issue(boiler)
        second, _ = credentials.issue(boiler)
        note_first_uses([first.pk], MOMENT)
        type(first).objects.filter(pk=first.pk).update(last_used_at=MOMENT)
        note_first_uses([first.pk, second.pk], MOMENT)
        assert rows(boiler.pk) == [
            ("key_used", 0, f"hub_{first.prefix}_…"),
            ("key_used", 0, f"hub_{second.prefix}_…"),
        ]


@pytest.mark.django_db
class TestRecent:
    def test_newest_first_page_by_page_also_at_one_moment(self):
        for at in range(10):
            DeviceEvent.objects.create(
                device_id=7, at=MOMENT + timedelta(seconds=at // 4), code=at
            )
        DeviceEvent.objects.create(device_id=8, at=MOMENT)
        codes, before = [], None
        while page := recent(7, before, 3):
            assert len(page) <= 3
            codes += [event.code for event in page]
            before = page[-1].pk
        assert codes == list(range(9, -1, -1))

    def test_what_was_written_later_but_happened_sooner_has_its_place(self):
        for code, seconds in ((1, 5), (2, 1), (3, 3)):
            at = MOMENT + timedelta(seconds=seconds)
            DeviceEvent.objects.create(device_id=7, at=at, code=code)
        assert [event.code for event in recent(7)] == [1, 3, 2]
        newest = recent(7, limit=1)[0]
        assert [event.code for event in recent(7, newest.pk)] == [3, 2]

    def test_nothing_is_older_than_what_is_not_there_or_another_s(self):
        row = DeviceEvent.objects.create(device_id=8, at=MOMENT)
        DeviceEvent.objects.create(device_id=7, at=MOMENT - timedelta(days=1))
        assert recent(7, row.pk) == recent(7, 10**15) == []

    def test_a_page_is_a_hundred(self):
        DeviceEvent.objects.bulk_create(
            DeviceEvent(device_id=7, at=MOMENT, kind=EventKind.LATE) for _ in range(101)
        )
        assert len(recent(7)) == 100
