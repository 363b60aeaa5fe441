"""telemetry.devices.tallies: counts come to their hour's row, once, and add up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connections

from telemetry.devices import tallies as module
from telemetry.devices.records import DeviceHour
from telemetry.devices.tallies import (
    HOUR_US,
    MOST_LOST,
    Attempt,
    Tallies,
    Tally,
    hour_of,
)
from telemetry.threads import on_database_thread

NOON_US = 1_795_348_800_000_000
NOON = NOON_US // HOUR_US


class Clocks:
    """Both clocks of the hub, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.now_us = NOON_US

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.now_us += int(seconds * 1e6)


@pytest.fixture
def clocks(monkeypatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(module, "now_us", lambda: made.now_us)
    return made


@pytest.fixture
def tallies(clocks) -> Tallies:
    return Tallies(100, lambda: clocks.seconds)


def stored() -> dict[tuple[int, int], Tally]:
    return {
        (row.hour, row.device_id): module._tally(row)
        for row in DeviceHour.objects.order_by("hour", "device_id")
    }


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


def everything() -> Tally:
    return Tally(1, 2, 3, 4, 5, 6.5, {0: 1, 7: 2})


def test_a_hole_counts_up_to_its_bound():
    for numbers, lost in ((1, 1), (MOST_LOST, MOST_LOST), (2**53, MOST_LOST)):
        tally = Tally()
        tally.left_out(numbers)
        assert tally.lost == lost


def test_round_trips_are_counted_by_bucket():
    tally = Tally()
    for seconds in (0.0004, 0.001, 0.0012, 30.0):
        tally.took(seconds)
    assert tally.latency == {0: 2, 1: 1, 47: 1}


def test_what_one_counts_another_takes_over():
    tally = everything()
    tally.add(everything())
    assert tally == Tally(2, 4, 6, 8, 10, 13.0, {0: 2, 7: 4})


def test_an_hour_lasts_until_the_next():
    assert module.seconds_to_hour(NOON_US) == 3_600
    assert module.seconds_to_hour(NOON_US - 1) == 1e-6
    assert (hour_of(NOON_US - 1), hour_of(NOON_US)) == (NOON - 1, NOON)


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    async def test_rows_add_up(self, tallies, clocks):
        for _ in range(2):
            tallies.of(7).add(everything())
            tallies.of(8).readings += 1
            await tallies.flush()
        await tallies.flush()
        assert await on_database_thread(stored) == {
            (NOON, 7): Tally(2, 4, 6, 8, 10, 13.0, {0: 2, 7: 4}),
            (NOON, 8): Tally(readings=2),
        }

    async def test_two_processes_add_to_one_row(self, tallies, clocks):
        other = Tallies(100, lambda: clocks.seconds)
        for each in (tallies, other):
            each.of(7).add(everything())
            await each.flush()
        assert (await on_database_thread(stored))[NOON, 7].readings == 2

    async def test_each_hour_has_its_own(self, tallies, clocks):
        tallies.connected(7, "", clocks.now_us)
        clocks.pass_by(3_599)
        await tallies.flush()
        clocks.pass_by(1)
        await tallies.flush()
        clocks.pass_by(10)
        tallies.of(7).readings += 1
        await tallies.flush()
        assert await on_database_thread(stored) == {
            (NOON, 7): Tally(connects=1, online_seconds=3_600.0),
            (NOON + 1, 7): Tally(readings=1, online_seconds=10.0),
        }

    async def test_a_superseded_socket_ends_no_time_online(self, tallies, clocks):
        tallies.connected(7, "a", clocks.now_us)
        clocks.pass_by(10)
        tallies.connected(7, "b", clocks.now_us)
        tallies.disconnected(7, 4409, clocks.now_us)
        clocks.pass_by(5)
        tallies.disconnected(7, 1000, clocks.now_us)
        clocks.pass_by(100)
        # Of a process before this one.
        tallies.disconnected(7, 1006, clocks.now_us)
        await tallies.flush()
        assert await on_database_thread(stored) == {
            (NOON, 7): Tally(connects=2, online_seconds=15.0)
        }

    async def test_a_clock_that_jumps_makes_no_time(self, tallies, clocks):
        tallies.connected(7, "", clocks.now_us)
        clocks.pass_by(10)
        clocks.now_us += 5 * HOUR_US
        await tallies.flush()
        assert await on_database_thread(stored) == {
            (NOON, 7): Tally(connects=1, online_seconds=10.0)
        }

    async def test_nothing_is_lost_while_the_database_is_away(
        self, tallies, monkeypatch
    ):
        write, is_away = module._write, True

        def fail(part):
            if is_away:
                raise OperationalError("away")
            write(part)

        monkeypatch.setattr(module, "_write", fail)
        for _ in range(3):
            tallies.of(7).add(everything())
            with pytest.raises(OperationalError):
                await tallies.flush()
        is_away = False
        tallies.of(7).add(everything())
        await tallies.flush()
        await tallies.flush()
        assert (await on_database_thread(stored))[NOON, 7].readings == 4

    @pytest.mark.parametrize("fail", [commit_and_fail, fail_in_the_next_commit])
    async def test_it_is_added_once_though_the_answer_was_lost(
        self, tallies, clocks, fail
    ):
        tallies.of(7).add(everything())
        await tallies.flush()
        for readings, so_far in ((1, 1), (10, 11), (100, 111)):
            # One row is there, and one is made by the try.
            tallies.of(7).readings += readings
            tallies.of(8).readings += readings
            await fail()
            with pytest.raises(OperationalError, match="lost"):
                await tallies.flush()
            # Who asks meanwhile hears of everything once.
            hours = await tallies.hours(7, NOON)
            assert hours[NOON].readings == 1 + so_far
        await tallies.flush()
        await tallies.flush()
        expected = everything()
        expected.readings = 112
        assert await on_database_thread(stored) == {
            (NOON, 7): expected,
            (NOON, 8): Tally(readings=111),
        }

    async def test_what_came_to_nothing_is_added_to_what_others_added(
        self, tallies, clocks
    ):
        tallies.of(7).readings += 1
        await fail_in_the_next_commit()
        with pytest.raises(OperationalError, match="lost"):
            await tallies.flush()
        other = Tallies(100, lambda: clocks.seconds)
        other.of(7).readings += 10
        await other.flush()
        await tallies.flush()
        assert (await on_database_thread(stored))[NOON, 7].readings == 11

    async def test_what_comes_during_a_write_is_written_next(
        self, tallies, monkeypatch
    ):
        write, may_write = module._write, threading.Event()

        def wait(part):
            assert may_write.wait(30)
            write(part)

        monkeypatch.setattr(module, "_write", wait)
        tallies.of(7).readings += 1
        writing = asyncio.create_task(tallies.flush())
        await asyncio.sleep(0.05)
        tallies.of(7).readings += 1
        may_write.set()
        await writing
        await tallies.flush()
        assert (await on_database_thread(stored))[NOON, 7].readings == 2

    async def test_a_flush_whose_caller_gives_up_is_not_repeated(
        self, tallies, monkeypatch
    ):
        write, may_write = module._write, threading.Event()

        def wait(part):
            assert may_write.wait(30)
            write(part)

        monkeypatch.setattr(module, "_write", wait)
        tallies.of(7).readings += 1
        writing = asyncio.create_task(tallies.flush())
        await asyncio.sleep(0.05)
        writing.cancel()
        may_write.set()
        await tallies.flush()
        assert (await on_database_thread(stored))[NOON, 7].readings == 1

    async def test_the_oldest_hours_go_beyond_the_bound(
        self, clocks, monkeypatch, caplog
    ):
        tallies = Tallies(3, lambda: clocks.seconds)
        for hour in range(4):
            tallies.of(7).readings = hour + 1
            clocks.pass_by(3_600)
            tallies.turn(clocks.now_us)
            assert ("is lost" in caplog.text) is (hour == 3)
        await tallies.flush()
        found = await on_database_thread(stored)
        assert {hour: tally.readings for (hour, _), tally in found.items()} == {
            NOON + 1: 2,
            NOON + 2: 3,
            NOON + 3: 4,
        }

    async def test_more_devices_than_a_statement_takes(self, tallies, clocks):
        many = Tallies(5_000, lambda: clocks.seconds)
        for _ in range(2):
            for device_id in range(1_201):
                many.of(device_id).readings += 1
            await many.flush()
        found = await on_database_thread(stored)
        assert len(found) == 1_201
        assert {tally.readings for tally in found.values()} == {2}

    async def test_hours_of_one_device_have_what_is_not_written(self, tallies, clocks):
        tallies.connected(7, "", clocks.now_us)
        tallies.of(7).add(everything())
        tallies.of(8).add(everything())
        await tallies.flush()
        clocks.pass_by(5)
        tallies.of(7).readings += 10
        clocks.pass_by(3_600)
        hours = await tallies.hours(7, NOON)
        assert hours[NOON].readings == 11
        assert hours[NOON].online_seconds == 6.5 + 3_605
        assert await tallies.hours(7, NOON + 1) == {}
        # Asking has written nothing, and taken nothing away.
        await tallies.flush()
        assert (await on_database_thread(stored))[NOON, 7] == hours[NOON]

    async def test_asking_for_one_device_counts_for_no_other(self, tallies, clocks):
        for device_id in (7, 8):
            tallies.connected(device_id, "", clocks.now_us)
        clocks.pass_by(5)
        assert await tallies.hours(7, NOON) == {
            NOON: Tally(connects=1, online_seconds=5.0)
        }
        assert tallies.of(8).online_seconds == 0
        assert tallies._unwritten == {}
        clocks.pass_by(5)
        await tallies.flush()
        both = Tally(connects=1, online_seconds=10.0)
        assert await on_database_thread(stored) == {(NOON, 7): both, (NOON, 8): both}

    async def test_who_asks_while_nothing_was_counted_hears_nothing(self, tallies):
        assert await tallies.hours(7, NOON) == {}
        await tallies.flush()
        assert await on_database_thread(stored) == {}

    def test_rows_of_the_same_hours_and_devices_are_kept_apart(self):
        one, other = Tally(readings=1), Tally(readings=10)
        module._write(Attempt({(NOON, 1): one, (NOON + 1, 2): one}))
        module._write(Attempt({(NOON, 2): other, (NOON + 1, 1): other}))
        module._write(Attempt({(NOON, 1): other, (NOON + 1, 2): other}))
        readings = {key: tally.readings for key, tally in stored().items()}
        assert readings == {
            (NOON, 1): 11,
            (NOON, 2): 10,
            (NOON + 1, 1): 10,
            (NOON + 1, 2): 11,
        }

    def test_a_write_that_fails_leaves_nothing(self, monkeypatch):
        with pytest.raises(OperationalError):
            _failing_write(monkeypatch)
        assert stored() == {}


def _failing_write(monkeypatch) -> None:
    def locked(keys):
        if DeviceHour.objects.exists():
            raise OperationalError("away")
        return {}

    monkeypatch.setattr(module, "_locked", locked)
    module._write(Attempt({(NOON, 1): everything()}))
