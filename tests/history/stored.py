"""Readings put where the history keeps them, for tests of what reads them back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from telemetry.history import blocks, tier_rows
from telemetry.history.models import Block, Fault, Journal, TextReading
from telemetry.history.tail import Tail
from telemetry.history.tick import without_repeats

from .rows import bits, columns_of, write

# One series' readings as (time µs, value).
Pairs = Sequence[tuple[int, float]]
_numbers = itertools.count(1)


def clear() -> None:
    """Forget everything: for tests that make many databases' worth of readings."""
    for model in (Block, Fault, Journal, TextReading):
        model.objects.all().delete()


def columns(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Times and values by time, equal times in their order, without exact repeats."""
    found = without_repeats(columns_of((1, *pair) for pair in pairs))
    return found.times_us, found.values


def seal(series: int, pairs: Pairs, part: int | None = None) -> Block:
    """One raw block of the readings, of which there is at least one."""
    times_us, values = columns(pairs)
    return _save(blocks.build(series, times_us, values), part)


def thin_out(series: int, pairs: Pairs) -> Block:
    """One block of 5-minute rows of the readings, of which there is at least one."""
    return _save(blocks.build_tier(series, tier_rows.of_readings(*columns(pairs))), 0)


def _save(new: blocks.NewBlock, part: int | None) -> Block:
    same = Block.objects.filter(
        series_id=new.series_id,
        resolution_seconds=new.resolution_seconds,
        start_us=new.start_us,
    )
    fields = new._asdict() | {"part": same.count() if part is None else part}
    return Block.objects.create(**fields)


def commit(series: int, pairs: Pairs, tail: Tail | None = None) -> None:
    """One row of the journal, and of the tail."""
    row = write(1, next(_numbers), *((series, *pair) for pair in pairs))
    if tail is not None:
        tail.add(row.writer, row.number, row.columns())


def distinct(pairs: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """What a dictionary makes of arrivals: by time, the first of repeats."""
    first = {
        (time_us, bits([value])[0]): value for time_us, value in reversed(list(pairs))
    }
    kept = dict.fromkeys((time_us, bits([value])[0]) for time_us, value in pairs)
    return sorted(
        ((time_us, first[time_us, raw]) for time_us, raw in kept),
        key=lambda pair: pair[0],
    )


def damage(block: Block) -> None:
    """One bit of the block's bytes on disk is another."""
    data = bytearray(bytes(block.data))
    data[len(data) // 2] ^= 1
    Block.objects.filter(id=block.id).update(data=bytes(data))
