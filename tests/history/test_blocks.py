"""telemetry.history.blocks: built, written, read back, and cut into parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history import blocks, summary
from telemetry.history.models import Block
from telemetry.history.pack import Corrupt

TIMES_US = np.array([0, 5_000_000, 5_000_000, 400_000_000], np.int64)
VALUES = np.array([1.0, -0.0, 3.5, 2.0])


@pytest.mark.django_db
def test_a_written_block_reads_back_as_it_was() -> None:
    blocks.insert([blocks.build(7, TIMES_US, VALUES, part=2, is_open=True)])
    block = Block.objects.get()
    times_us, values = blocks.read(block)
    assert times_us.tolist() == TIMES_US.tolist()
    assert values.view(np.int64).tolist() == VALUES.view(np.int64).tolist()
    assert (block.series_id, block.part, block.is_open) == (7, 2, True)
    assert (block.resolution_seconds, block.length, block.count) == (blocks.RAW, 4, 4)
    assert (block.start_us, block.end_us) == (0, 400_000_000)
    assert (block.minimum, block.maximum, block.sum) == (-0.0, 3.5, 6.5)


@pytest.mark.django_db
def test_a_block_of_a_tier_counts_its_rows_and_their_readings() -> None:
    rows = summary.of_readings(TIMES_US, VALUES, np.array([0, 3], np.int64))
    blocks.insert([blocks.build_tier(7, rows)])
    block = Block.objects.get()
    assert (block.resolution_seconds, block.length, block.count) == (300, 2, 4)
    assert (block.first, block.last) == (1.0, 2.0)
    read = blocks.read_tier(block)
    for column, expected in zip(read.columns(), rows.columns(), strict=True):
        assert column.tolist() == expected.tolist()


@pytest.mark.django_db
def test_damaged_data_is_told_apart() -> None:
    new = blocks.build(7, TIMES_US, VALUES)
    blocks.insert([new._replace(data=new.data[:-1])])
    with pytest.raises(Corrupt):
        blocks.read(Block.objects.get())


def test_nothing_is_written_without_blocks() -> None:
    blocks.insert([])


@given(
    steps=st.lists(st.integers(0, 2), min_size=1, max_size=200),
    most=st.integers(1, 20),
)
def test_pieces_cover_all_readings_in_order_and_are_not_too_long(
    steps: list[int], most: int
) -> None:
    times_us = np.cumsum(np.array(steps, np.int64))
    parts = list(blocks.pieces(times_us, most))
    assert [at for part in parts for at in range(*part)] == list(range(len(steps)))
    for at, (start, stop) in enumerate(parts):
        assert 0 < stop - start <= most
        is_last = at == len(parts) - 1
        assert is_last or stop - start > most // 2
        cuts_a_time = not is_last and times_us[stop] == times_us[stop - 1]
        # Only where one time takes half of a part or more.
        assert not cuts_a_time or (times_us == times_us[stop]).sum() >= most / 2


@given(count=st.integers(1, 500), most=st.integers(1, 60))
def test_halves_are_as_few_as_can_be_and_of_like_length(count: int, most: int) -> None:
    parts = list(blocks.halves(count, most))
    lengths = [stop - start for start, stop in parts]
    assert sum(lengths) == count
    assert len(parts) == -(-count // most)
    assert max(lengths) <= most
    assert max(lengths) - min(lengths) <= 1
