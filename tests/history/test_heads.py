"""telemetry.history.heads: arrays that do what a plain dictionary would."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.heads import Head, HeadRow, Heads, heads_of
from telemetry.history.models import SeriesHead
from telemetry.history.tick import NO_READINGS, Tick

from .rows import NOW_US, columns_of

HOUR_US = 3_600_000_000
TEXT_SERIES = (5_000, 5_001)

# Few series and times, so that they meet; a device an hour ahead; ids that grow.
SERIES = st.sampled_from([1, 2, 3, 1_023, 1_024, 4_999])
TIME = st.integers(0, 30) | st.sampled_from([HOUR_US, HOUR_US + 1])
VALUE = st.floats(-10, 10)
# Arrivals mostly go on; a process that starts with a wrong clock steps back.
ARRIVAL = st.integers(0, 40)


@dataclass
class Commit:
    arrival_us: int
    readings: list[tuple[int, int, float]]
    texts: list[tuple[int, int, str]] = field(default_factory=list)


COMMITS = st.lists(
    st.builds(
        Commit,
        ARRIVAL,
        st.lists(st.tuples(SERIES, TIME, VALUE), max_size=12),
        st.lists(
            st.tuples(st.sampled_from(TEXT_SERIES), TIME, st.sampled_from("abc")),
            max_size=4,
        ),
    ),
    max_size=12,
)


class Model:
    """What Heads promises, one reading at a time."""

    def __init__(self) -> None:
        self.heads: dict[int, tuple[int, Head]] = {}

    def advance(self, commit: Commit) -> tuple[dict[int, tuple], set[tuple], list]:
        """(series → (time, last, min, max, count), late ranges, texts) of the tick."""
        rows: dict[int, tuple] = {}
        late: set[tuple] = set()
        for series in {reading[0] for reading in commit.readings}:
            readings = sorted(
                (r for r in commit.readings if r[0] == series), key=lambda r: r[1]
            )
            before = self.heads[series][0] if series in self.heads else None
            newer = [r for r in readings if self._is_newer(r[1], before, commit)]
            older = [r[1] for r in readings if not self._is_newer(r[1], before, commit)]
            if older:
                late.add((series, older[0], older[-1]))
            if newer:
                values = [r[2] for r in newer]
                time_us, last = newer[-1][1:]
                rows[series] = (time_us, last, min(values), max(values), len(values))
                self._move(series, time_us, last, commit)
        texts: dict[int, tuple[int, int, str]] = {}
        old_texts: dict[int, list[int]] = {}
        for series, time_us, text in commit.texts:
            before = self.heads[series][0] if series in self.heads else None
            if self._is_newer(time_us, before, commit):
                self._move(series, time_us, text, commit)
                texts[series] = series, time_us, text
            else:
                old_texts.setdefault(series, []).append(time_us)
        late |= {(series, min(old), max(old)) for series, old in old_texts.items()}
        return rows, late, sorted(texts.values())

    def _is_newer(self, time_us: int, before: int | None, commit: Commit) -> bool:
        return before is None or min(time_us, commit.arrival_us) >= before

    def _move(self, series: int, time_us: int, value: float | str, commit: Commit):
        head = Head(time_us, commit.arrival_us, value)
        self.heads[series] = (min(time_us, commit.arrival_us), head)


def advance(heads: Heads, commit: Commit, number: int = 1) -> Tick:
    return heads.advance(
        columns_of(commit.readings) if commit.readings else NO_READINGS,
        commit.texts,
        writer=7,
        number=number,
        received_us=commit.arrival_us,
    )


@given(COMMITS)
def test_any_commits_leave_the_heads_and_give_the_ticks_of_the_model(commits):
    heads, model = Heads(), Model()
    for number, commit in enumerate(commits, 1):
        tick = advance(heads, commit, number)
        rows, late, texts = model.advance(commit)
        arrays = (tick.times_us, tick.last, tick.minimum, tick.maximum, tick.counts)
        columns = zip(*(array.tolist() for array in arrays), strict=True)
        assert dict(zip(tick.series.tolist(), columns, strict=True)) == rows
        assert tick.series.tolist() == sorted(rows)
        assert set(tick.late) == late
        assert sorted(tick.texts) == texts
        assert (tick.writer, tick.number, tick.received_us) == (
            7,
            number,
            commit.arrival_us,
        )
    asked = [*model.heads, 77, 2**31 - 1]
    assert heads.current(asked) == {
        series: head for series, (_, head) in model.heads.items()
    }
    newest = max((commit.arrival_us for commit in commits), default=0)
    assert heads.newest_received_us == newest


@given(COMMITS)
def test_heads_that_are_saved_and_restored_are_the_same(commits):
    heads, restored = Heads(), Heads()
    for commit in commits:
        advance(heads, commit)
    saved = heads.take_changed()
    restored.restore(saved.rows())
    asked = range(5_002)
    assert restored.current(asked) == heads.current(asked)
    assert not len(heads.take_changed())


def one(series: int, time_us: int, value: float, arrival_us: int) -> Commit:
    return Commit(arrival_us, [(series, time_us, value)])


def test_a_device_an_hour_ahead_freezes_nothing():
    heads = Heads()
    advance(heads, one(1, NOW_US + HOUR_US, 1.0, NOW_US))
    # Its clock has been set right: an hour earlier by its own time, later by ours.
    advance(heads, one(1, NOW_US + 1, 2.0, NOW_US + 1))
    assert heads.current([1]) == {1: Head(NOW_US + 1, NOW_US + 1, 2.0)}


def test_equal_times_are_decided_by_arrival():
    heads = Heads()
    advance(heads, Commit(NOW_US, [(1, NOW_US, 1.0), (1, NOW_US, 2.0)]))
    assert heads.current([1])[1].value == 2.0
    advance(heads, one(1, NOW_US, 3.0, NOW_US))
    assert heads.current([1])[1].value == 3.0


def test_a_late_reading_changes_nothing_but_is_told():
    heads = Heads()
    advance(heads, one(1, NOW_US, 1.0, NOW_US))
    tick = advance(heads, one(1, NOW_US - 5, 2.0, NOW_US + 1))
    assert tick.series.tolist() == []
    assert tick.late == [(1, NOW_US - 5, NOW_US - 5)]
    assert heads.current([1])[1].value == 1.0


class TestSaving:
    def test_only_what_has_changed_is_saved(self):
        heads = Heads()
        advance(heads, Commit(NOW_US, [(1, NOW_US, 1.0), (2, NOW_US, 2.0)]))
        assert [row.series_id for row in heads.take_changed().rows()] == [1, 2]
        advance(heads, one(2, NOW_US + 1, 3.0, NOW_US + 1))
        assert [row.series_id for row in heads.take_changed().rows()] == [2]

    def test_what_could_not_be_written_is_given_again_as_it_is_by_then(self):
        heads = Heads()
        advance(heads, one(1, NOW_US, 1.0, NOW_US))
        rows = heads.take_changed()
        advance(heads, one(1, NOW_US + 1, 2.0, NOW_US + 1))
        heads.change_again(rows)
        (again,) = heads.take_changed().rows()
        assert again.value == 2.0

    @pytest.mark.parametrize("moved_us, value", [(-1, 1.0), (1, 5.0)])
    def test_a_restored_row_never_moves_a_head_back(self, moved_us: int, value: float):
        heads = Heads()
        advance(heads, one(1, NOW_US, 1.0, NOW_US))
        moved = NOW_US + moved_us
        row = SeriesHead(
            series_id=1, time_us=moved, effective_us=moved, received_us=moved, value=5.0
        )
        heads.restore([row])
        assert heads.current([1])[1].value == value

    def test_the_clock_of_another_process_is_no_news_of_this_ones(self):
        heads = Heads()
        advance(heads, one(1, NOW_US, 1.0, NOW_US))
        rows = [
            SeriesHead(
                series_id=series,
                time_us=NOW_US,
                effective_us=NOW_US,
                received_us=NOW_US + ahead_us,
                value=5.0,
            )
            for series, ahead_us in ((2, HOUR_US), (3, 0))
        ]
        heads.restore(rows)
        assert heads.newest_received_us == NOW_US


@pytest.mark.django_db
class TestHeadsOf:
    def test_they_are_the_rows_of_those_that_have_one(self):
        number = HeadRow(1, NOW_US, NOW_US - 1, NOW_US + 1, -0.5, "", None, 1_000)
        text = HeadRow(2, NOW_US, NOW_US, NOW_US, None, 'on, "ok"', NOW_US - 5)
        for row in (number, text, number._replace(series_id=3)):
            SeriesHead.objects.create(**row._asdict())
        assert sorted(heads_of([2, 1, 4, 2**31 - 1])) == [number, text]
        assert heads_of([]) == []

    def test_thousands_are_one_statement(self, django_assert_num_queries):
        rows = [
            SeriesHead(
                series_id=each, time_us=1, effective_us=1, received_us=1, value=each
            )
            for each in range(1, 2_001)
        ]
        SeriesHead.objects.bulk_create(rows)
        with django_assert_num_queries(1):
            found = heads_of(range(1, 40_000))
        assert {row.series_id: row.value for row in found} == {
            each: float(each) for each in range(1, 2_001)
        }
