"""Runs a fleet: each device measures at its own rate and sends what it measured."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..protocol import clock, close_codes
from ..protocol.messages import Value
from .batch import batch_of
from .device import Device, Stopped
from .signals import Signal

# Of what was kept: a message of some 20 KB.
PAST_BATCH_ROWS = 500
# A device that has fallen this far behind its schedule gives up catching up.
BEHIND_US = 5_000_000
WHOLE_MS_FROM_US = 5_000
# “About” so long: anything in this part of it.
ABOUT = (0.8, 1.2)
# How long the first device may take to be welcomed.
ARRIVAL_SECONDS = 5.0


class NotWelcome(Exception):
    """The hub did not take the fleet.

    code: the close code with which it sent a device away; None: it never answered.
    """

    def __init__(self, device: Device, code: int | None) -> None:
        super().__init__(f"{device.slug}: {device.stopped or 'no welcome'}")
        self.device = device
        self.code = code


@dataclass(frozen=True, slots=True)
class Habits:
    """How a device behaves.

    rate_hz: rows a second; batch_rows: rows a message. quiet_every_seconds: about
    how often it falls silent for about quiet_seconds (None: never), for the first
    time after about first_quiet_seconds; one that `remembers` sends later what it
    measured meanwhile. past_seconds: how long it had measured, and kept it, before
    it first connects.
    """

    rate_hz: float
    batch_rows: int = 1
    quiet_every_seconds: float | None = None
    quiet_seconds: float = 75.0
    first_quiet_seconds: float | None = None
    remembers: bool = False
    past_seconds: float = 0.0


@dataclass(slots=True)
class Machine:
    """One simulated device: its client, its metrics and its habits."""

    device: Device
    signals: Sequence[Signal]
    habits: Habits
    rng: random.Random


async def measure(machine: Machine, until_us: int | None = None) -> None:
    """Send readings at the machine's rate until then, or for ever. Raises Stopped."""
    habits = machine.habits
    period_us = 1e6 / habits.rate_hz
    names = [signal.name for signal in machine.signals]
    rows: list[tuple[int, list[Value]]] = []
    # Devices that were started together do not measure together.
    start_us = clock.now_us() + machine.rng.random() * min(period_us, 1e6)
    await _send_past(machine, names, start_us, period_us)
    quiet = _Quiet(habits, machine.rng, start_us)
    count = 0
    while True:
        due_us = round(start_us + count * period_us)
        if until_us is not None and due_us >= until_us:
            break
        behind_us = clock.now_us() - due_us
        if behind_us > BEHIND_US:
            start_us += behind_us
            continue
        if behind_us < 0:
            await asyncio.sleep(-behind_us / 1e6)
        count += 1
        is_quiet = quiet.at(due_us)
        if is_quiet and not habits.remembers:
            continue
        rows.append(_row(machine, due_us, period_us))
        if len(rows) >= habits.batch_rows and not is_quiet:
            await _send(machine.device, names, rows)
            rows = []
    if rows:
        await _send(machine.device, names, rows)


async def _send_past(
    machine: Machine, names: Sequence[str], start_us: float, period_us: float
) -> None:
    count = int(machine.habits.past_seconds * machine.habits.rate_hz)
    rows = [
        _row(machine, round(start_us - before * period_us), period_us)
        for before in range(count, 0, -1)
    ]
    for first in range(0, count, PAST_BATCH_ROWS):
        await _send(machine.device, names, rows[first : first + PAST_BATCH_ROWS])


def _row(machine: Machine, due_us: int, period_us: float) -> tuple[int, list[Value]]:
    # Slow devices tell whole milliseconds, as most clocks do.
    time_us = due_us // 1000 * 1000 if period_us >= WHOLE_MS_FROM_US else due_us
    return time_us, [signal.at(due_us / 1e6) for signal in machine.signals]


async def _send(
    device: Device, names: Sequence[str], rows: list[tuple[int, list[Value]]]
) -> None:
    await device.send(batch_of(names, rows))


class _Quiet:
    """When a device falls silent, and for how long."""

    def __init__(self, habits: Habits, rng: random.Random, now_us: float) -> None:
        self._habits, self._rng = habits, rng
        self._until_us = 0.0
        first = habits.first_quiet_seconds
        self._next_us = self._after(now_us, first or habits.quiet_every_seconds)

    def at(self, now_us: float) -> bool:
        if now_us >= self._next_us:
            seconds = self._habits.quiet_seconds * self._rng.uniform(*ABOUT)
            self._until_us = now_us + seconds * 1e6
            self._next_us = self._after(
                self._until_us, self._habits.quiet_every_seconds
            )
        return now_us < self._until_us

    def _after(self, now_us: float, seconds: float | None) -> float:
        if seconds is None:
            return float("inf")
        return now_us + seconds * self._rng.uniform(*ABOUT) * 1e6


async def run(
    machines: Sequence[Machine],
    seconds: float | None,
    drain_seconds: float,
    arrival_seconds: float | None = None,
) -> None:
    """Run all machines for so long (None: until cancelled), then wait for their acks.

    Devices that the hub refused have stopped; the others go on. What is not acked
    `drain_seconds` after the end stays in the devices' outboxes. arrival_seconds:
    the first device must be welcomed within it, else NotWelcome; only then the
    others come, so that a fleet with wrong keys shows the hub a single one.
    """
    running: list[asyncio.Task[None]] = []
    measuring: list[asyncio.Task[None]] = []
    try:
        if arrival_seconds is not None:
            running.append(asyncio.ensure_future(machines[0].device.run()))
            await _arrive(machines[0].device, arrival_seconds)
        rest = machines[len(running) :]
        running += [asyncio.ensure_future(each.device.run()) for each in rest]
        until_us = None if seconds is None else clock.now_us() + round(seconds * 1e6)
        measuring += [
            asyncio.ensure_future(_measure_unless_stopped(each, until_us))
            for each in machines
        ]
        await _finish(machines, measuring, seconds, drain_seconds)
    finally:
        for task in measuring:
            task.cancel()
        await asyncio.gather(*measuring, return_exceptions=True)
        await asyncio.gather(*(each.device.close() for each in machines))
        for task in running:
            task.cancel()
        results = await asyncio.gather(*running, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _arrive(device: Device, seconds: float) -> None:
    """Wait until the hub has welcomed the device. Raises NotWelcome.

    A device that the hub knows and does not want (4403) is no reason to stop.
    """
    try:
        await asyncio.wait_for(device.welcomed(), seconds)
    except asyncio.TimeoutError:
        raise NotWelcome(device, None) from None
    except Stopped:
        if device.stopped_code != close_codes.FORBIDDEN:
            raise NotWelcome(device, device.stopped_code) from None


async def _finish(
    machines: Sequence[Machine],
    measuring: Sequence[asyncio.Task[None]],
    seconds: float | None,
    drain_seconds: float,
) -> None:
    """Wait for the measuring to end, then for the acks; raise what broke either.

    A device that waits for room in its outbox must not hold the end up.
    """
    loop = asyncio.get_running_loop()
    timeout = None if seconds is None else seconds + drain_seconds
    end = None if timeout is None else loop.time() + timeout
    done, _ = await asyncio.wait(measuring, timeout=timeout)
    for task in done:
        task.result()
    left = drain_seconds if end is None else max(0.0, end - loop.time())
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(
            asyncio.gather(*(_drain(each.device) for each in machines)), left
        )


async def _measure_unless_stopped(machine: Machine, until_us: int | None) -> None:
    try:
        await measure(machine, until_us)
    except Stopped:
        return


async def _drain(device: Device) -> None:
    try:
        await device.drained()
    except Stopped:
        return
