"""telemetry.history.room: both bounds at the limit and beside it, and back again."""

from __future__ import annotations

import pytest
from django.utils import timezone

from telemetry.history import journal
from telemetry.history.journal import READING_BYTES
from telemetry.history.models import Journal, Writer
from telemetry.history.room import PART_ROWS, Room, Unsealed

from .rows import NOW_US, write

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1_048_576


def row(writer: Writer, number: int, readings: int) -> None:
    write(writer.id, number, *[(1, NOW_US + at, 1.0) for at in range(readings)])


def seal(writer: Writer, to: int) -> None:
    Journal.objects.filter(writer_id=writer.id, number__lte=to).delete()
    Writer.objects.filter(id=writer.id).update(sealed_to=to)


def journal_room(readings: int) -> Room:
    return Room(readings * READING_BYTES, 0, free=lambda: None)


class TestUnsealed:
    def test_counts_all_writers_and_what_came_since(self):
        unsealed = Unsealed()
        assert unsealed.count() == 0
        one, other = journal.open_writer(NOW_US), journal.open_writer(NOW_US)
        row(one, 1, 3)
        row(other, 1, 4)
        assert unsealed.count() == 7
        row(one, 2, 5)
        assert unsealed.count() == 12

    def test_sees_a_writer_that_began_and_ended_between_two_looks(self):
        unsealed = Unsealed()
        journal.open_writer(NOW_US)
        assert unsealed.count() == 0
        brief = journal.open_writer(NOW_US)
        row(brief, 1, 6)
        Writer.objects.filter(id=brief.id).update(ended_at=timezone.now())
        assert unsealed.count() == 6
        seal(brief, 1)
        assert unsealed.count() == 0

    def test_sees_what_an_idle_writer_wrote_before_it_ended(self):
        unsealed = Unsealed()
        idle = journal.open_writer(NOW_US)
        assert unsealed.count() == 0
        row(idle, 1, 5)
        Writer.objects.filter(id=idle.id).update(ended_at=timezone.now())
        assert unsealed.count() == 5
        assert unsealed.count() == 5
        seal(idle, 1)
        assert unsealed.count() == 0

    def test_sees_at_its_first_look_what_ended_writers_have_left(self):
        ended = journal.open_writer(NOW_US)
        row(ended, 1, 2)
        Writer.objects.filter(id=ended.id).update(ended_at=timezone.now())
        journal.open_writer(NOW_US)
        assert Unsealed().count() == 2

    def test_what_is_sealed_goes(self):
        writer = journal.open_writer(NOW_US)
        unsealed = Unsealed()
        rows = 3 * PART_ROWS
        for number in range(1, rows + 1):
            row(writer, number, 1)
        assert unsealed.count() == rows
        seal(writer, 2 * PART_ROWS)
        assert rows - 2 * PART_ROWS <= unsealed.count() <= rows - PART_ROWS
        seal(writer, rows)
        assert unsealed.count() == 0
        assert Unsealed().count() == 0

    def test_asks_as_much_however_long_the_journal_is(self, django_assert_num_queries):
        writer = journal.open_writer(NOW_US)
        unsealed = Unsealed()
        unsealed.count()
        for number in range(1, 100):
            row(writer, number, 1)
        with django_assert_num_queries(2):
            assert unsealed.count() == 99


class TestJournal:
    def test_full_above_the_limit_and_open_again_at_nine_tenths(self):
        writer = journal.open_writer(NOW_US)
        room = journal_room(20)
        row(writer, 1, 20)
        room.measure()
        assert not room.why_full
        assert room.journal_bytes == 20 * READING_BYTES
        row(writer, 2, 1)
        room.measure()
        assert "journal" in str(room.why_full)
        seal(writer, 2)
        row(writer, 3, 19)
        room.measure()
        assert room.why_full is not None
        seal(writer, 3)
        row(writer, 4, 18)
        room.measure()
        assert room.why_full is None

    def test_own_commits_count_before_they_are_measured(self):
        room = journal_room(20)
        room.measure()
        room.add(20)
        assert room.why_full is None
        room.add(1)
        assert room.why_full is not None

    def test_and_once_after_they_are(self):
        writer = journal.open_writer(NOW_US)
        room = journal_room(20)
        row(writer, 1, 15)
        room.add(15)
        room.measure()
        assert room.journal_bytes == 15 * READING_BYTES


class TestDisk:
    @pytest.mark.parametrize(
        ("free", "is_full"),
        [(100 * MIB, False), (100 * MIB - 1, True), (None, False), (0, True)],
    )
    def test_at_the_reserve_and_below(self, free: int | None, is_full: bool):
        room = Room(2**40, 100 * MIB, free=lambda: free)
        room.measure()
        assert (room.why_full is not None) is is_full

    def test_open_again_with_a_tenth_more(self):
        free = [99 * MIB]
        room = Room(2**40, 100 * MIB, free=lambda: free[0])
        room.measure()
        assert room.why_full == "the disk has 99 MiB free, and 100 MiB are kept free"
        free[0] = 110 * MIB - 1
        room.measure()
        assert room.why_full is not None
        free[0] = 110 * MIB + 1
        room.measure()
        assert room.why_full is None

    def test_without_a_reserve_nothing_is_looked_at(self):
        room = Room(2**40, 0, free=lambda: 0)
        room.measure()
        assert room.why_full is None
