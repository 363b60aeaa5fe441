"""Any arrivals, sealed and thinned out at any moment, are read as a dictionary says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.history import journal, lease, seal
from telemetry.history.keeping import tiers
from telemetry.history.lease import Held
from telemetry.history.models import Block, Fault, Journal, Lease, SeriesHead, Writer
from telemetry.history.queries.buckets import read_buckets
from telemetry.history.queries.query import read_sync
from telemetry.protocol.limits import MIN_TIME_US

from .model import BUCKET_US, FOREVER, Bucket, Buckets, Model, Reading, pairs
from .rows import NOW_US, gathered
from .small import make_small

pytestmark = pytest.mark.django_db(transaction=True)

SERIES = [1, 2]
HOUR_US = 12 * BUCKET_US
START_US = NOW_US // HOUR_US * HOUR_US
# From here on there is nothing.
END_US = START_US + 2 * HOUR_US

# Few times, so that many are equal; at the edges of buckets too.
times = st.one_of(
    st.integers(0, 3).map(lambda at: START_US + at),
    st.integers(0, 23).map(lambda at: START_US + at * BUCKET_US),
    st.integers(1, 24).map(lambda at: START_US + at * BUCKET_US - 1),
    st.integers(START_US, END_US - 1),
)
# Of whole numbers any sum is exact, whatever its order.
values = st.sampled_from([0.0, -0.0, 1.0, -3.0, 7.0, 2.0**40])
readings = st.tuples(st.sampled_from(SERIES), times, values)
rows = st.lists(readings, max_size=20)
actions = st.one_of(
    st.tuples(st.just("row"), rows),
    st.tuples(st.just("row"), rows),
    st.tuples(st.just("seal"), st.sampled_from([1, 15, 1_000])),
    st.tuples(st.just("thin"), st.integers(0, 24)),
)


class History:
    """The real one beside its model."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.model = Model()
        self.writer = journal.open_writer(NOW_US).id
        self.number = 0

    def row(self, arrived: list[Reading]) -> None:
        self.number += 1
        journal.Row(self.writer, self.number, END_US, gathered(arrived)).write()
        Writer.objects.filter(id=self.writer).update(folded_to=self.number)
        self.model.arrive(arrived)

    def seal(self, most_readings: int) -> None:
        """One pass."""
        seal.seal_pass(self.held, most_readings)

    def thin(self, bucket: int) -> None:
        """Whole blocks that end before the bucket begins, of all that arrived."""
        # A repeat that is in the journal still would count again.
        while seal.seal_pass(self.held, 1_000).rows:
            pass
        before_us = START_US + bucket * BUCKET_US
        for series in SERIES:
            while tiers.thin_out(self.held, series, before_us):
                pass
            kept = set(self.read(series))
            expected = self.model.raw(series)
            assert kept <= set(expected)
            # What lies in no block that ends before stays.
            assert {reading for reading in expected if reading[0] >= before_us} <= kept
            self.model.thin(series, kept)

    def read(self, series: int) -> list[tuple[int, int]]:
        times_us, found = read_sync([series], *FOREVER)[series]
        return pairs(times_us, found.view("int64"))

    def check(self) -> None:
        """All that arrived is read, one by one or in buckets."""
        for series in SERIES:
            assert self.read(series) == self.model.raw(series)
        for width_us in (BUCKET_US, HOUR_US):
            answer = read_buckets(SERIES, START_US, END_US, 100, width_us=width_us)
            assert answer.missing == []
            assert answer.width_us == width_us
            for series in SERIES:
                found = answer.series[series]
                columns = found.summaries
                read = {
                    start_us: Bucket(*row)
                    for start_us, *row in zip(
                        found.starts_us.tolist(),
                        columns.count.tolist(),
                        columns.minimum.tolist(),
                        columns.maximum.tolist(),
                        columns.sum.tolist(),
                        strict=True,
                    )
                }
                assert read == wider(self.model.buckets(series), width_us)


def wider(buckets: Buckets, width_us: int) -> Buckets:
    """The same in buckets of another width."""
    found: Buckets = {}
    for start_us, bucket in buckets.items():
        start_us -= start_us % width_us
        found[start_us] = found[start_us] + bucket if start_us in found else bucket
    return found


# The database is emptied for each example, below.
often = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(often, max_examples=25)
@given(todo=st.lists(actions, min_size=1, max_size=14))
def test_what_arrived_is_read_back_as_a_dictionary_says(
    todo: list[tuple[str, object]], small: None
):
    check(todo)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(often, max_examples=150)
@given(todo=st.lists(actions, min_size=1, max_size=14))
def test_what_arrived_is_read_back_as_a_dictionary_says_more_often(
    todo: list[tuple[str, object]], small: None
):
    check(todo)


def check(todo: list[tuple[str, object]]) -> None:
    """One course of arrivals, sealing and thinning out, looked at after each step."""
    for model in (Writer, Journal, Block, SeriesHead, Lease):
        model.objects.all().delete()
    with lease.claimed() as held:
        assert held is not None
        history = History(held)
        for name, argument in todo:
            getattr(history, name)(argument)
            history.check()


# As far apart as times may be: early ones of the protocol, and a day ahead.
any_times = st.one_of(times, st.integers(MIN_TIME_US, END_US))
any_values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.7e308, -1.7e308, 5e-324, -0.0]),
)
any_readings = st.tuples(st.sampled_from(SERIES), any_times, any_values)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(arrived=st.lists(st.lists(any_readings, max_size=20), min_size=1, max_size=6))
def test_any_finite_values_are_sealed_and_read_to_the_bit(
    arrived: list[list[Reading]], small: None
):
    for model in (Writer, Journal, Block, SeriesHead, Lease, Fault):
        model.objects.all().delete()
    with lease.claimed() as held:
        assert held is not None
        history = History(held)
        for row in arrived:
            history.row(row)
            history.seal(1_000)
            for series in SERIES:
                assert history.read(series) == history.model.raw(series)
    assert not Fault.objects.exists()
    assert not Journal.objects.exists()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    make_small(monkeypatch)
