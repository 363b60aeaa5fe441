"""telemetry.history.watermarks: moved forward only, folded in steps that repeat."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import connection

from telemetry.history import journal, watermarks
from telemetry.history.heads import Heads
from telemetry.history.journal import Mark, SessionKey
from telemetry.history.models import DeviceSession, Journal, SeriesHead, Writer

from .rows import NOW_US, columns_of, write

pytestmark = pytest.mark.django_db(transaction=True)

KEEP = 8
OWN = 10**6  # A writer that the journal knows nothing of.


def open_writer(now_us: int = NOW_US) -> Writer:
    return journal.open_writer(now_us)


def heads_of(*readings: tuple[int, int, float]) -> Heads:
    heads = Heads()
    heads.advance(
        columns_of(readings), (), writer=1, number=1, received_us=NOW_US + 10**6
    )
    return heads


def fold(
    marks: dict[SessionKey, Mark],
    heads: Heads | None = None,
    writer: int = 0,
    number: int = 0,
    now_us: int = NOW_US,
) -> None:
    rows = (heads or Heads()).take_changed()
    for step in watermarks.fold_steps(marks, rows, writer, number, now_us, KEEP):
        step()


def sessions() -> dict[SessionKey, Mark]:
    return {
        (row.device_id, row.session): Mark(row.last_seq, row.offset_us)
        for row in DeviceSession.objects.all()
    }


class TestFold:
    def test_makes_and_moves_rows(self):
        fold({(1, "a"): Mark(3, 5), (2, "b"): Mark(1)})
        fold({(1, "a"): Mark(4, 6)})
        assert sessions() == {(1, "a"): Mark(4, 6), (2, "b"): Mark(1, None)}

    def test_never_moves_a_session_back(self):
        fold({(1, "a"): Mark(9)})
        fold({(1, "a"): Mark(3)})
        assert sessions() == {(1, "a"): Mark(9)}

    def test_never_moves_back_a_session_that_another_process_makes_meanwhile(self):
        others = [
            DeviceSession(
                device_id=1,
                session="a",
                last_seq=9,
                offset_us=7,
                used_at=journal.from_us(NOW_US),
            )
        ]

        def another(execute, sql, params, many, context):
            # It commits after this fold has looked, and before it writes.
            if sql.startswith("INSERT") and others:
                others.pop().save()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(another):
            fold({(1, "a"): Mark(3, 5), (1, "b"): Mark(1)})
        assert not others
        assert sessions() == {(1, "a"): Mark(9, 7), (1, "b"): Mark(1)}

    def test_never_moves_a_head_back(self):
        fold({}, heads_of((1, NOW_US, 1.0), (2, NOW_US, 1.0)))
        fold({}, heads_of((1, NOW_US - 1, 2.0), (2, NOW_US + 1, 2.0)))
        found = SeriesHead.objects.order_by("series_id").values_list("value", flat=True)
        assert list(found) == [1.0, 2.0]

    def test_text_heads_keep_their_text(self):
        heads = Heads()
        heads.advance(
            columns_of([(1, NOW_US, 1.0)]),
            [(2, NOW_US, "on")],
            writer=1,
            number=1,
            received_us=NOW_US,
        )
        fold({}, heads)
        restored = Heads()
        restored.restore(SeriesHead.objects.all())
        assert restored.current([1, 2]) == heads.current([1, 2])

    def test_a_period_that_is_known_is_kept_until_another_is(self):
        def periods() -> list[int | None]:
            heads = SeriesHead.objects.order_by("series_id")
            return list(heads.values_list("period_us", flat=True))

        def come(heads: Heads, *seconds: int) -> None:
            for second in seconds:
                time_us = NOW_US + second * 10**6
                columns = columns_of([(1, time_us, 1.0), (2, time_us, 1.0)])
                heads.advance(columns, (), writer=1, number=1, received_us=time_us)

        heads = Heads()
        come(heads, 0, 10)
        fold({}, heads)
        assert periods() == [None, None]
        come(heads, 20, 30)
        fold({}, heads)
        assert periods() == [10**7, 10**7]
        # Another process knows nothing yet of how often they come.
        other = Heads()
        come(other, 60)
        fold({}, other)
        assert periods() == [10**7, 10**7]
        restored = Heads()
        watermarks.recover(restored, OWN, NOW_US, KEEP)
        assert restored.periods_us(np.array([1, 2])).tolist() == [10**7, 10**7]

    def test_a_device_keeps_its_last_sessions(self):
        for used in range(20):
            fold({(1, f"s{used}"): Mark(used)}, now_us=NOW_US + used)
        fold({(2, "other"): Mark(1)})
        kept = DeviceSession.objects.filter(device_id=1).order_by("-used_at")
        assert [row.session for row in kept] == [
            f"s{used}" for used in range(19, 11, -1)
        ]
        assert (2, "other") in sessions()

    def test_of_many_at_once_the_last_used_stay_whatever_their_names(self):
        marks = {(1, f"session-{n}"): Mark(n) for n in range(13)}
        # Used again, after all the others.
        marks[(1, "session-0")] = marks.pop((1, "session-0"))
        fold(marks)
        kept = {name for _, name in sessions()}
        assert kept == {f"session-{n}" for n in [*range(6, 13), 0]}

    def test_a_session_that_is_used_again_stays(self):
        for used in range(20):
            marks = {(1, f"s{used}"): Mark(1), (1, "kept"): Mark(1 + used)}
            fold(marks, now_us=NOW_US + used)
        assert sessions()[1, "kept"] == Mark(20)
        assert len(sessions()) == KEEP

    def test_says_how_far_the_writer_is_folded_and_that_it_lives(self):
        writer = open_writer()
        fold({}, writer=writer.id, number=7, now_us=NOW_US + 5)
        fold({}, writer=writer.id, number=3, now_us=NOW_US + 6)
        writer.refresh_from_db()
        assert writer.folded_to == 7
        assert journal.to_us(writer.heartbeat_at) == NOW_US + 5

    def test_a_writer_that_was_taken_for_dead_revives_itself(self):
        writer, other = open_writer(), open_writer()
        for each in (writer, other):
            watermarks.end_writer(each.id, NOW_US)
        fold({}, writer=writer.id)
        ended = Writer.objects.exclude(ended_at=None)
        assert [each.id for each in ended] == [other.id]

    @pytest.mark.parametrize("stop", range(6))
    def test_may_stop_after_any_step_and_be_repeated(self, monkeypatch, stop: int):
        monkeypatch.setattr(watermarks, "SLICE_ROWS", 2)
        writer = open_writer()
        marks = {(device, "s"): Mark(device) for device in range(1, 5)}
        rows = heads_of(*[(n, NOW_US, float(n)) for n in range(1, 5)]).take_changed()

        def steps():
            return watermarks.fold_steps(marks, rows, writer.id, 4, NOW_US, KEEP)

        assert len(list(steps())) == 5
        for step in list(steps())[:stop]:
            step()
        for step in steps():
            step()
        assert sessions() == marks
        assert SeriesHead.objects.count() == 4
        writer.refresh_from_db()
        assert writer.folded_to == 4

    def test_many_devices_are_folded_in_few_statements(
        self, django_assert_max_num_queries
    ):
        marks = {(device, "s"): Mark(1) for device in range(1, 401)}
        with django_assert_max_num_queries(12):
            fold(marks)


class TestLastMark:
    def test_of_an_unknown_session_is_none(self):
        assert watermarks.last_mark(1, "a", OWN) is None

    def test_is_in_the_journal_until_it_is_folded(self):
        writer = open_writer()
        write(writer.id, 1, marks={(1, "a"): Mark(3, 7)})
        write(writer.id, 2, marks={(1, "a"): Mark(5, 7), (2, "a"): Mark(9)})
        assert watermarks.last_mark(1, "a", OWN) == Mark(5, 7)
        fold({(1, "a"): Mark(5, 7)}, writer=writer.id, number=2)
        Journal.objects.all().delete()
        assert watermarks.last_mark(1, "a", OWN) == Mark(5, 7)
        assert watermarks.last_mark(1, "b", OWN) is None

    @pytest.mark.parametrize("in_row, in_journal", [(5, 3), (3, 5)])
    def test_is_the_highest_of_all(self, in_row: int, in_journal: int):
        fold({(1, "a"): Mark(in_row)})
        writer = open_writer()
        write(writer.id, 1, marks={(1, "a"): Mark(in_journal)})
        assert watermarks.last_mark(1, "a", OWN) == Mark(5)

    def test_does_not_look_at_the_own_writer_nor_at_ended_ones(self):
        own, ended = open_writer(), open_writer()
        for writer in (own, ended):
            write(writer.id, 1, marks={(1, "a"): Mark(3)})
        watermarks.end_writer(ended.id, NOW_US)
        assert watermarks.last_mark(1, "a", own.id) is None


class TestRecover:
    def recover(self, now_us: int = NOW_US) -> Heads:
        heads = Heads()
        watermarks.recover(heads, OWN, now_us, KEEP)
        return heads

    def test_with_nothing_there(self):
        heads = self.recover()
        assert heads.newest_received_us == 0
        assert not len(heads.take_changed())

    def test_says_when_the_newest_reading_came_also_when_all_are_sealed(self):
        fold({}, heads_of((1, NOW_US, 1.0), (2, NOW_US + 5, 2.0)))
        newest = max(SeriesHead.objects.values_list("received_us", flat=True))
        assert self.recover().newest_received_us == newest > 0

    def test_folds_what_a_dead_writer_left(self):
        writer = open_writer()
        write(writer.id, 1, (1, NOW_US, 1.0), marks={(1, "a"): Mark(1)})
        write(
            writer.id,
            2,
            (1, NOW_US + 1, 2.0),
            texts=[(2, NOW_US, "on")],
            marks={(1, "a"): Mark(2)},
            received_us=NOW_US + 5,
        )
        heads = self.recover()
        assert {n: head.value for n, head in heads.current([1, 2]).items()} == {
            1: 2.0,
            2: "on",
        }
        assert heads.newest_received_us == NOW_US + 5
        assert sessions() == {(1, "a"): Mark(2)}
        assert SeriesHead.objects.count() == 2
        writer.refresh_from_db()
        assert writer.folded_to == 2

    def test_once_folded_a_writer_is_not_replayed(self, monkeypatch):
        writer = open_writer()
        write(writer.id, 1, (1, NOW_US, 1.0))
        self.recover()
        monkeypatch.setattr(Heads, "advance", None)
        assert self.recover().current([1])[1].value == 1.0

    def test_a_dead_writer_is_ended_once_it_has_been_silent(self):
        writer = open_writer()
        write(writer.id, 1, (1, NOW_US, 1.0))
        self.recover()
        self.recover(NOW_US + watermarks.DEAD_US)
        writer.refresh_from_db()
        assert writer.ended_at is None
        self.recover(NOW_US + watermarks.DEAD_US + 1)
        writer.refresh_from_db()
        assert writer.ended_at is not None

    def test_a_writer_that_has_been_silent_is_folded_and_ended_at_once(self):
        writer = open_writer()
        write(writer.id, 1, (1, NOW_US, 1.0), marks={(1, "a"): Mark(1)})
        self.recover(NOW_US + watermarks.DEAD_US + 1)
        writer.refresh_from_db()
        assert (writer.folded_to, sessions()) == (1, {(1, "a"): Mark(1)})
        assert writer.ended_at is not None

    def test_the_heartbeat_of_another_writer_stays_its_own(self):
        writer = open_writer()
        write(writer.id, 1, (1, NOW_US, 1.0))
        self.recover(NOW_US + 5)
        writer.refresh_from_db()
        assert journal.to_us(writer.heartbeat_at) == NOW_US

    def test_a_writer_that_folds_meanwhile_is_left_alone(self, monkeypatch):
        writer = open_writer()
        write(writer.id, 1, (1, NOW_US, 1.0))
        late_us = NOW_US + watermarks.DEAD_US + 1
        replay = watermarks._replay

        def meanwhile(heads, earlier):
            found = replay(heads, earlier)
            write(writer.id, 2, (1, NOW_US, 1.0))
            fold({}, writer=writer.id, number=2, now_us=late_us)
            return found

        monkeypatch.setattr(watermarks, "_replay", meanwhile)
        self.recover(late_us)
        writer.refresh_from_db()
        assert (writer.folded_to, writer.ended_at) == (2, None)

    def test_ended_writers_are_not_looked_at_again(self, monkeypatch):
        for _ in range(3):
            watermarks.end_writer(open_writer().id, NOW_US)
        monkeypatch.setattr(watermarks, "_replay", None)
        self.recover()

    def test_several_writers_leave_the_newest_of_each(self):
        for number, value in enumerate([1.0, 2.0, 3.0], 1):
            writer = open_writer()
            write(
                writer.id,
                1,
                (1, NOW_US + number, value),
                (number + 1, NOW_US, value),
                marks={(1, "a"): Mark(number)},
                received_us=NOW_US + 10 * number,
            )
        heads = self.recover()
        found = {n: head.value for n, head in heads.current(range(9)).items()}
        assert found == {1: 3.0, 2: 1.0, 3: 2.0, 4: 3.0}
        assert sessions() == {(1, "a"): Mark(3)}

    def test_a_wild_id_takes_no_memory(self, caplog):
        writer = open_writer()
        write(writer.id, 1, (2**31 - 1, NOW_US, 1.0))
        write(writer.id, 2, (1, NOW_US, 1.0))
        heads = self.recover()
        assert sorted(heads.current([1, 2**31 - 1])) == [1]
        assert len(heads._times_us) < 10_000
        assert f"{writer.id}/1" in caplog.text

    def test_a_corrupt_row_is_left_out_and_said(self, caplog):
        writer = open_writer()
        for number in (1, 2, 3):
            write(
                writer.id,
                number,
                (number, NOW_US, 1.0),
                marks={(number, "a"): Mark(1)},
            )
        Journal.objects.filter(number=2).update(columns=b"", marks=b"\xc1")
        heads = self.recover()
        assert sorted(heads.current(range(9))) == [1, 3]
        assert sorted(sessions()) == [(1, "a"), (3, "a")]
        assert f"{writer.id}/2" in caplog.text
        writer.refresh_from_db()
        assert writer.folded_to == 3
