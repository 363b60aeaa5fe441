"""telemetry.history.queries.buckets: exact summaries, wherever readings are."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry import counters
from telemetry.history import blocks
from telemetry.history.models import Block, Fault
from telemetry.history.queries import assembly, catalogue
from telemetry.history.queries.answer import Answer, Missing, SeriesBuckets
from telemetry.history.queries.buckets import (
    BadRange,
    TooMuch,
    read_buckets,
    read_edges,
)
from telemetry.history.queries.query import read_sync
from telemetry.history.tail import Tail

from ..rows import NOW_US, bits
from ..stored import clear, commit, damage, distinct, seal, thin_out

pytestmark = pytest.mark.django_db

SECOND = 1_000_000
MINUTE = 60 * SECOND
# A multiple of every width of the ladder.
BASE = NOW_US // (24 * 60 * MINUTE) * 24 * 60 * MINUTE
VALUES = st.sampled_from([0.0, -0.0, 1.0, -2.5, 1e9, 5e-324])


def around(span: int) -> st.SearchStrategy[int]:
    return st.integers(BASE - span, BASE + span)


def pairs(span: int, most: int = 12) -> st.SearchStrategy[list[tuple[int, float]]]:
    return st.lists(st.tuples(around(span), VALUES), max_size=most)


# Sealed ones first, as they arrived first; whether there is a tail.
arrivals = st.tuples(
    st.lists(pairs(40), max_size=4), st.lists(pairs(40), max_size=3), st.booleans()
)


def store(
    sealed, unsealed, has_tail: bool
) -> tuple[list[tuple[int, float]], Tail | None]:
    """Put the arrivals into blocks and journal; by time as a dictionary has them."""
    clear()
    # Overlapping blocks: by start and part.
    made = [(seal(1, readings), readings) for readings in sealed if readings]
    if len(made) > 1:
        first = min(block.start_us for block, _ in made)
        last = max(block.end_us for block, _ in made)
        # A notice tells readers that blocks may overlap.
        Fault.objects.create(
            series_id=1,
            start_us=first,
            end_us=last,
            reason="-",
            noticed_at="2026-01-01T00:00:00Z",
        )
    tail = Tail(1_000) if has_tail else None
    for readings in unsealed:
        commit(1, readings, tail)
    by_start = sorted(made, key=lambda each: (each[0].start_us, each[0].part))
    everything = [
        reading
        for _, readings in by_start
        for reading in sorted(readings, key=lambda pair: pair[0])
    ]
    return distinct([*everything, *(r for some in unsealed for r in some)]), tail


def model_buckets(model, from_us: int, to_us: int, edges) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for time_us, value in model:
        if from_us <= time_us < to_us:
            at = int(np.searchsorted(edges, time_us, "right")) - 1
            found.setdefault(int(edges[at]), []).append(value)
    return found


def check_buckets(found: SeriesBuckets, expected: dict[int, list[float]]) -> None:
    rows = found.summaries
    assert found.starts_us.tolist() == sorted(expected)
    for at, values in enumerate(expected[start] for start in sorted(expected)):
        assert rows.count[at] == len(values)
        assert rows.minimum[at] == min(values)
        assert rows.maximum[at] == max(values)
        assert rows.sum[at] == pytest.approx(math.fsum(values), abs=1e-3)
        # Equal numbers: SQLite keeps no sign of a zero in the columns of a row.
        assert (rows.first[at], rows.last[at]) == (values[0], values[-1])


def check_before(found: tuple[int, float] | None, model, from_us: int) -> None:
    """The last reading before the range; of several at that time, where blocks overlap
    and repeat each other, any of them."""
    earlier = [pair for pair in model if pair[0] < from_us]
    if not earlier:
        assert found is None
    else:
        assert found in [pair for pair in earlier if pair[0] == earlier[-1][0]]


@contextmanager
def pages_of(readings: int) -> Iterator[None]:
    """Pages of a few readings, so that few readings make many of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "PAGE_READINGS", readings)
        patch.setattr(catalogue, "FETCH_BLOCKS", 2)
        yield


small_pages = pytest.mark.parametrize("page", [10, 1_000_000], ids=["small", "one"])


@small_pages
@settings(max_examples=100)
@given(arrivals, around(45), st.integers(1, 90), st.integers(1, 50))
def test_any_arrivals_read_back_as_a_dictionary_says(
    page: int, kept, from_us: int, span: int, width_us: int
):
    with pages_of(page):
        check_arrivals(kept, from_us, span, width_us)


def check_arrivals(kept, from_us: int, span: int, width_us: int) -> None:
    model, tail = store(*kept)
    to_us = from_us + span
    wanted = [pair for pair in model if from_us <= pair[0] < to_us]

    times_us, values = read_sync([1], from_us, to_us, tail)[1]
    assert times_us.tolist() == [time_us for time_us, _ in wanted]
    assert bits(values) == bits(value for _, value in wanted)

    answer = read_buckets([1], from_us, to_us, 100, tail=tail, width_us=width_us)
    edges = np.arange(from_us // width_us * width_us, to_us + width_us, width_us)
    check_buckets(answer.series[1], model_buckets(model, from_us, to_us, edges))
    assert answer.readings == len(wanted)
    check_before(answer.series[1].before, model, from_us)

    few = read_buckets([1], from_us, to_us, 100, tail=tail)
    assert few.width_us is None and few.series[1].raw is not None
    assert few.series[1].raw[0].tolist() == times_us.tolist()
    assert few.series[1].before == answer.series[1].before


# --- whole blocks ----------------------------------------------------------------


class Reads:
    """Which blocks' bytes are read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ids: list[int] = []
        take = catalogue.Bytes.take

        def counted(source: catalogue.Bytes, block_id: int) -> bytes:
            self.ids.append(block_id)
            return take(source, block_id)

        patch.setattr(catalogue.Bytes, "take", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def every(seconds: int, count: int, start: int = BASE) -> list[tuple[int, float]]:
    return [(start + at * seconds * SECOND, float(at % 7)) for at in range(count)]


def test_a_block_within_one_bucket_is_not_decoded(reads: Reads):
    made = [seal(1, every(1, 30, BASE + at * 30 * SECOND)) for at in range(4)]
    answer = read_buckets([1], BASE, BASE + 2 * MINUTE, 10, width_us=MINUTE)
    assert reads.ids == []
    assert answer.series[1].summaries.count.tolist() == [60, 60]
    assert answer.series[1].summaries.sum.tolist() == [170, 170]
    # A range that cuts a block, and a bucket that does.
    read_buckets([1], BASE + SECOND, BASE + 2 * MINUTE, 10, width_us=MINUTE)
    read_buckets([1], BASE, BASE + 2 * MINUTE, 10, width_us=45 * SECOND)
    assert reads.ids == [made[0].id, made[1].id]


def test_a_block_that_something_unsealed_lies_in_is_decoded(reads: Reads):
    seal(1, every(2, 15))
    second = seal(1, every(2, 15, BASE + 30 * SECOND))
    commit(1, [(BASE + 31 * SECOND, 9.0), (BASE + 30 * SECOND, 0.0)])
    answer = read_buckets([1], BASE, BASE + MINUTE, 10, width_us=MINUTE)
    assert reads.ids == [second.id]
    assert answer.series[1].summaries.count.tolist() == [31]
    assert answer.series[1].summaries.maximum.tolist() == [9.0]


@pytest.mark.parametrize(
    "with_area, known",
    [(True, [True, True]), (False, [False, False]), ([1], [True, False])],
)
def test_summaries_of_blocks_and_of_readings_are_the_same(with_area, known):
    readings = [(BASE + at * SECOND + at % 3, float(at % 11)) for at in range(600)]
    for at in range(0, 600, 50):
        seal(1, readings[at : at + 50])
    commit(3, readings)
    span = BASE, BASE + 600 * SECOND
    answer = read_buckets([1, 3], *span, 10, width_us=2 * MINUTE, with_area=with_area)
    sealed, unsealed = answer.series[1].summaries, answer.series[3].summaries
    for one, other in zip(sealed.columns()[:-2], unsealed.columns()[:-2], strict=True):
        assert one.tolist() == pytest.approx(other.tolist())
    is_known = ~np.isnan([sealed.increase[0], unsealed.increase[0]])
    assert is_known.tolist() == known
    if with_area is True:
        assert sealed.increase.tolist() == pytest.approx(unsealed.increase.tolist())
        assert sealed.integral.tolist() == pytest.approx(unsealed.integral.tolist())


def test_pages_join_without_a_seam(monkeypatch: pytest.MonkeyPatch):
    readings = [(BASE + at * SECOND, float(at % 11)) for at in range(600)]
    for at in range(0, 600, 50):
        seal(1, readings[at : at + 50])
    span = BASE, BASE + 600 * SECOND
    whole = read_buckets([1], *span, 10, width_us=3 * MINUTE).series[1].summaries
    monkeypatch.setattr(assembly, "PAGE_READINGS", 100)
    paged = read_buckets([1], *span, 10, width_us=3 * MINUTE).series[1].summaries
    for one, other in zip(whole.columns(), paged.columns(), strict=True):
        assert one.tolist() == pytest.approx(other.tolist())


def test_a_stuck_clock_is_read():
    values = [float(at) for at in range(20_500)]
    for start in range(0, 20_500, 8_000):
        seal(1, [(BASE, value) for value in values[start : start + 8_000]])
    # Sealed and, as yet, in the journal too.
    commit(1, [(BASE, 5.0), (BASE, -1.0)])
    found = read_sync([1], BASE, BASE + 1)[1]
    assert found[1].tolist() == [*values, -1.0]
    answer = read_buckets([1], BASE, BASE + 1, 10)
    assert answer.series[1].summaries.count.tolist() == [20_501]
    assert read_buckets([1], BASE + 1, BASE + 2, 1).series[1].before == (BASE, -1.0)


def test_gaps_stay_gaps():
    seal(1, every(1, 30))
    seal(1, every(1, 30, BASE + 5 * MINUTE))
    commit(1, every(1, 5, BASE + 7 * MINUTE))
    found = read_buckets([1], BASE, BASE + 10 * MINUTE, 10, width_us=MINUTE).series[1]
    starts = [(start - BASE) // MINUTE for start in found.starts_us.tolist()]
    assert starts == [0, 5, 7]


def test_all_series_share_one_width_and_each_has_an_answer():
    commit(1, every(1, 400))
    commit(2, every(100, 4))
    answer = read_buckets([1, 2, 3, 1], BASE, BASE + 400 * SECOND, 100)
    assert sorted(answer.series) == [1, 2, 3]
    assert answer.width_us == 5 * SECOND
    assert all(found.raw is None for found in answer.series.values())
    assert len(answer.series[3].starts_us) == 0
    assert answer.readings == 404


@pytest.mark.parametrize("count, is_raw", [(100, True), (101, False)])
def test_few_readings_are_given_as_they_are(count: int, is_raw: bool):
    commit(1, every(1, count))
    span = BASE, BASE + 200 * SECOND
    answer = read_buckets([1], *span, 100)
    assert (answer.width_us is None) == is_raw
    assert read_buckets([1], *span, 100, raw_if_few=False).width_us == 2 * SECOND


@pytest.mark.parametrize("count, is_raw", [(100, True), (101, False)])
def test_few_sealed_readings_are_given_as_they_are(count: int, is_raw: bool):
    seal(1, every(1, 300))
    to_us = BASE + (50 + count) * SECOND
    answer = read_buckets([1], BASE + 50 * SECOND, to_us, 100)
    assert (answer.width_us is None) == is_raw
    assert answer.readings == count


# --- the last reading before -----------------------------------------------------


@pytest.mark.parametrize(
    "place", ["tail", "journal", "block", "within a block", "tier", "nowhere"]
)
@pytest.mark.parametrize("points", [1, 1_000])
def test_the_last_value_before_the_range_is_known(place: str, points: int):
    earlier = [(BASE - 9 * MINUTE, 1.0), (BASE - 8 * MINUTE, 2.0)]
    here = every(1, 3)
    tail = Tail(1_000)
    if place == "within a block":
        seal(1, [*earlier, *here])
    else:
        {
            "tail": lambda: commit(1, earlier, tail),
            "journal": lambda: commit(1, earlier),
            "block": lambda: seal(1, earlier),
            "tier": lambda: thin_out(1, earlier),
            "nowhere": lambda: None,
        }[place]()
        seal(1, here)
    found = read_buckets([1], BASE, BASE + MINUTE, points, tail=tail).series[1]
    assert found.before == (None if place == "nowhere" else earlier[-1])


# --- tiers -----------------------------------------------------------------------


tier_span = st.integers(0, 100 * 60)


@small_pages
@settings(max_examples=100)
@given(
    st.lists(st.tuples(tier_span, VALUES), min_size=1, max_size=40),
    st.integers(0, 20),
    st.lists(st.tuples(tier_span, VALUES), max_size=4),
    tier_span,
    st.integers(1, 5_000),
    st.sampled_from([1, 60, 300, 301, 900, 3_600]),
)
def test_tiers_and_raw_readings_answer_in_one_series_of_buckets(
    page: int, readings, border, late, start: int, span: int, width: int
):
    clear()
    border_us = BASE + border * 5 * MINUTE
    pairs = distinct((BASE + at * SECOND, value) for at, value in readings)
    late_pairs = distinct((BASE + at * SECOND, value) for at, value in late)
    # Late ones that the tier holds already could not be told from others.
    known = {time_us for time_us, _ in pairs}
    late_pairs = [pair for pair in late_pairs if pair[0] not in known]
    old = [pair for pair in pairs if pair[0] < border_us]
    half = len(old) // 2
    for part in (old[:half], old[half:]):
        if part:
            thin_out(1, part)
    if new := [pair for pair in pairs if pair[0] >= border_us]:
        seal(1, new)
    commit(1, late_pairs)
    from_us, to_us = BASE + start * SECOND, BASE + (start + span) * SECOND
    with pages_of(page):
        answer = read_buckets([1], from_us, to_us, 10_000, width_us=width * SECOND)
    tiers = list(Block.objects.filter(resolution_seconds=300))
    has_tier = any(
        block.end_us >= from_us and block.start_us < to_us for block in tiers
    )
    if has_tier:
        assert answer.resolution_seconds == 300
        assert answer.width_us == -(-width // 300) * 300 * SECOND
        assert answer.from_us == from_us // (5 * MINUTE) * 5 * MINUTE
        assert answer.to_us == -(-to_us // (5 * MINUTE)) * 5 * MINUTE
    else:
        assert (answer.resolution_seconds, answer.from_us) == (0, from_us)
        assert answer.width_us == width * SECOND
    assert answer.width_us
    first = answer.from_us // answer.width_us * answer.width_us
    edges = np.arange(first, answer.to_us + answer.width_us, answer.width_us)
    expected = model_buckets(
        sorted([*pairs, *late_pairs], key=lambda pair: pair[0]),
        answer.from_us,
        answer.to_us,
        edges,
    )
    check_buckets(answer.series[1], expected)


def test_a_tier_is_never_given_as_raw_readings():
    thin_out(1, every(60, 30))
    answer = read_buckets([1], BASE, BASE + 30 * MINUTE, 1_000)
    assert (answer.width_us, answer.resolution_seconds) == (5 * MINUTE, 300)
    assert answer.series[1].summaries.count.tolist() == [5] * 6
    assert len(read_sync([1], BASE, BASE + 30 * MINUTE)[1][0]) == 0


# --- blocks that change while they are read --------------------------------------


@pytest.mark.parametrize("at", [0, 3, 7])
@pytest.mark.parametrize("into", ["blocks", "a tier"])
def test_blocks_that_are_written_anew_meanwhile_are_read(
    monkeypatch: pytest.MonkeyPatch, at: int, into: str
):
    readings = every(10, 400)
    for start in range(0, 400, 50):
        seal(1, readings[start : start + 50])
    monkeypatch.setattr(assembly, "PAGE_READINGS", 60)
    monkeypatch.setattr(catalogue, "FETCH_BLOCKS", 1)
    take, taken = catalogue.Bytes.take, []

    def take_and_change(source: catalogue.Bytes, block_id: int) -> bytes:
        if len(taken) == at:
            Block.objects.all().delete()
            if into == "blocks":
                seal(1, readings[:170])
                seal(1, readings[170:])
            else:
                thin_out(1, readings[:210])
                seal(1, readings[210:])
        taken.append(block_id)
        return take(source, block_id)

    expected = read_buckets([1], BASE, BASE + 4_000 * SECOND, 50, width_us=7 * MINUTE)
    monkeypatch.setattr(catalogue.Bytes, "take", take_and_change)
    answer = read_buckets([1], BASE, BASE + 4_000 * SECOND, 50, width_us=7 * MINUTE)
    assert len(taken) > at
    found, wanted = answer.series[1].summaries, expected.series[1].summaries
    if into == "blocks":
        assert (
            answer.series[1].starts_us.tolist() == expected.series[1].starts_us.tolist()
        )
        for one, other in zip(found.columns(), wanted.columns(), strict=True):
            assert one.tolist() == pytest.approx(other.tolist())
    else:
        # What was read before stays as it was; the rest has no tier any more.
        assert answer.width_us == (7 if at == 7 else 10) * MINUTE
        assert answer.resolution_seconds == (0 if at == 7 else 300)
        assert found.count.sum() == 400 and found.sum.sum() == wanted.sum.sum()
    assert answer.series[1].before is None


# --- damaged blocks --------------------------------------------------------------


def corrupt_blocks() -> float:
    return counters.CORRUPT_BLOCKS._value.get()


@pytest.mark.parametrize("points", [1_000, 10])
def test_a_damaged_block_is_named_and_the_rest_is_read(points: int):
    made = [seal(1, every(1, 30, BASE + at * 30 * SECOND)) for at in range(3)]
    damage(made[1])
    before = corrupt_blocks()
    answer = read_buckets([1], BASE + 5 * SECOND, BASE + 85 * SECOND, points)
    assert answer.missing == [Missing(1, 0, made[1].start_us, made[1].end_us)]
    assert answer.readings == 50
    assert corrupt_blocks() > before
    fault = Fault.objects.get()
    assert (fault.series_id, fault.start_us) == (1, made[1].start_us)
    assert "checksum" in fault.reason
    assert Block.objects.count() == 3
    missing: list[Missing] = []
    times_us, _ = read_sync([1], BASE, BASE + MINUTE, missing=missing)[1]
    assert (len(times_us), len(missing), Fault.objects.count()) == (30, 1, 1)


def test_a_damaged_block_of_a_tier_is_named_and_the_rest_is_read():
    made = [thin_out(1, every(60, 30, BASE + at * 30 * MINUTE)) for at in range(3)]
    damage(made[1])
    answer = read_buckets([1], BASE, BASE + 90 * MINUTE, 100)
    assert answer.missing == [Missing(1, 300, made[1].start_us, made[1].end_us)]
    assert answer.readings == 60


@pytest.mark.parametrize(
    "fields",
    [
        {"length": 2**31 - 1},
        {"length": 0},
        {"length": -5},
        {"length": 29},
        {"length": 31},
    ],
)
def test_a_row_that_lies_about_its_bytes_is_damaged(fields):
    block = seal(1, every(1, 30))
    Block.objects.update(**fields)
    answer = read_buckets([1], BASE + SECOND, BASE + MINUTE, 100)
    assert [each.start_us for each in answer.missing] == [block.start_us]


def test_a_row_with_another_span_than_its_readings_is_damaged():
    seal(1, every(1, 30))
    Block.objects.update(end_us=BASE + 28 * SECOND)
    answer = read_buckets([1], BASE + SECOND, BASE + MINUTE, 100)
    assert len(answer.missing) == 1 and "expected" in Fault.objects.get().reason


def test_what_lies_beside_a_damaged_block_is_read():
    damage(seal(1, every(10, 30)))
    read_sync([1], BASE, BASE + MINUTE)  # Notices it.
    seal(1, [(BASE + 5 * SECOND, 1.0), (BASE + 200 * SECOND, 2.0)])
    answer = read_buckets([1], BASE + 4 * MINUTE, BASE + 6 * MINUTE, 100)
    assert [each.start_us for each in answer.missing] == [BASE]
    assert len(read_sync([1], BASE, BASE + 6 * MINUTE)[1][0]) == 2


# --- bounds ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "from_us, to_us, points",
    [
        (BASE, BASE, 10),
        (BASE + 1, BASE, 10),
        (-1, BASE, 10),
        (BASE, 253_402_300_800_000_001, 10),
        (BASE, BASE + 1, 0),
        (BASE, BASE + 1, 10_001),
        (BASE, BASE + 1, 1_000_000),
    ],
)
def test_a_range_without_sense_says_what_was_expected(from_us, to_us, points):
    with pytest.raises(BadRange, match="expected"):
        read_buckets([1], from_us, to_us, points)


def test_the_longest_range_and_the_most_points_are_read():
    seal(1, every(1, 30))
    commit(1, every(1, 30, BASE + MINUTE))
    answer = read_buckets([1], 0, 253_402_300_800_000_000, 10_000, raw_if_few=False)
    assert answer.readings == 60
    assert answer.width_us and answer.width_us % (24 * 60 * MINUTE) == 0


@pytest.mark.parametrize("points, is_bad", [(5_000, False), (5_001, True)])
def test_the_points_of_all_series_are_bounded(points: int, is_bad: bool):
    ids = range(1, 101)
    if not is_bad:
        assert len(read_buckets(ids, BASE, BASE + 1, points).series) == 100
        return
    with pytest.raises(BadRange, match="500000"):
        read_buckets(ids, BASE, BASE + 1, points)


@pytest.mark.parametrize("width_us, is_bad", [(1, False), (0, False), (-1, True)])
def test_a_width_makes_a_bounded_number_of_buckets(width_us: int, is_bad: bool):
    if not is_bad:
        read_buckets([1], BASE, BASE + 10_000, 10, width_us=width_us)
        width_us, to_us = 1, BASE + 10_001
    else:
        to_us = BASE + 10
    with pytest.raises(BadRange, match="width"):
        read_buckets([1], BASE, to_us, 10, width_us=width_us)


@pytest.mark.parametrize("most", [59, 60])
@pytest.mark.parametrize("raw_if_few", [True, False])
def test_the_readings_of_a_request_are_bounded(most: int, raw_if_few: bool):
    seal(1, every(1, 30))
    seal(2, every(1, 30))

    def read():
        return read_buckets(
            [1, 2],
            BASE + SECOND,
            BASE + 20 * SECOND,
            40,
            most_readings=most,
            raw_if_few=raw_if_few,
        )

    if most == 60:
        assert read().readings == 38
    else:
        with pytest.raises(TooMuch, match="59"):
            read()


@pytest.mark.parametrize("most, is_bad", [(3, False), (2, True)])
def test_the_blocks_of_a_request_are_bounded(monkeypatch, most: int, is_bad: bool):
    monkeypatch.setattr(catalogue, "MOST_BLOCKS", most)
    for at in range(3):
        seal(1, every(1, 30, BASE + at * MINUTE))
    if is_bad:
        with pytest.raises(TooMuch, match="blocks"):
            read_sync([1], BASE, BASE + 5 * MINUTE)
    else:
        assert len(read_sync([1], BASE, BASE + 5 * MINUTE)[1][0]) == 90


def test_more_series_than_one_statement_names_are_read():
    for series in (1, 64, 65, 200):
        seal(series, every(1, 5))
    answer = read_buckets(range(1, 201), BASE, BASE + MINUTE, 10, raw_if_few=False)
    read = {series for series, found in answer.series.items() if len(found.starts_us)}
    assert read == {1, 64, 65, 200} and len(answer.series) == 200


def test_a_series_takes_few_statements(django_assert_max_num_queries):
    for at in range(100):
        seal(1, every(1, 30, BASE + at * MINUTE))
    with django_assert_max_num_queries(5):
        read_buckets([1], BASE + SECOND, BASE + 100 * MINUTE, 300)


def test_edges_may_lie_anywhere():
    seal(1, every(1, 100))
    edges = np.array([0, 10, 11, 50, 90], np.int64) * SECOND + BASE
    answer: Answer = read_edges([1], edges)
    found = answer.series[1]
    assert answer.width_us is None
    assert found.summaries.count.tolist() == [10, 1, 39, 40]
    assert found.ends_us.tolist() == edges[1:].tolist()


def test_a_long_range_takes_the_memory_of_a_page(monkeypatch: pytest.MonkeyPatch):
    readings = 16_384
    values = (np.arange(readings) % 10).astype(np.float64)
    for at in range(60):
        times_us = BASE + (at * readings + np.arange(readings)) * SECOND
        blocks.insert([blocks.build(1, times_us, values)])
    monkeypatch.setattr(catalogue, "FETCH_BLOCKS", 8)
    tracemalloc.start()
    try:
        answer = read_buckets([1], BASE, BASE + 60 * readings * SECOND, 100)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.readings == 60 * readings
    # 16 MB of readings, in pages of 2 MB and as much again to work in.
    assert peak_bytes < 6_000_000
