"""Sends a recording as the device that recorded it would have."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..protocol import clock
from ..protocol.messages import Value
from .batch import batch_of
from .device import Device
from .recording import Recording

# Columns of one batch, and about how many values fit into 64 KiB.
BATCH_COLUMNS = 64
BATCH_VALUES = 2_000
BATCH_ROWS = 1_000
# Rows due within this of each other go together.
GATHER_US = 50_000


class Times(enum.Enum):
    """Where the times go: the first row is now, the last row is now, or as they are."""

    LIVE = "live"
    BACKFILL = "backfill"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Playback:
    """How to play: `speed` 10 makes an hour of the recording six minutes."""

    times: Times
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its time for the hub, and when to send it; µs since the epoch."""

    time_us: int
    due_us: int
    values: Sequence[Value]


def timed(recording: Recording, playback: Playback, now_us: int) -> Iterator[Row]:
    """The recording's rows with their new times.

    Live, a row's time is the moment it is sent, so speed changes the distances
    between times, and none is ahead of the clock.
    """
    for time_us, values in recording.rows():
        since = round((time_us - recording.first_us) / playback.speed)
        if playback.times is Times.LIVE:
            yield Row(now_us + since, now_us + since, values)
        elif playback.times is Times.BACKFILL:
            yield Row(time_us - recording.max_us + now_us, now_us, values)
        else:
            yield Row(time_us, now_us + since, values)


async def play(device: Device, recording: Recording, playback: Playback) -> int:
    """Send every row and wait for all acks; return the rows sent. Raises Stopped."""
    names = [column.metric for column in recording.columns]
    most = max(1, min(BATCH_ROWS, BATCH_VALUES // len(names)))
    held: list[tuple[int, Sequence[Value]]] = []
    sent, held_since_us = 0, 0
    # A whole millisecond: shorter messages, and no device knows its time better.
    start_us = clock.now_us() // 1000 * 1000
    for row in timed(recording, playback, start_us):
        now_us = clock.now_us()
        wait_us = row.due_us - now_us
        # A row that is on time goes at once, unless the next one is as near.
        is_late = playback.times is not Times.BACKFILL and (
            wait_us > GATHER_US or now_us - held_since_us > GATHER_US
        )
        if held and (is_late or len(held) >= most):
            sent += await _send(device, names, held)
            held = []
        if wait_us > 0:
            await asyncio.sleep(wait_us / 1e6)
        if not held:
            held_since_us = clock.now_us()
        held.append((row.time_us, row.values))
    if held:
        sent += await _send(device, names, held)
    await device.drained()
    return sent


async def _send(
    device: Device,
    names: Sequence[str],
    rows: Sequence[tuple[int, Sequence[Value]]],
) -> int:
    for first in range(0, len(names), BATCH_COLUMNS):
        part = slice(first, first + BATCH_COLUMNS)
        await device.send(
            batch_of(names[part], [(time, values[part]) for time, values in rows])
        )
    return len(rows)
