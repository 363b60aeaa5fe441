"""telemetry.history.late: late readings go into the blocks that hold their time."""

from __future__ import annotations

import numpy as np
import pytest

from telemetry.history import blocks
from telemetry.history.late import insert_late
from telemetry.history.lease import LeaseLost
from telemetry.history.models import Block

from .in_blocks import lengths, stored

pytestmark = pytest.mark.django_db

SERIES = 3


def put(times_us: list[int], part: int = 0, value: float = 1.0) -> None:
    values = np.full(len(times_us), value)
    blocks.insert([blocks.build(SERIES, np.array(times_us, np.int64), values, part)])


def insert(*readings: tuple[int, float]) -> int:
    """Insert readings; how many insertions that took."""
    times_us = np.array([time_us for time_us, _ in readings], np.int64)
    values = np.array([value for _, value in readings])
    count = 0
    for insertion in insert_late(SERIES, times_us, values):
        Block.objects.filter(id__in=insertion.deleted).delete()
        blocks.insert(insertion.made)
        count += 1
    return count


@pytest.mark.parametrize(
    ("late_us", "expected"),
    [
        ([5], [4, 3]),
        ([15], [4, 3]),
        ([20, 25], [3, 4]),
        ([1, 15, 25], [5, 4]),
        ([40], [3, 4]),
        ([-5], [4, 3]),
    ],
)
def test_a_block_takes_what_lies_between_it_and_the_next(
    late_us: list[int], expected: list[int]
) -> None:
    put([0, 5, 10])
    put([20, 25, 30])
    insert(*((time_us, 1.0 if time_us == 20 else 2.0) for time_us in late_us))
    assert lengths(SERIES) == expected


def test_exact_repeats_make_nothing() -> None:
    put([0, 5, 10])
    assert insert((0, 1.0), (5, 1.0)) == 0


def test_a_repeat_is_found_in_a_block_that_only_touches_the_time() -> None:
    put([0, 10])
    put([10, 20], value=2.0)
    assert insert((10, 1.0), (10, 2.0)) == 0
    assert insert((10, 3.0)) == 1
    assert len(stored(SERIES)) == 5


def test_readings_before_all_blocks_join_the_first_one() -> None:
    put([1_000, 2_000])
    for at in range(5):
        insert((at, 1.0))
    assert lengths(SERIES) == [7]


def test_a_series_without_blocks_gets_its_first() -> None:
    insert((5, 1.0), (6, 2.0))
    assert lengths(SERIES) == [2]


def test_a_full_block_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CAP", 4)
    put([0, 2, 4, 6])
    insert((3, 9.0))
    assert lengths(SERIES) == [2, 3]


def test_a_damaged_block_is_passed_by() -> None:
    put([0, 5, 10])
    Block.objects.update(data=b"")
    insert((0, 1.0), (5, 7.0))
    assert sorted(lengths(SERIES)) == [2, 3]
    parts = Block.objects.filter(start_us=0).order_by("part").values_list("part")
    assert [part for (part,) in parts] == [0, 1]


def test_a_block_that_another_worker_has_replaced_ends_the_work() -> None:
    put([0, 5, 10])
    put([20, 30])
    insertions = insert_late(SERIES, np.array([1, 25], np.int64), np.ones(2))
    next(insertions)
    Block.objects.all().delete()
    with pytest.raises(LeaseLost):
        next(insertions)


def test_a_half_that_begins_where_its_neighbour_does_is_no_conflict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "CAP", 4)
    put([0, 10, 10, 10], value=1.0)
    put([10, 10, 20], value=2.0)
    insert((5, 1.0))
    assert lengths(SERIES) == [2, 3, 3]
