"""telemetry.history.space: what the database takes, and what goes back to the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from telemetry.history import space
from telemetry.history.models import Block

from .rows import write
from .thinning import OLD_US, regular, save

pytestmark = pytest.mark.django_db(transaction=True)

NOISE = 2_000


def fill(count: int = 40) -> int:
    """Blocks of which each takes some pages; how many bytes their data is."""
    blocks = [save(at, *_noise(at)) for at in range(1, count + 1)]
    return sum(len(block.data) for block in blocks)


def _noise(seed: int):
    times_us, values = regular(OLD_US, NOISE, seed=seed)
    return times_us + (values * 7_919).astype("int64"), values / 3


def test_the_database_takes_what_is_in_it():
    before = space.database_bytes()
    size = fill()
    grown = space.database_bytes() - before
    assert size <= grown <= 2 * size + 500_000


def test_deleted_rows_no_longer_count():
    if not space.is_sqlite():
        # Its counts still have what the test before lost by TRUNCATE.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM telemetry_block")
    fill()
    full = space.database_bytes()
    size = sum(len(bytes(block.data)) for block in Block.objects.all())
    Block.objects.all().delete()
    # Half on PostgreSQL: there it is an estimate.
    assert full - space.database_bytes() >= size // 2


def test_room_goes_back_to_the_file():
    fill()
    Block.objects.all().delete()
    path = space.database_path()
    if path is None:
        assert space.give_back(10_000) >= 0
        return
    free = space.free_pages()
    assert free > 50
    pages = _pragma("page_count")
    assert space.give_back(10) == 10 * _pragma("page_size")
    assert _pragma("page_count") == pages - 10
    while space.give_back(1_000):
        pass
    assert space.free_pages() == 0
    assert _pragma("page_count") == pages - free
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert path.stat().st_size == (pages - free) * _pragma("page_size")


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])


def test_nothing_to_give_back_is_no_error():
    while space.give_back(1_000):
        pass
    assert space.give_back(1_000) == 0


def test_room_is_not_given_back_inside_a_transaction():
    with (
        pytest.raises(TransactionManagementError, match="outside"),
        transaction.atomic(),
    ):
        space.give_back(1)


def test_journal_and_blocks_are_measured_apart():
    journal, blocks = space.journal_bytes(), space.blocks_bytes()
    write(1, 1, *[(1, OLD_US + at, 1.0) for at in range(10_000)])
    assert space.journal_bytes() - journal >= 20_000
    assert space.blocks_bytes() == blocks
    size = fill(10)
    assert space.blocks_bytes() - blocks >= size


def test_the_disk_of_a_file_has_something_free():
    free = space.free_bytes()
    if space.is_sqlite():
        assert isinstance(space.database_path(), Path)
        assert free is not None and free > 0
    else:
        assert (free, space.database_path(), space.free_pages()) == (None, None, 0)
