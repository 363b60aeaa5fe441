"""Readings to store: five shapes at a steady rate, real data sets, short series.

Times are int64 µs UTC, ascending; values float64. The shapes are made from a seed, so
that two runs store the same. The real ones are files of the package bokeh-sampledata,
which is installed for tests.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Readings = tuple[Int64s, Floats]

SECOND_US = 1_000_000
DAY_SECONDS = 86_400
# A thermometer: half a day's swing, the weather's walk, the sensor's own noise.
SWING, WALK, NOISE = 4.0, 0.01, 0.015
# How far a device's timer is off, most of the time.
JITTER_MS = 10.0
RIDE_US = 1_700_000_000 * SECOND_US
# On/off changes about that often; a counter grows by this a second and starts anew.
SWITCH_SECONDS, PULSES_A_SECOND, RESET_SECONDS = 600.0, 3.0, 5 * DAY_SECONDS


@dataclass(frozen=True)
class Shape:
    """A kind of series: its name, and what makes its times and values."""

    name: str
    times: Callable[[np.random.Generator, Int64s], Int64s]
    values: Callable[[np.random.Generator, Int64s], Floats]

    def readings(
        self, seed: int, start_us: int, count: int, step_us: int = SECOND_US
    ) -> Readings:
        """`count` readings from `start_us` on, `step_us` apart (but for jitter)."""
        random = np.random.default_rng(seed)
        regular = start_us + np.arange(count, dtype=np.int64) * step_us
        values = self.values(random, regular)
        return self.times(random, regular), values


def _regular(random: np.random.Generator, times_us: Int64s) -> Int64s:
    return times_us


def _jittered(random: np.random.Generator, times_us: Int64s) -> Int64s:
    off_ms = np.rint(random.normal(0, JITTER_MS, len(times_us))).astype(np.int64)
    return np.sort(times_us + off_ms * 1_000)


def _exact_temperature(random: np.random.Generator, times_us: Int64s) -> Floats:
    seconds = times_us / SECOND_US
    swing: Floats = SWING * np.sin(2 * np.pi * seconds / DAY_SECONDS)
    walk = np.cumsum(random.normal(0, WALK, len(times_us)))
    noise: Floats = random.normal(0, NOISE, len(times_us))
    return 21 + swing + walk + noise


def _temperature(random: np.random.Generator, times_us: Int64s) -> Floats:
    return np.round(_exact_temperature(random, times_us), 2)


def _on_off(random: np.random.Generator, times_us: Int64s) -> Floats:
    step_us = int(times_us[1] - times_us[0]) if len(times_us) > 1 else SECOND_US
    often = min(1.0, step_us / (SWITCH_SECONDS * SECOND_US))
    switches = np.cumsum(random.random(len(times_us)) < often)
    return (switches % 2).astype(np.float64)


def _counter(random: np.random.Generator, times_us: Int64s) -> Floats:
    total = np.cumsum(random.poisson(PULSES_A_SECOND, len(times_us))).astype(float)
    step_us = int(times_us[1] - times_us[0]) if len(times_us) > 1 else SECOND_US
    every = max(1, int(RESET_SECONDS * SECOND_US / step_us))
    for start in range(every, len(total), every):
        total[start:] -= total[start]
    return total


SHAPES = (
    Shape("regular, 2 decimals", _regular, _temperature),
    Shape("ms jitter, 2 decimals", _jittered, _temperature),
    Shape("full-precision floats", _regular, _exact_temperature),
    Shape("on/off", _regular, _on_off),
    Shape("counter", _regular, _counter),
)
REGULAR = SHAPES[0]


def real_sets() -> dict[str, dict[str, Readings]]:
    """Data sets of real sensors: series by name; empty without the package."""
    found = find_spec("bokeh_sampledata")
    if found is None or found.origin is None:
        return {}
    folder = Path(found.origin).parent / "_data"
    return {
        "sea surface temperature, 30 min": {"temperature": _sea(folder)},
        "bicycle computer, 7 metrics, 1 Hz": dict(_cycling(folder)),
    }


def repeated(readings: Readings, count: int) -> Readings:
    """`readings` again and again, each time later, until there are `count`.

    Values and steps between times stay as they are; one step joins two rounds.
    """
    times_us, values = readings
    rounds = -(-count // len(times_us))
    span_us = int(times_us[-1] - times_us[0])
    join_us = int(np.median(np.diff(times_us)))
    shifts = np.repeat(np.arange(rounds) * (span_us + join_us), len(times_us))
    later = np.tile(times_us, rounds) + shifts
    return later[:count], np.tile(values, rounds)[:count]


def _sea(folder: Path) -> Readings:
    rows = _rows(folder / "sea_surface_temperature.csv.gz")
    return _series(
        [(_utc_us(row["time (UTC)"]), row["temperature (celsius)"]) for row in rows]
    )


def _cycling(folder: Path) -> Iterator[tuple[str, Readings]]:
    rows = list(_rows(folder / "cycling.csv.gz"))
    for name in rows[0]:
        if name not in ("", "time"):
            yield name, _series([(_ride_us(row["time"]), row[name]) for row in rows])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _series(rows: list[tuple[int, str]]) -> Readings:
    known = [(time_us, float(value)) for time_us, value in rows if value]
    known.sort(key=lambda row: row[0])
    times_us, values = zip(*known, strict=True)
    return np.array(times_us, np.int64), np.array(values, np.float64)


def _utc_us(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp()) * SECOND_US


def _ride_us(text: str) -> int:
    """Such as `0 days 00:01:02` since the start; the day of the ride is not known."""
    days, _, clock = text.partition(" days ")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    since = ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    return RIDE_US + since * SECOND_US
