"""Long ranges: what is asked of the journal, what is kept, and when it is too much."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
import pytest

from telemetry.dashboard import paging
from telemetry.dashboard.paging import Busy, Found, TooMuch, read_thin
from telemetry.history import query
from telemetry.history.query import Readings
from telemetry.history.tail import Tail
from telemetry.history.tick import sort_columns

pytestmark = pytest.mark.django_db
SECOND = 1_000_000
START = 1_795_348_800 * SECOND
NO_LIMIT = 1 << 40


def tail_of(series: Iterable[int], hz: int, seconds: int, start: int = 0) -> Tail:
    """Series at a steady rate, from `start` seconds on; the value is the number."""
    count = hz * seconds
    times = START + start * SECOND + np.arange(count, dtype=np.int64) * (SECOND // hz)
    ids = list(series)
    tail = Tail(NO_LIMIT)
    tail.add(
        1,
        1,
        sort_columns(
            np.repeat(np.array(ids, np.int32), count),
            np.tile(times, len(ids)),
            np.tile(np.arange(count, dtype=np.float64), len(ids)),
        ),
    )
    return tail


class Reads:
    """Every call of `read_sync`: the range asked for, and how many came."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.series: list[int] = []
        self.counts: list[int] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._read_sync = query.read_sync

    def __call__(
        self, series_ids: list[int], from_us: int, to_us: int, tail: Tail
    ) -> dict[int, Readings]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            found = self._read_sync(series_ids, from_us, to_us, tail)
        finally:
            with self._lock:
                self.at_once -= 1
        with self._lock:
            self.ranges.append((from_us, to_us))
            self.series.extend(series_ids)
            self.counts.append(sum(len(times_us) for times_us, _ in found.values()))
        return found


@pytest.fixture
def reads(monkeypatch) -> Reads:
    reads = Reads()
    monkeypatch.setattr(query, "read_sync", reads)
    monkeypatch.setattr(paging, "PAGE_READINGS", 1_000)
    return reads


def read(
    tail: Tail, series: Iterable[int], seconds: int, most: int = NO_LIMIT
) -> Found:
    return read_thin(
        list(series),
        START,
        START + seconds * SECOND,
        points=20,
        most_readings=most,
        tail=tail,
    )


@pytest.mark.parametrize(
    ("series", "hz"), [(1, 1_000), (4, 10), (10, 10), (3, 50), (100, 1)]
)
def test_no_read_finds_more_than_a_page(reads, series, hz):
    ids = range(1, series + 1)
    found = read(tail_of(ids, hz, 60), ids, 60)
    assert found.count == series * hz * 60
    assert sum(reads.counts) == found.count
    # A page's ends may each catch one reading more.
    assert max(reads.counts) <= 1_000 + 2 * series


def test_pages_cover_the_range_once_and_in_order(reads):
    read(tail_of([1], 100, 60), [1], 60)
    assert reads.ranges[0][0] == START
    assert reads.ranges[-1][1] == START + 60 * SECOND
    assert len(reads.ranges) > 2
    assert all(
        before[1] == after[0]
        for before, after in zip(reads.ranges, reads.ranges[1:], strict=False)
    )


def test_each_of_many_series_is_looked_up_once(reads):
    ids = range(1, 101)
    read(tail_of(ids, 1, 10), ids, 10)
    # But the first, whose pages begin small.
    assert sorted(set(reads.series)) == list(ids)
    assert len(reads.series) < len(ids) + 10
    assert 2 < len(reads.ranges) < 20


def test_a_silent_night_makes_no_page_that_swallows_the_morning(reads):
    ids = range(1, 11)
    found = read(tail_of(ids, 10, 60, start=600), ids, 660)
    assert found.count == 6_000
    assert max(reads.counts) <= 1_000


def test_no_more_is_read_once_it_is_too_much(reads):
    ids = range(1, 11)
    with pytest.raises(TooMuch):
        read(tail_of(ids, 10, 600), ids, 600, most=5_000)
    assert 5_000 < sum(reads.counts) <= 5_000 + 1_000


def test_what_is_kept_is_bounded_and_not_a_view_of_a_page(reads):
    kept: dict[int, Readings] = {}
    for page in range(20):
        times = START + np.arange(1_000, dtype=np.int64) + page * 1_000
        paging._keep(kept, {1: (times, times.astype(np.float64))}, 40)
        times_us, values = kept[1]
        assert len(times_us) <= 40
        assert times_us.base is None
        assert values.base is None


def test_every_spike_comes_through_all_pages(reads):
    tail = tail_of([1], 100, 100)
    columns = tail.view()[0][0].columns
    columns.values[:] = 0.0
    columns.values[[1_234, 5_678]] = 9.0, -9.0
    found = read(tail, [1], 100)
    times_us, values = found.series[1]
    assert len(times_us) <= 20
    assert (np.diff(times_us) > 0).all()
    spikes = {int(at) for at in times_us[values != 0]}
    assert spikes == {int(at) for at in columns.times_us[[1_234, 5_678]]}


def test_few_readings_come_as_they_are(reads):
    found = read(tail_of([1, 2], 1, 10), [1, 2, 3], 3_600)
    assert found.count == 20
    assert {series: len(kept[0]) for series, kept in found.series.items()} == {
        1: 10,
        2: 10,
    }


def test_nothing_is_read_for_no_series(reads):
    assert read(tail_of([1], 1, 1), [], 60) == Found()
    assert reads.ranges == []


@pytest.mark.django_db(transaction=True)
def test_few_requests_read_at_once(reads):
    tail = tail_of([1], 100, 60)
    threads = [threading.Thread(target=read, args=(tail, [1], 60)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(reads.counts) == 8 * 6_000
    assert reads.most_at_once <= paging.READS_AT_ONCE


def test_who_waits_too_long_is_told_so(reads, monkeypatch):
    monkeypatch.setattr(paging, "WAIT_SECONDS", 0.01)
    for _ in range(paging.READS_AT_ONCE):
        paging._reads.acquire()
    try:
        with pytest.raises(Busy):
            read(tail_of([1], 1, 1), [1], 60)
    finally:
        for _ in range(paging.READS_AT_ONCE):
            paging._reads.release()
    assert reads.ranges == []


def test_a_live_page_may_ask_for_an_hour_of_a_thousand_devices():
    assert paging.most_series(3_600 * SECOND) > 1_000
    assert paging.most_series(86_400 * SECOND) < 1_000
