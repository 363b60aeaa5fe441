"""Damaged blocks: all else is answered, sealed and thinned out, and nothing deleted."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from telemetry import counters
from telemetry.devices.models import Device, Series
from telemetry.history import blocks, journal, lease, seal
from telemetry.history.keeping import tiers
from telemetry.history.lease import Held
from telemetry.history.models import Block, Fault, Writer
from telemetry.history.pack import FORMAT_VERSION
from telemetry.history.queries.answer import Missing
from telemetry.history.queries.buckets import read_buckets
from telemetry.history.queries.query import read_sync
from telemetry.history.transfer import export

from .arrivals import Arrivals
from .model import BUCKET_US, FOREVER, Bucket, Model, Reading, bits_of, pairs
from .rows import NOW_US, gathered
from .small import make_small

pytestmark = pytest.mark.django_db(transaction=True)

STEP_US = 20_000_000
START_US = NOW_US // BUCKET_US * BUCKET_US
DAY_US = 86_400_000_000

Damage = Callable[[bytes, random.Random], bytes]


def flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]


def cut_short(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def emptied(data: bytes, rng: random.Random) -> bytes:
    return b""


def of_the_future(data: bytes, rng: random.Random) -> bytes:
    return bytes((FORMAT_VERSION + 1,)) + data[1:]


def of_noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(data))


DAMAGES: tuple[Damage, ...] = (flipped, cut_short, emptied, of_the_future, of_noise)


class History:
    """Sealed readings of two series beside their model; some blocks get damaged."""

    def __init__(self, held: Held, seed: int) -> None:
        self.held = held
        self.rng = random.Random(seed)
        device = Device.objects.create(slug="device", name="device")
        self.series = [
            Series.objects.create(device=device, name=name).id for name in ("a", "b")
        ]
        # Of whole numbers any sum is exact, whatever its order.
        self.arrivals = Arrivals(self.rng, self.series, STEP_US, values=(0.0, -0.0))
        self.model = Model()
        self.writer = journal.open_writer(NOW_US).id
        self.number = 0
        self.damaged: dict[int, bytes] = {}
        self.whole: dict[int, bytes] = {}
        # (series, time, bits) that are in damaged blocks alone.
        self.lost: set[tuple[int, int, int]] = set()

    def arrive(self, readings: list[Reading]) -> None:
        self.number += 1
        row = journal.Row(self.writer, self.number, NOW_US, gathered(readings))
        row.write()
        Writer.objects.filter(id=self.writer).update(folded_to=self.number)
        self.model.arrive(readings)
        # What comes once more is put beside the block that cannot be read.
        self.lost -= {
            (series, time, bits_of(value)) for series, time, value in readings
        }

    def seal(self) -> None:
        while seal.seal_pass(self.held, 40).rows:
            pass

    def damage(self, resolution_seconds: int, damage: Damage) -> list[Block]:
        """Damage a third of the blocks; those that are now."""
        found = list(Block.objects.filter(resolution_seconds=resolution_seconds))
        chosen = self.rng.sample(found, max(1, len(found) // 3))
        for block in chosen:
            whole = bytes(block.data)
            broken = damage(whole, self.rng)
            if broken == whole:
                continue
            Block.objects.filter(id=block.id).update(data=broken)
            self.damaged[block.id], self.whole[block.id] = broken, whole
            if resolution_seconds == blocks.RAW:
                times_us, values = blocks.read(block)
                self.lost |= {
                    (block.series_id, *reading)
                    for reading in pairs(times_us, values.view("int64"))
                }
        assert self.lost or resolution_seconds
        return chosen

    def mend(self) -> None:
        """Somebody puts the bytes back from a copy."""
        for block_id, whole in self.whole.items():
            assert Block.objects.filter(id=block_id).update(data=whole)
        self.lost.clear()

    def expected(self, series: int) -> list[tuple[int, int]]:
        return [
            reading
            for reading in self.model.raw(series)
            if (series, *reading) not in self.lost
        ]

    def assert_all_else_is_read(self) -> None:
        missing: list[Missing] = []
        found = read_sync(self.series, *FOREVER, missing=missing)
        for series in self.series:
            times_us, values = found[series]
            # Equal times that were in two blocks have the order of the blocks.
            assert sorted(pairs(times_us, values.view("int64"))) == sorted(
                self.expected(series)
            )
        damaged = Block.objects.filter(id__in=self.damaged, resolution_seconds=0)
        assert set(missing) >= {place_of(block) for block in damaged if self.lost}

    def assert_damaged_are_left(self) -> None:
        """Byte by byte as they are, each with a notice."""
        left = dict(Block.objects.values_list("id", "data"))
        for block_id, broken in self.damaged.items():
            assert bytes(left[block_id]) == broken
        noticed = set(
            Fault.objects.values_list(
                "series_id", "resolution_seconds", "start_us", "end_us"
            )
        )
        for block in Block.objects.filter(id__in=self.damaged):
            place = place_of(block)
            assert (
                place.series,
                place.resolution_seconds,
                place.start_us,
                place.end_us,
            ) in noticed

    def buckets(self) -> dict[int, dict[int, Bucket]]:
        answer = read_buckets(
            self.series, START_US, START_US + DAY_US, 1_000, width_us=BUCKET_US
        )
        return {
            series: {
                start_us: Bucket(*row)
                for start_us, *row in zip(
                    found.starts_us.tolist(),
                    found.summaries.count.tolist(),
                    found.summaries.minimum.tolist(),
                    found.summaries.maximum.tolist(),
                    found.summaries.sum.tolist(),
                    strict=True,
                )
            }
            for series, found in answer.series.items()
        }

    def expected_buckets(self) -> dict[int, dict[int, Bucket]]:
        other = Model()
        for series in self.series:
            readings = self.expected(series)
            other.arrive_bits(series, readings)
        return {series: other.buckets(series) for series in self.series}


def place_of(block: Block) -> Missing:
    return Missing(
        block.series_id, block.resolution_seconds, block.start_us, block.end_us
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    make_small(monkeypatch)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("seed", range(3))
class TestRaw:
    def test_all_else_is_read_and_exported(self, seed: int, damage: Damage):
        with lease.claimed() as held:
            assert held is not None
            history = History(held, seed)
            history.arrive(history.arrivals.readings(150))
            history.seal()
            history.damage(0, damage)
            before = counters.CORRUPT_BLOCKS._value.get()
            history.assert_all_else_is_read()
            assert counters.CORRUPT_BLOCKS._value.get() > before
            history.assert_damaged_are_left()
            exported: dict[int, list[tuple[int, int]]] = {}
            for page in export.pages(export.named(Series.objects.all()), *FOREVER):
                assert not isinstance(page.values, list)
                exported.setdefault(page.series.id, []).extend(
                    pairs(page.times_us, page.values.view("int64"))
                )
            for series in history.series:
                assert sorted(exported[series]) == sorted(history.expected(series))

    def test_whole_blocks_of_the_rest_are_counted_from_their_summaries(
        self, seed: int, damage: Damage
    ):
        with lease.claimed() as held:
            assert held is not None
            history = History(held, seed)
            history.arrive(history.arrivals.readings(150))
            history.seal()
            history.damage(0, damage)
            # The summary beside the damaged bytes is whole: some may be answered.
            full = {series: history.model.buckets(series) for series in history.series}
            least = history.expected_buckets()
            for series, found in history.buckets().items():
                for start_us, bucket in found.items():
                    assert bucket.count <= full[series][start_us].count
                for start_us, bucket in least[series].items():
                    assert found[start_us].count >= bucket.count

    def test_late_readings_are_sealed_beside_and_read(self, seed: int, damage: Damage):
        with lease.claimed() as held:
            assert held is not None
            history = History(held, seed)
            history.arrive(history.arrivals.readings(150))
            history.seal()
            history.damage(0, damage)
            for _ in range(4):
                # Late, doubled, and after the last: some of it into damaged blocks.
                history.arrive(history.arrivals.readings(40))
                history.assert_all_else_is_read()
                history.seal()
                history.assert_all_else_is_read()
                history.assert_damaged_are_left()
            history.mend()
            history.assert_all_else_is_read()

    def test_the_rest_is_thinned_out(self, seed: int, damage: Damage):
        with lease.claimed() as held:
            assert held is not None
            history = History(held, seed)
            history.arrive(history.arrivals.readings(150))
            history.seal()
            history.damage(0, damage)
            history.arrive(history.arrivals.readings(40))
            history.seal()
            expected = history.expected_buckets()
            thin_out(history)
            history.assert_damaged_are_left()
            left = Block.objects.filter(resolution_seconds=0)
            assert set(left.values_list("id", flat=True)) == set(history.damaged)
            # What is in the tier; the damaged ones may add their whole summaries.
            Block.objects.filter(resolution_seconds=0).delete()
            assert history.buckets() == expected


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_rows_of_the_tier_are_told_and_left_and_the_rest_goes_on(
    damage: Damage,
):
    with lease.claimed() as held:
        assert held is not None
        history = History(held, 7)
        history.arrive(history.arrivals.readings(200))
        history.seal()
        thin_out(history)
        chosen = history.damage(300, damage)
        ranges = [(block.series_id, block.start_us, block.end_us) for block in chosen]
        full = {series: history.model.buckets(series) for series in history.series}
        assert_whole_outside(history, full, ranges)
        history.assert_damaged_are_left()
        # Late ones for the damaged rows are put beside them.
        more = [(series, start_us + 1, 5.0) for series, start_us, _end_us in ranges]
        history.arrive(more)
        history.seal()
        thin_out(history)
        history.assert_damaged_are_left()
        counted = sum(
            bucket.count
            for found in history.buckets().values()
            for bucket in found.values()
        )
        assert counted >= len(more)
        full = {series: history.model.buckets(series) for series in history.series}
        assert_whole_outside(history, full, ranges)


def thin_out(history: History) -> None:
    """All that can be read, whether rows take less room or not."""
    for series in history.series:
        skipped: list[int] = []
        while step := tiers.thin_out(history.held, series, FOREVER[1], skipped):
            skipped += step.damaged


def assert_whole_outside(
    history: History,
    full: dict[int, dict[int, Bucket]],
    ranges: list[tuple[int, int, int]],
) -> None:
    """Buckets that no damaged block reaches into are as they should be."""
    for series, found in history.buckets().items():
        for start_us, bucket in full[series].items():
            is_touched = any(
                of == series and first < start_us + BUCKET_US and last >= start_us
                for of, first, last in ranges
            )
            if not is_touched:
                assert found[start_us] == bucket
