"""telemetry.history.tail: with the journal it gives back exactly what was stored."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from telemetry.history import tail as tails
from telemetry.history.journal import Row
from telemetry.history.models import Journal
from telemetry.history.queries.query import read_sync
from telemetry.history.tail import Chunk, Tail
from telemetry.history.tick import sort_columns

from .rows import NOW_US, bits, columns_of, gathered, write

pytestmark = pytest.mark.django_db(transaction=True)

SERIES = (1, 2, 3, 4)
VALUES = (0.0, -0.0, 1.0, 2.5, 5e-324)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and pages of a few readings, so that little makes many of them."""
    monkeypatch.setattr(tails, "CHUNK_READINGS", 40)
    monkeypatch.setattr(tails, "FAN_IN", 3)
    monkeypatch.setattr(tails, "PAGE_ROWS", 4)


class Model:
    """All readings by writer and order of arrival; the first of repeats counts."""

    def __init__(self) -> None:
        self.of_writers: dict[int, list[tuple[int, int, float]]] = {}

    def commit(self, writer: int, readings: list[tuple[int, int, float]]) -> None:
        self.of_writers.setdefault(writer, []).extend(readings)

    def read(self, series: int, from_us: int, to_us: int) -> list[tuple[int, int]]:
        found = [
            (time_us, bits([value])[0])
            for writer in sorted(self.of_writers)
            for each, time_us, value in self.of_writers[writer]
            if each == series and from_us <= time_us < to_us
        ]
        return sorted(dict.fromkeys(found), key=lambda reading: reading[0])


def check_reads(model: Model, tail: Tail | None, rng: random.Random) -> None:
    from_us = NOW_US + rng.randint(-60, 30)
    to_us = from_us + rng.choice([0, 1, 10, 200])
    asked = rng.sample([*SERIES, 99], rng.randint(1, 5))
    found = read_sync(asked, from_us, to_us, tail)
    assert sorted(found) == sorted(asked)
    for series, (times_us, values) in found.items():
        read = list(zip(times_us.tolist(), bits(values), strict=True))
        assert read == model.read(series, from_us, to_us)


def check_parts(tail: Tail) -> None:
    """Each writer's chunks follow each other without a hole within its span."""
    chunks, spans = tail.view()
    assert len(tail) == sum(len(chunk.columns) for chunk in chunks)
    assert {chunk.writer for chunk in chunks} <= spans.keys()
    for writer, (low, high) in spans.items():
        for chunk in chunks:
            if chunk.writer == writer:
                assert chunk.first == low + 1
                low = chunk.last
        assert low <= high


def some_readings(rng: random.Random) -> Iterator[tuple[int, int, float]]:
    for _ in range(rng.choice([0, 1, 2, 5, 20])):
        yield (
            rng.choice(SERIES),
            NOW_US + rng.randint(-40, 40),
            rng.choice(VALUES),
        )


class History:
    """Processes that write, and the tail of the last one: others may live on."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.model = Model()
        self.writer = 0
        self.numbers: dict[int, int] = {}
        self.most_readings = rng.choice([10, 60, 200, 10_000])
        self.restart()

    def restart(self) -> None:
        # By two: the one between starts later, as another process.
        self.writer += 2
        self.tail = Tail(self.most_readings)
        self.loading: Iterator[None] = self._load()

    def _load(self) -> Iterator[None]:
        """`Tail.load`, stopping after each page for others to come in between."""
        put_first = self.tail._put_first
        pages: list[tuple] = []
        # Pages are read beforehand: what has been committed never changes.
        recorder = Tail(10**9)
        recorder._put_first = lambda *page: pages.append(page) or True  # type: ignore[func-returns-value]
        recorder.load(self.writer)
        for page in pages:
            yield
            if not put_first(*page):
                return

    def commit(self) -> None:
        row = self._write(self.writer)
        self.tail.add(row.writer, row.number, row.columns())

    def commit_elsewhere(self) -> None:
        """A process that started before this one, or after it, is still at work."""
        started = self.writer + self.rng.choice([-2, -1, 1])
        if started > 0:
            self._write(started)

    def _write(self, writer: int) -> Row:
        readings = list(some_readings(self.rng))
        number = self.numbers.get(writer, 0) + 1
        self.numbers[writer] = number
        self.model.commit(writer, readings)
        return write(writer, number, *readings)

    def load(self) -> None:
        next(self.loading, None)

    def step(self) -> None:
        steps = [self.commit, self.commit_elsewhere, self.restart, self.load]
        self.rng.choices(steps, [12, 4, 1, 4])[0]()


@pytest.mark.parametrize("seed", range(12))
def test_any_commits_merges_evictions_and_loads_read_as_the_model(small, seed: int):
    rng = random.Random(seed)
    history = History(rng)
    for _ in range(80):
        history.step()
        check_parts(history.tail)
        check_reads(history.model, history.tail, rng)
    check_reads(history.model, None, rng)


def test_load_fills_the_tail_from_the_newest_back(small):
    for number in range(1, 21):
        write(1, number, *[(1, NOW_US + number, float(at)) for at in range(5)])
    tail = Tail(50)
    tail.load(own_writer=2)
    chunks, spans = tail.view()
    assert 30 <= len(tail) <= 50
    assert chunks[-1].last == 20
    assert spans == {1: (chunks[0].first - 1, 20)}


def test_what_another_living_writer_commits_after_the_load_is_read(small):
    write(1, 1, (1, NOW_US, 1.0))
    tail = Tail(10_000)
    tail.load(own_writer=2)
    write(1, 2, (1, NOW_US, 2.0))
    tail.add(2, 1, write(2, 1, (1, NOW_US, 3.0)).columns())
    write(3, 1, (1, NOW_US, 4.0))
    assert tail.view()[1] == {1: (0, 1), 2: (0, 1)}
    assert read_sync([1], 0, 2 * NOW_US, tail)[1][1].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_load_takes_rows_larger_than_a_chunk(small):
    for number in (1, 2, 3):
        write(1, number, *[(1, NOW_US + at, float(number)) for at in range(60)])
    tail = Tail(10_000)
    tail.load(own_writer=2)
    assert len(tail) == 180
    assert tail.view()[1] == {1: (0, 3)}


def test_load_leaves_a_corrupt_row_out_and_says_so(small, caplog):
    for number in range(1, 11):
        write(1, number, (1, NOW_US + number, float(number)))
    Journal.objects.filter(number=5).update(columns=b"\x01garbage")
    tail = Tail(10_000)
    tail.load(own_writer=2)
    times_us, _ = read_sync([1], 0, 2 * NOW_US, tail)[1]
    assert (times_us - NOW_US).tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert "1/5" in caplog.text


def test_load_with_nothing_there():
    tail = Tail(10)
    tail.load(own_writer=1)
    assert tail.view() == ([], {})


def test_chunks_are_few_for_many_commits():
    tail = Tail(10**9)
    row = gathered([(1, NOW_US, 1.0)])
    columns = sort_columns(*row.arrays())
    for number in range(1, 4_097):
        tail.add(1, number, columns)
    assert len(tail) == 4_096
    assert len(tail.view()[0]) <= 4 * tails.FAN_IN


def test_chunks_of_two_writers_are_never_merged(small):
    tail = Tail(10_000)
    columns = sort_columns(*gathered([(1, NOW_US, 1.0)]).arrays())
    for number in range(1, 10):
        tail.add(1, number, columns)
        tail.add(2, number, columns)
    chunks: list[Chunk] = tail.view()[0]
    assert sum(len(chunk.columns) for chunk in chunks) == 18
    check_parts(tail)


def test_the_newest_commit_stays_however_large_it_is():
    tail = Tail(2)
    columns = sort_columns(
        *gathered([(1, NOW_US + at, 0.0) for at in range(5)]).arrays()
    )
    tail.add(1, 1, columns)
    tail.add(1, 2, columns)
    assert len(tail) == 5
    assert tail.view()[1] == {1: (1, 2)}


class TestDropSealed:
    """What blocks hold need not be in memory."""

    def test_chunks_up_to_the_number_go_and_the_others_stay(self) -> None:
        tail = Tail(1_000)
        for number in (1, 2, 3):
            tail.add(5, number, columns_of([(1, number, 1.0)]))
        tail.add(6, 1, columns_of([(1, 9, 1.0)]))
        tail.drop_sealed({5: 2})
        chunks, spans = tail.view()
        assert [(chunk.writer, chunk.first) for chunk in chunks] == [(5, 3), (6, 1)]
        assert spans == {5: (2, 3), 6: (0, 1)}
        assert len(tail) == 2

    def test_a_merged_chunk_stays_while_any_of_its_rows_is_unsealed(
        self, small: None
    ) -> None:
        tail = Tail(1_000)
        for number in (1, 2, 3):
            tail.add(5, number, columns_of([(1, number, 1.0)]))
        tail.drop_sealed({5: 2})
        assert len(tail) == 3
        tail.drop_sealed({5: 3})
        assert len(tail) == 0
        assert tail.view()[1] == {5: (3, 3)}

    def test_a_writer_it_does_not_know_changes_nothing(self) -> None:
        tail = Tail(1_000)
        tail.add(5, 1, columns_of([(1, 1, 1.0)]))
        tail.drop_sealed({9: 100})
        assert tail.view()[1] == {5: (0, 1)}
