"""telemetry.history.queries.catalogue: which blocks hold a range, and their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.history import faults
from telemetry.history.models import Block
from telemetry.history.queries import catalogue
from telemetry.history.queries.catalogue import Bytes, Gone, blocks_of

from ..stored import clear, seal, thin_out

pytestmark = pytest.mark.django_db


def found(series_ids: list[int], from_us: int, to_us: int, *more) -> list[int]:
    return blocks_of(series_ids, from_us, to_us, *more)["id"].tolist()


def two(start_us: int, end_us: int) -> list[tuple[int, float]]:
    return [(start_us, 1.0), (end_us, 2.0)]


@settings(max_examples=80)
@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=16, unique=True),
    st.integers(0, 62),
    st.integers(1, 30),
)
def test_it_names_what_reaches_into_the_range_and_the_last_before(
    bounds, from_us, span
):
    clear()
    ordered = sorted(bounds)[: len(bounds) // 2 * 2]
    spans = list(zip(ordered[::2], ordered[1::2], strict=True))
    made = [seal(1, two(*each)) for each in spans]
    named = found([1], from_us, from_us + span)
    inside = [
        block.id
        for block in made
        if block.end_us >= from_us and block.start_us < from_us + span
    ]
    earlier = [block.id for block in made if block.end_us < from_us]
    assert set(inside) <= set(named)
    assert named == sorted(set(inside) | set(named))
    assert set(named) <= {*inside, *earlier[-1:]}
    if not inside or inside[0] != named[0]:
        assert named == [*earlier[-1:], *inside]


def test_series_and_resolutions_are_told_apart():
    raw, tier, other = (
        seal(1, two(10, 20)),
        thin_out(1, two(5, 6)),
        seal(2, two(10, 20)),
    )
    assert found([1], 0, 100) == [raw.id, tier.id]
    assert found([1], 0, 100, [0]) == [raw.id]
    assert found([1, 2], 0, 100, [0]) == [raw.id, other.id]
    assert found([], 0, 100) == []


def test_parts_of_one_time_come_in_their_order():
    parts = [seal(1, [(10, float(at))]) for at in range(3)]
    assert found([1], 0, 100) == [part.id for part in parts]
    assert found([1], 11, 100) == [part.id for part in parts]


def test_a_damaged_block_that_reaches_far_is_named():
    damaged = seal(1, two(10, 1_000))
    beside = seal(1, two(50, 60))
    # Without a notice the blocks are taken to be disjoint.
    assert found([1], 500, 600) == [beside.id]
    faults.note(1, 0, 10, 1_000, "expected")
    assert found([1], 500, 600) == [damaged.id, beside.id]
    # The one that begins last need not end last.
    assert found([1], 1_001, 1_100) == [damaged.id, beside.id]
    later = seal(1, two(2_000, 2_010))
    assert found([1], 3_000, 3_100) == [later.id]


def test_bytes_are_read_ahead_in_order(monkeypatch, django_assert_num_queries):
    ids = [seal(1, two(at * 10, at * 10 + 1)).id for at in range(1, 8)]
    monkeypatch.setattr(catalogue, "FETCH_BLOCKS", 3)
    source = Bytes(ids)
    with django_assert_num_queries(3):
        read = [source.take(each) for each in ids]
    stored = dict(Block.objects.values_list("id", "data"))
    assert read == [bytes(stored[each]) for each in ids]


def test_some_may_be_left_out():
    ids = [seal(1, two(at * 10, at * 10 + 1)).id for at in range(1, 8)]
    source = Bytes(ids)
    assert all(source.take(each) for each in ids[2:5])


def test_a_block_that_is_no_more_is_gone():
    ids = [seal(1, two(at * 10, at * 10 + 1)).id for at in range(1, 4)]
    source = Bytes(ids)
    Block.objects.filter(id=ids[1]).delete()
    source.take(ids[0])
    with pytest.raises(Gone):
        source.take(ids[1])
    assert source.take(ids[2])
