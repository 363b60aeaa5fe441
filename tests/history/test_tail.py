"""telemetry.history.tail: with the journal it gives back exactly what was stored."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from telemetry.history import tail as tails
from telemetry.history.models import Journal
from telemetry.history.query import read_sync
from telemetry.history.tail import Chunk, Tail
from telemetry.history.tick import sort_columns

from .rows import NOW_US, bits, gathered, write

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
    """All readings in order of arrival; the first of exact repeats counts."""

    def __init__(self) -> None:
        self.readings: list[tuple[int, int, float]] = []

    def read(self, series: int, from_us: int, to_us: int) -> list[tuple[int, int]]:
        found = [
            (time_us, bits([value])[0])
            for each, time_us, value in self.readings
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
    """Each writer's chunks follow each other without a hole above its low number."""
    chunks, lows = tail.view()
    assert len(tail) == sum(len(chunk.columns) for chunk in chunks)
    for writer, low in lows.items():
        for chunk in chunks:
            if chunk.writer == writer:
                assert chunk.first == low + 1
                low = chunk.last


def some_readings(rng: random.Random) -> Iterator[tuple[int, int, float]]:
    for _ in range(rng.choice([0, 1, 2, 5, 20])):
        yield (
            rng.choice(SERIES),
            NOW_US + rng.randint(-40, 40),
            rng.choice(VALUES),
        )


class History:
    """Processes that write, one after the other, and the tail of the last one."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.model = Model()
        self.writer = 0
        self.most_readings = rng.choice([10, 60, 200, 10_000])
        self.restart()

    def restart(self) -> None:
        self.writer += 1
        self.number = 0
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
        readings = list(some_readings(self.rng))
        self.number += 1
        row = write(self.writer, self.number, *readings)
        self.model.readings += readings
        self.tail.add(self.writer, self.number, row.columns())

    def step(self) -> None:
        self.rng.choices(
            [self.commit, self.restart, lambda: next(self.loading, None)], [12, 1, 4]
        )[0]()


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
    chunks, lows = tail.view()
    assert 30 <= len(tail) <= 50
    assert chunks[-1].last == 20
    assert lows == {1: chunks[0].first - 1}


def test_load_takes_rows_larger_than_a_chunk(small):
    for number in (1, 2, 3):
        write(1, number, *[(1, NOW_US + at, float(number)) for at in range(60)])
    tail = Tail(10_000)
    tail.load(own_writer=2)
    assert len(tail) == 180
    assert tail.view()[1] == {1: 0}


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
    assert tail.view()[1] == {1: 1}
