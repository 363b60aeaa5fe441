"""Blocks and what they hold, for tests of tiers, retention and removal."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from telemetry.devices.models import Device, Series
from telemetry.history import blocks, lease, summary, tier_rows
from telemetry.history.blocks import NewBlock
from telemetry.history.lease import Held
from telemetry.history.models import Block, SeriesHead
from telemetry.history.summary import Summaries

from .rows import NOW_US

SECOND_US = 1_000_000
BUCKET_US = 300 * SECOND_US
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
# The start of a bucket, long enough ago for every default but the five years.
OLD_US = (NOW_US - 60 * DAY_US) // BUCKET_US * BUCKET_US


def hold() -> Held:
    """A claim of the lease."""
    held = lease.claim()
    assert held is not None
    return held


def make_series(*groups, slug: str = "boiler", name: str = "t", **fields) -> int:
    """A series of a device in these groups; the device is made if there is none."""
    device, _ = Device.objects.get_or_create(slug=slug, defaults={"name": slug})
    device.groups.add(*groups)
    return Series.objects.create(device=device, name=name, **fields).id


def make_head(series: int, **fields) -> SeriesHead:
    """The last value of a series, whatever it is."""
    moment = {"time_us": NOW_US, "effective_us": NOW_US, "received_us": NOW_US}
    return SeriesHead.objects.create(series_id=series, value=1.0, **moment, **fields)


def regular(start_us: int, count: int, step_us: int = SECOND_US, seed: int = 1):
    """Times and values: halves, of which sums are exact in any order."""
    values = np.random.default_rng(seed).integers(0, 200, count) / 2
    return np.arange(count, dtype=np.int64) * step_us + start_us, values


def save(series: int, times_us, values, part: int = 0, is_open: bool = False) -> Block:
    """A raw block in the database."""
    times, floats = np.asarray(times_us, np.int64), np.asarray(values, np.float64)
    return _saved(blocks.build(series, times, floats, part, is_open))


def save_tier(series: int, times_us, values) -> Block:
    """A block of the tier in the database, of these readings."""
    rows = tier_rows.of_readings(
        np.asarray(times_us, np.int64), np.asarray(values, np.float64)
    )
    return _saved(blocks.build_tier(series, rows))


def _saved(new: NewBlock) -> Block:
    blocks.insert([new])
    return Block.objects.latest("id")


def damage(block: Block) -> None:
    """Turn one bit of its data over."""
    data = bytearray(block.data)
    data[-1] ^= 1
    Block.objects.filter(pk=block.pk).update(data=bytes(data))


def raw(series: int) -> list[tuple[int, float]]:
    """All raw readings, block by block."""
    found: list[tuple[int, float]] = []
    for block in _blocks(series, blocks.RAW):
        times_us, values = blocks.read(block)
        found += zip(times_us.tolist(), values.tolist(), strict=True)
    return found


def tier(series: int) -> list[Block]:
    """The blocks of the tier, by time."""
    return _blocks(series, blocks.TIER_SECONDS)


def tier_of(series: int) -> Summaries:
    """The rows of the tier, one a bucket, as a reader merges them."""
    rows = summary.joined([blocks.read_tier(block) for block in tier(series)])
    starts = np.flatnonzero(np.diff(rows.first_us // BUCKET_US, prepend=-1))
    return summary.merged(rows, starts)


def expected(times_us: Iterable[int], values: Iterable[float]) -> Summaries:
    """The rows of these readings, summed up at once."""
    times, floats = np.asarray(times_us, np.int64), np.asarray(values, np.float64)
    order = np.argsort(times, kind="stable")
    return tier_rows.of_readings(times[order], floats[order])


def assert_same(found: Summaries, wanted: Summaries, *, but: tuple[str, ...] = ()):
    """Equal to the bit, but sums of products, of which the last bits differ."""
    for name in Summaries.__dataclass_fields__:
        if name in but:
            continue
        one, other = getattr(found, name), getattr(wanted, name)
        if name == "integral":
            np.testing.assert_allclose(one, other, rtol=1e-9, err_msg=name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


def _blocks(series: int, resolution_seconds: int) -> list[Block]:
    rows = Block.objects.filter(series_id=series, resolution_seconds=resolution_seconds)
    return list(rows.order_by("start_us", "part"))
