"""telemetry.history.queries.cut: pages of readings and rows of a tier into buckets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history import summary, tier_rows
from telemetry.history.queries.cut import (
    Cut,
    Scratch,
    TierCut,
    edges_of,
    outward,
)
from telemetry.history.summary import Summaries
from telemetry.history.tier_rows import BUCKET_US

SECOND = 1_000_000


def pages(cut_at: list[int], times_us: np.ndarray, values: np.ndarray):
    bounds = [0, *sorted(at for at in cut_at if at < len(times_us)), len(times_us)]
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        yield times_us[start:stop], values[start:stop]


@pytest.mark.parametrize(
    "from_us, to_us, width_us, expected",
    [
        (0, 10, 5, [0, 5, 10]),
        (1, 10, 5, [0, 5, 10]),
        (1, 11, 5, [0, 5, 10, 15]),
        (7, 8, 5, [5, 10]),
        (0, 1, 100, [0, 100]),
    ],
)
def test_edges_hold_the_range_and_are_aligned(from_us, to_us, width_us, expected):
    edges = edges_of(from_us, to_us, width_us)
    assert edges[: len(expected)].tolist() == expected
    assert edges[-1] >= to_us


def test_a_range_is_widened_to_whole_rows():
    assert outward(BUCKET_US, 2 * BUCKET_US) == (BUCKET_US, 2 * BUCKET_US)
    assert outward(BUCKET_US + 1, 2 * BUCKET_US + 1) == (BUCKET_US, 3 * BUCKET_US)


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(-9, 9)), min_size=1).map(sorted),
    st.integers(1, 60),
    st.lists(st.integers(0, 60)),
)
def test_pages_make_the_same_buckets_as_all_at_once(readings, width, cut_at):
    times_us = np.array([at for at, _ in readings], np.int64) * SECOND
    values = np.array([value for _, value in readings], float)
    edges = edges_of(0, 100 * SECOND, width * SECOND)
    whole, paged = Cut(edges), Cut(edges, scratch=Scratch())
    whole.add_readings(times_us, values)
    for page in pages(cut_at, times_us, values):
        paged.add_readings(*page)
    for one, other in zip(whole.buckets()[:2], paged.buckets()[:2], strict=True):
        assert one.tolist() == other.tolist()
    rows, others = whole.buckets()[2], paged.buckets()[2]
    for mine, yours in zip(rows.columns(), others.columns(), strict=True):
        assert mine.tolist() == pytest.approx(yours.tolist())
    slots = sorted({at // width for at, _ in readings})
    assert whole.buckets()[0].tolist() == [slot * width * SECOND for slot in slots]


@given(st.lists(st.integers(0, 99), min_size=1).map(sorted), st.integers(0, 99))
def test_what_is_forgotten_can_be_read_again(seconds, again):
    times_us = np.array(seconds, np.int64) * SECOND
    values = np.ones(len(seconds))
    edges = edges_of(0, 100 * SECOND, 7 * SECOND)
    cut = Cut(edges)
    cut.add_readings(times_us, values)
    begin_us = cut.forget_from(again * SECOND)
    assert begin_us == again // 7 * 7 * SECOND
    is_later = times_us >= begin_us
    cut.add_readings(times_us[is_later], values[is_later])
    assert cut.buckets()[2].count.sum() == len(seconds)
    assert (np.diff(cut.buckets()[0]) > 0).all()


def test_nothing_makes_no_buckets():
    cut = Cut(edges_of(0, 100, 10))
    cut.add_readings(np.zeros(0, np.int64), np.zeros(0))
    starts_us, ends_us, rows = cut.buckets()
    assert (len(starts_us), len(ends_us), len(rows)) == (0, 0, 0)


def tier_of(seconds: list[int]) -> Summaries:
    times_us = np.array(seconds, np.int64) * SECOND
    return tier_rows.of_readings(times_us, np.array(seconds, float))


def test_late_readings_go_among_the_rows_of_the_tier():
    cut = Cut(edges_of(0, 3_000 * SECOND, 600 * SECOND))
    held = TierCut(cut, early_us=650 * SECOND, border_us=1_800 * SECOND)
    held.add_rows(tier_of([10, 20, 310]))
    held.add_rows(tier_of([610, 700, 1_300]))
    held.add_readings(
        np.array([650, 1_000, 1_900], np.int64) * SECOND, np.array([-5.0, 3.0, 4.0])
    )
    held.flush()
    starts_us, _, rows = cut.buckets()
    assert (starts_us // SECOND).tolist() == [0, 600, 1_200, 1_800]
    assert rows.count.tolist() == [3, 4, 1, 1]
    assert rows.minimum.tolist() == [10, -5, 1_300, 4]
    assert rows.last.tolist() == [310, 3, 1_300, 4]
    assert summary.merged(rows, np.zeros(1, np.int64)).count.tolist() == [9]
