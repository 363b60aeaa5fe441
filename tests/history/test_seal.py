"""telemetry.history.seal: what leaves the journal is in blocks, once, by time."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from telemetry.devices.models import Device, Series
from telemetry.history import blocks, lease, seal, writing
from telemetry.history.journal import ID_MARGIN, open_writer
from telemetry.history.lease import Held, LeaseLost
from telemetry.history.models import Block, Fault, Journal, Writer

from .in_blocks import lengths, stored
from .rows import NOW_US, Reading, bits, write

pytestmark = pytest.mark.django_db(transaction=True)

SECOND_US = 1_000_000
ALL = 10_000_000


@pytest.fixture
def held() -> Iterator[Held]:
    """The lease, claimed."""
    claim = lease.claim()
    assert claim is not None
    yield claim


class Commits:
    """A writer whose rows are folded as soon as they are written."""

    def __init__(self) -> None:
        self.writer = open_writer(NOW_US).id
        self.number = 0

    def write(self, *readings: Reading) -> None:
        self.number += 1
        write(self.writer, self.number, *readings)
        Writer.objects.filter(id=self.writer).update(folded_to=self.number)


@pytest.fixture
def commits() -> Commits:
    return Commits()


def regular(series: int, count: int, start_us: int = NOW_US) -> list[Reading]:
    return [(series, start_us + at * SECOND_US, at / 4) for at in range(count)]


def pairs(readings: list[Reading]) -> list[tuple[int, int]]:
    """The model: by time, equal times in order of arrival, repeats once."""
    found: dict[tuple[int, int], None] = {}
    for _, time_us, value in readings:
        found.setdefault((time_us, bits([value])[0]))
    return sorted(found, key=lambda reading: reading[0])


def test_a_pass_moves_readings_from_the_journal_into_blocks(
    held: Held, commits: Commits
) -> None:
    commits.write(*regular(1, 3), *regular(2, 2))
    commits.write(*regular(1, 2, NOW_US + 60 * SECOND_US))
    sealed = seal.seal_pass(held, ALL)
    assert (sealed.readings, sealed.rows, sealed.blocks) == (7, 2, 2)
    assert not Journal.objects.exists()
    assert Writer.objects.get(id=commits.writer).sealed_to == 2
    assert len(stored(1)) == 5
    assert len(stored(2)) == 2


def test_nothing_to_seal_changes_nothing(held: Held) -> None:
    assert seal.seal_pass(held, ALL) == seal.Sealed()


def test_rows_that_are_not_folded_stay(held: Held, commits: Commits) -> None:
    commits.write(*regular(1, 3))
    commits.write(*regular(1, 3, NOW_US + 60 * SECOND_US))
    Writer.objects.update(folded_to=1)
    seal.seal_pass(held, ALL)
    assert list(Journal.objects.values_list("number", flat=True)) == [2]


def test_a_pass_takes_about_what_it_is_told_and_a_row_at_least(
    held: Held, commits: Commits
) -> None:
    for at in range(4):
        commits.write(*regular(1, 10, NOW_US + at * 60 * SECOND_US))
    assert seal.seal_pass(held, 25).readings == 20
    assert seal.seal_pass(held, 1).readings == 10
    assert seal.seal_pass(held, 25).readings == 10


def test_the_summary_of_a_block_is_that_of_its_readings(
    held: Held, commits: Commits
) -> None:
    commits.write((7, NOW_US, 2.0), (7, NOW_US + SECOND_US, -1.0))
    seal.seal_pass(held, ALL)
    commits.write((7, NOW_US + 3 * SECOND_US, 5.0))
    seal.seal_pass(held, ALL)
    block = Block.objects.get()
    assert (block.start_us, block.end_us) == (NOW_US, NOW_US + 3 * SECOND_US)
    assert (block.count, block.length, block.resolution_seconds) == (3, 3, 0)
    assert (block.minimum, block.maximum, block.sum) == (-1.0, 5.0, 6.0)
    assert (block.first, block.last) == (2.0, 5.0)
    assert (block.increase, block.integral) == (5.0, 2.0 * 1 - 1.0 * 2)


def test_exact_repeats_are_dropped_and_different_values_of_a_time_kept(
    held: Held, commits: Commits
) -> None:
    zero, minus = (1, NOW_US, 0.0), (1, NOW_US, -0.0)
    # Not only neighbours: another value of the time lies between.
    commits.write(zero, minus, zero, (1, NOW_US, 3.0), minus)
    seal.seal_pass(held, ALL)
    assert stored(1) == pairs([zero, minus, (1, NOW_US, 3.0)])
    commits.write(minus, (1, NOW_US, 3.0), (1, NOW_US, 4.0))
    seal.seal_pass(held, ALL)
    assert stored(1) == pairs([zero, minus, (1, NOW_US, 3.0), (1, NOW_US, 4.0)])


def test_short_parts_grow_into_long_blocks(
    held: Held, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CAP", 256)
    at_us = NOW_US
    expected: list[Reading] = []
    for _ in range(120):
        expected += regular(1, 4, at_us)
        commits.write(*regular(1, 4, at_us))
        at_us += 4 * SECOND_US
        seal.seal_pass(held, ALL)
    assert stored(1) == pairs(expected)
    # One full, then each less than a fourth of the sum after it cannot be.
    sizes = lengths(1)
    assert sizes[0] == 256
    assert len(sizes) <= 9
    # Only the blocks from the last full one on may still be merged into.
    is_open = list(Block.objects.order_by("start_us").values_list("is_open", flat=True))
    assert is_open[-1]
    assert is_open == sorted(is_open)


def test_more_readings_than_a_block_holds_make_full_ones(
    held: Held, commits: Commits
) -> None:
    commits.write(*regular(1, blocks.CAP + 10))
    seal.seal_pass(held, ALL)
    assert lengths(1) == [blocks.CAP, 10]
    assert list(
        Block.objects.order_by("start_us").values_list("is_open", flat=True)
    ) == [False, True]


def test_a_stuck_clock_makes_parts_that_start_at_one_time(
    held: Held, commits: Commits
) -> None:
    readings = [(1, NOW_US, float(at)) for at in range(2 * blocks.CAP + 5)]
    for start in range(0, len(readings), 20_000):
        commits.write(*readings[start : start + 20_000])
        seal.seal_pass(held, ALL)
    # Again, with three new ones among repeats.
    more = [(1, NOW_US, -float(at)) for at in range(1, 4)]
    commits.write(*readings[:100], *more)
    seal.seal_pass(held, ALL)
    assert stored(1) == pairs(readings + more)
    starts = Block.objects.values_list("start_us", "part")
    assert len(set(starts)) == len(starts) >= 3


def test_late_readings_go_into_the_block_that_holds_their_time(
    held: Held, commits: Commits
) -> None:
    first = regular(1, 100)
    second = regular(1, blocks.CAP, NOW_US + 1_000 * SECOND_US)
    commits.write(*first)
    seal.seal_pass(held, ALL)
    commits.write(*second)
    seal.seal_pass(held, ALL)
    late = [
        (1, NOW_US - SECOND_US, 1.5),
        (1, NOW_US + SECOND_US // 2, 2.5),
        (1, NOW_US + 500 * SECOND_US, 3.5),
        (1, NOW_US + 1_000 * SECOND_US + 1, 4.5),
    ]
    commits.write(*late, *first[:3])
    seal.seal_pass(held, ALL)
    assert stored(1) == pairs(first + second + late)
    rows = list(Block.objects.order_by("start_us", "part"))
    for before, after in zip(rows[:-1], rows[1:], strict=True):
        assert before.end_us <= after.start_us


def test_readings_of_tombstoned_series_and_devices_are_dropped(
    held: Held, commits: Commits
) -> None:
    gone = Device.objects.create(slug="gone", name="Gone")
    kept = Device.objects.create(slug="kept", name="Kept")
    of_gone = Series.objects.create(device=gone, name="t")
    dead = Series.objects.create(device=kept, name="t")
    alive = Series.objects.create(device=kept, name="u")
    gone.delete()
    dead.delete()
    for series in (of_gone, dead, alive):
        commits.write(*regular(series.pk, 2))
    seal.seal_pass(held, ALL)
    assert list(Block.objects.values_list("series_id", flat=True)) == [alive.pk]
    assert not Journal.objects.exists()


def test_a_damaged_row_stays_and_the_others_are_sealed(
    held: Held, commits: Commits
) -> None:
    commits.write(*regular(1, 2))
    commits.write(*regular(1, 2, NOW_US + 60 * SECOND_US))
    commits.write(*regular(1, 2, NOW_US + 120 * SECOND_US))
    Journal.objects.filter(number=2).update(columns=b"\x09nonsense")
    seal.seal_pass(held, ALL)
    assert len(stored(1)) == 4
    assert list(Journal.objects.values_list("number", flat=True)) == [2]
    assert Writer.objects.get(id=commits.writer).sealed_to == 3
    assert f"{commits.writer}/2" in Fault.objects.get().reason
    assert seal.seal_pass(held, ALL) == seal.Sealed()


def test_damaged_rows_of_two_writers_are_two_faults(held: Held) -> None:
    writers = [Commits(), Commits()]
    for commits in writers:
        commits.write(*regular(1, 2))
    Journal.objects.update(columns=b"")
    seal.seal_pass(held, ALL)
    places = Fault.objects.order_by("start_us").values_list(
        "series_id", "start_us", "end_us"
    )
    assert list(places) == [(0, commits.writer, 1) for commits in writers]


def test_a_row_with_more_readings_than_it_counts_is_damaged(
    held: Held, commits: Commits
) -> None:
    commits.write(*regular(1, 2))
    commits.write(*regular(1, 9, NOW_US + 60 * SECOND_US))
    commits.write(*regular(1, 2, NOW_US + 120 * SECOND_US))
    Journal.objects.filter(number=2).update(count=3)
    seal.seal_pass(held, ALL)
    assert len(stored(1)) == 4
    assert list(Journal.objects.values_list("number", flat=True)) == [2]
    assert "at most 3 readings, got 9" in Fault.objects.get().reason


def test_a_series_far_above_all_that_exist_is_damage(
    held: Held, commits: Commits
) -> None:
    device = Device.objects.create(slug="pump", name="Pump")
    newest = Series.objects.create(device=device, name="t").pk
    highest = newest + ID_MARGIN
    commits.write(*regular(highest, 2))
    commits.write(*regular(highest + 1, 2))
    commits.write(*regular(2**31 - 1, 2))
    seal.seal_pass(held, ALL)
    assert set(Block.objects.values_list("series_id", flat=True)) == {highest}
    assert list(Journal.objects.values_list("number", flat=True)) == [2, 3]
    assert Fault.objects.count() == 2


@pytest.mark.parametrize("is_late", [False, True])
def test_a_damaged_block_is_left_alone_and_new_readings_go_beside_it(
    held: Held, commits: Commits, is_late: bool
) -> None:
    commits.write(*regular(1, 10))
    seal.seal_pass(held, ALL)
    damaged = Block.objects.get()
    data = bytes(damaged.data)[:-1] + b"!"
    Block.objects.update(data=data)
    new = regular(1, 3, NOW_US + (0 if is_late else 60 * SECOND_US))
    commits.write(*new)
    commits.write(*regular(2, 3))
    seal.seal_pass(held, ALL)
    assert bytes(Block.objects.get(id=damaged.pk).data) == data
    beside = Block.objects.exclude(id=damaged.pk).get(series_id=1)
    assert blocks.read(beside)[0].tolist() == [time_us for _, time_us, _ in new]
    assert len(stored(2)) == 3
    fault = Fault.objects.get()
    assert (fault.series_id, fault.start_us) == (1, damaged.start_us)


def test_who_has_lost_the_lease_changes_nothing(held: Held, commits: Commits) -> None:
    commits.write(*regular(1, 10))
    steps = seal.seal_steps(held, ALL)
    held.release()
    successor = lease.claim()
    assert successor is not None
    with pytest.raises(LeaseLost):
        next(steps)
    assert not Block.objects.exists()
    assert Journal.objects.count() == 1


def test_a_pass_that_ended_after_any_step_is_made_good_by_the_next(
    held: Held, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FIRST_WRITE_BLOCKS", 1)
    monkeypatch.setattr(writing, "LEAST_WRITE_BLOCKS", 1)
    monkeypatch.setattr(writing, "MOST_WRITE_BLOCKS", 1)
    expected: list[Reading] = []
    for stop_after in range(8):
        start_us = NOW_US + stop_after * 100 * SECOND_US
        for series in (1, 2, 3):
            readings = regular(series, 20, start_us)
            expected += readings
            commits.write(*readings[:12])
            commits.write(*readings[8:])
        steps = seal.seal_steps(held, ALL)
        for _ in range(stop_after):
            next(steps, None)
        steps.close()
        for series in (1, 2, 3):
            of_series = [reading for reading in expected if reading[0] == series]
            left = {reading[0] for reading in pairs(of_series)}
            assert {time_us for time_us, _ in stored(series)} <= left
    seal.seal_pass(held, ALL)
    for series in (1, 2, 3):
        of_series = [reading for reading in expected if reading[0] == series]
        assert stored(series) == pairs(of_series)


@pytest.mark.parametrize("seed", range(12))
def test_any_arrivals_sealed_at_any_moment_are_stored_once(
    held: Held, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CAP", 16)
    monkeypatch.setattr(seal, "SLICE_SERIES", 2)
    chance = random.Random(seed)
    writers = [Commits(), Commits()]
    expected: dict[int, list[Reading]] = {1: [], 2: [], 3: []}
    now = NOW_US
    for _ in range(60):
        now += chance.randrange(0, 8)
        row: list[Reading] = []
        for _ in range(chance.randrange(1, 12)):
            series = chance.choice((1, 2, 3))
            back = chance.choice((0, 0, 0, 1, 2, 40))
            value = chance.choice((0.0, -0.0, 1.0, 2.5))
            row.append((series, now - back, value))
            if chance.random() < 0.2 and expected[series]:
                row.append(chance.choice(expected[series]))
        chance.choice(writers).write(*row)
        for reading in row:
            expected[reading[0]].append(reading)
        if chance.random() < 0.4:
            steps = seal.seal_steps(held, chance.choice((5, 20, ALL)))
            for _ in range(chance.choice((1, 2, 1_000))):
                if next(steps, None) is None:
                    break
            steps.close()
    while seal.seal_pass(held, ALL).rows:
        pass
    for series, readings in expected.items():
        # Two writers' equal times have no order between them.
        assert sorted(stored(series)) == sorted(pairs(readings))
        times = [time_us for time_us, _ in stored(series)]
        assert times == sorted(times)
        assert all(length <= 16 for length in lengths(series))


def test_a_closed_block_at_the_end_counts_as_the_end_of_its_series(
    held: Held, commits: Commits
) -> None:
    first = regular(1, 20)
    commits.write(*first)
    seal.seal_pass(held, ALL)
    # As retention may leave it.
    Block.objects.update(is_open=False)
    late = (1, NOW_US + SECOND_US // 2, 7.0)
    commits.write(*first[5:10], late)
    seal.seal_pass(held, ALL)
    assert stored(1) == pairs([*first, late])
    assert lengths(1) == [21]


def test_one_bad_series_is_sealed_apart_and_the_others_as_usual(
    held: Held, commits: Commits
) -> None:
    commits.write(*regular(1, 20), *regular(2, 3))
    seal.seal_pass(held, ALL)
    new = regular(1, 3, NOW_US + 60 * SECOND_US)
    # A row that nobody can have written: it stands where the next one belongs.
    impossible = Block.objects.get(series_id=1)
    impossible.pk, impossible.is_open = None, False
    impossible.start_us = new[0][1]
    impossible.save()
    commits.write(*new, *regular(2, 3, NOW_US + 60 * SECOND_US))
    seal.seal_pass(held, ALL)
    assert not Journal.objects.exists()
    assert len(stored(2)) == 6
    apart = Block.objects.get(series_id=1, start_us=new[0][1], part=1)
    assert blocks.read(apart)[0].tolist() == [time_us for _, time_us, _ in new]
    assert Fault.objects.get().series_id == 1
