"""Metrics of devices that do not exist: values that look and move like real ones.

Pure: time comes in as seconds, all chance from the generator given at the start, so
one seed gives one run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Literal, Protocol

from ..protocol.messages import MetricHint, Value

DAY_SECONDS = 86_400.0


class Signal(Protocol):
    """One metric of one device. `at` is called with times that only grow.

    `resume`, before the first `at`: go on from what was read at that time.
    """

    name: str
    hint: MetricHint

    def at(self, seconds: float) -> Value: ...
    def resume(self, seconds: float, value: float) -> None: ...


class Wander:
    """A quantity that is pulled back to its middle and swings with the day.

    swing: half the difference between night and afternoon; spread: standard
    deviation of the noise once settled; settle_seconds: how long a disturbance
    lasts; floor, ceiling: bounds that nature sets.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        middle: float,
        spread: float,
        rng: random.Random,
        *,
        swing: float = 0.0,
        settle_seconds: float = 120.0,
        decimals: int = 2,
        floor: float = -math.inf,
        ceiling: float = math.inf,
        label: str = "",
    ) -> None:
        self.name = name
        self.hint = MetricHint(unit=unit, label=label, kind="number")
        self._middle, self._spread, self._swing = middle, spread, swing
        self._settle_seconds = settle_seconds
        self._decimals = decimals
        self._floor, self._ceiling = floor, ceiling
        self._rng = rng
        self._noise = rng.gauss(0, spread)
        self._last_seconds: float | None = None

    def at(self, seconds: float) -> float:
        # An Ornstein-Uhlenbeck step: exact for any distance in time.
        if self._last_seconds is not None:
            kept = _kept(seconds - self._last_seconds, self._settle_seconds)
            shock = self._spread * math.sqrt(max(0.0, 1 - kept * kept))
            self._noise = self._noise * kept + self._rng.gauss(0, shock)
        self._last_seconds = seconds
        value = self._usual(seconds) + self._noise
        return round(min(max(value, self._floor), self._ceiling), self._decimals)

    def resume(self, seconds: float, value: float) -> None:
        most = 3 * self._spread
        self._noise = _clamped(value - self._usual(seconds), -most, most)
        self._last_seconds = seconds

    def _usual(self, seconds: float) -> float:
        # Coldest at 04:00 UTC, warmest at 16:00.
        day = -math.cos(2 * math.pi * (seconds / DAY_SECONDS - 4 / 24))
        return self._middle + self._swing * day


class Drift:
    """A sensor that loses its calibration: `inner` plus a slope, reset at times."""

    def __init__(
        self, inner: Signal, per_hour: float, every_seconds: float, decimals: int = 2
    ) -> None:
        self.name, self.hint = inner.name, inner.hint
        self._inner, self._per_hour, self._decimals = inner, per_hour, decimals
        self._every_seconds = every_seconds

    def at(self, seconds: float) -> Value:
        value = self._inner.at(seconds)
        if not isinstance(value, int | float):
            return value
        return round(value + self._lost(seconds), self._decimals)

    def resume(self, seconds: float, value: float) -> None:
        self._inner.resume(seconds, value - self._lost(seconds))

    def _lost(self, seconds: float) -> float:
        return self._per_hour * (seconds % self._every_seconds) / 3600


class Spikes:
    """`inner`, but about every `every_seconds` one reading is far off by `height`."""

    def __init__(
        self, inner: Signal, height: float, every_seconds: float, rng: random.Random
    ) -> None:
        self.name, self.hint = inner.name, inner.hint
        self._inner, self._height = inner, height
        self._every_seconds = every_seconds
        self._rng = rng
        self._next_seconds: float | None = None

    def at(self, seconds: float) -> Value:
        value = self._inner.at(seconds)
        if self._next_seconds is None:
            self._next_seconds = seconds + self._pause()
        if seconds < self._next_seconds or not isinstance(value, int | float):
            return value
        self._next_seconds = seconds + self._pause()
        return round(value + self._height * self._rng.uniform(0.7, 1.3), 3)

    def resume(self, seconds: float, value: float) -> None:
        self._inner.resume(seconds, value)

    def _pause(self) -> float:
        return self._rng.expovariate(1 / self._every_seconds)


class Counter:
    """A meter that only grows, at a rate that wanders; `per_hour` on average."""

    def __init__(
        self,
        name: str,
        unit: str,
        per_hour: float,
        rng: random.Random,
        *,
        decimals: int = 3,
    ) -> None:
        self.name = name
        self.hint = MetricHint(unit=unit, kind="number")
        self._per_second = per_hour / 3600
        self._decimals = decimals
        self._rng = rng
        self._total = rng.uniform(100, 5_000)
        self._last_seconds: float | None = None

    def at(self, seconds: float) -> float:
        if self._last_seconds is not None:
            # A machine's clock may have been set back since it was resumed.
            passed = max(0.0, seconds - self._last_seconds)
            self._total += passed * self._per_second * self._rng.uniform(0.4, 1.6)
        self._last_seconds = seconds
        return round(self._total, self._decimals)

    def resume(self, seconds: float, value: float) -> None:
        self._total, self._last_seconds = value, seconds


class Switch:
    """On for about `on_seconds`, then off for about `off_seconds`."""

    def __init__(
        self, name: str, on_seconds: float, off_seconds: float, rng: random.Random
    ) -> None:
        self.name = name
        self.hint = MetricHint(kind="boolean")
        self._seconds = {True: on_seconds, False: off_seconds}
        self._rng = rng
        self._is_on = rng.random() < on_seconds / (on_seconds + off_seconds)
        self._until_seconds: float | None = None

    def at(self, seconds: float) -> bool:
        if self._until_seconds is None:
            self._until_seconds = seconds + self._dwell()
        elif seconds >= self._until_seconds:
            self._is_on = not self._is_on
            self._until_seconds = seconds + self._dwell()
        return self._is_on

    def resume(self, seconds: float, value: float) -> None:
        self._is_on = bool(value)

    def _dwell(self) -> float:
        return self._seconds[self._is_on] * self._rng.uniform(0.5, 1.5)


class Follower:
    """A quantity that heads for one value while a switch is on, another while off.

    Place it after its switch: it sees what the switch said for the same instant.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        switch: Switch,
        when: tuple[float, float],
        rng: random.Random,
        *,
        settle_seconds: float = 60.0,
        spread: float = 0.0,
        decimals: int = 2,
    ) -> None:
        self.name = name
        self.hint = MetricHint(unit=unit, kind="number")
        self._switch, self._when = switch, when
        self._settle_seconds, self._spread = settle_seconds, spread
        self._decimals = decimals
        self._rng = rng
        self._value = sum(when) / 2
        self._last_seconds: float | None = None

    def at(self, seconds: float) -> float:
        on, off = self._when
        target = on if self._switch.at(seconds) else off
        if self._last_seconds is not None:
            kept = _kept(seconds - self._last_seconds, self._settle_seconds)
            self._value = target + (self._value - target) * kept
        self._last_seconds = seconds
        value = self._value + self._rng.gauss(0, self._spread)
        # A pump that is off draws no power: its noise is none of the other sign.
        return round(max(value, 0.0) if min(on, off) >= 0 else value, self._decimals)

    def resume(self, seconds: float, value: float) -> None:
        self._value = _clamped(value, min(self._when), max(self._when))
        self._last_seconds = seconds


class Words:
    """A text that says something only when it changes, and once a `repeat_seconds`."""

    def __init__(
        self,
        name: str,
        words: tuple[str, ...],
        dwell_seconds: float,
        rng: random.Random,
        *,
        repeat_seconds: float = 300.0,
    ) -> None:
        self.name = name
        self.hint = MetricHint(kind="text")
        self._words, self._dwell_seconds = words, dwell_seconds
        self._repeat_seconds = repeat_seconds
        self._rng = rng
        self._word = rng.choice(words)
        self._until_seconds: float | None = None
        self._said_seconds = -math.inf

    def at(self, seconds: float) -> str | None:
        if self._until_seconds is None:
            self._until_seconds = seconds + self._dwell()
        elif seconds >= self._until_seconds:
            others = [word for word in self._words if word != self._word]
            self._word = self._rng.choice(others or list(self._words))
            self._until_seconds = seconds + self._dwell()
            self._said_seconds = -math.inf
        if seconds - self._said_seconds < self._repeat_seconds:
            return None
        self._said_seconds = seconds
        return self._word

    def resume(self, seconds: float, value: float) -> None:
        """Nothing: a text says itself anew."""

    def _dwell(self) -> float:
        return self._dwell_seconds * self._rng.uniform(0.3, 1.7)


Machine = Callable[[random.Random], list[Signal]]
MachineName = Literal[
    "boiler", "cold_room", "pump", "hall", "meter", "tank", "weather", "fan"
]


def boiler(rng: random.Random) -> list[Signal]:
    burner = Switch("burner", 240, 120, rng)
    return [
        burner,
        Follower("flow_temp", "°C", burner, (74, 58), rng, spread=0.15, decimals=1),
        Follower(
            "return_temp",
            "°C",
            burner,
            (52, 44),
            rng,
            settle_seconds=150,
            spread=0.1,
            decimals=1,
        ),
        Wander("pressure", "bar", 1.8, 0.04, rng, floor=0.0),
        Counter("gas", "m³", 6.0, rng),
        Words("state", ("heating", "hot water", "standby", "purging"), 240, rng),
    ]


def cold_room(rng: random.Random) -> list[Signal]:
    compressor = Switch("compressor", 180, 300, rng)
    return [
        compressor,
        Follower(
            "temp", "°C", compressor, (-1.5, 6.5), rng, settle_seconds=420, spread=0.03
        ),
        Wander("humidity", "%", 84, 2.0, rng, decimals=1, floor=0, ceiling=100),
        Switch("door_open", 25, 600, rng),
    ]


def pump(rng: random.Random) -> list[Signal]:
    running = Switch("running", 900, 90, rng)
    return [
        running,
        Follower("flow", "l/min", running, (126, 0), rng, settle_seconds=6, spread=0.6),
        Follower(
            "vibration", "mm/s", running, (2.4, 0.1), rng, settle_seconds=3, spread=0.09
        ),
        Follower("power", "W", running, (1480, 6), rng, settle_seconds=3, spread=9),
        Words("state", ("running", "idle", "priming", "service due"), 300, rng),
    ]


def hall(rng: random.Random) -> list[Signal]:
    return [
        Wander("temp", "°C", 20.5, 0.25, rng, swing=1.8),
        Wander(
            "humidity", "%", 46, 1.5, rng, swing=-4, decimals=1, floor=0, ceiling=100
        ),
        Wander("co2", "ppm", 640, 70, rng, decimals=0, floor=410, settle_seconds=600),
        Switch("occupied", 900, 420, rng),
    ]


def meter(rng: random.Random) -> list[Signal]:
    return [
        Wander("power", "W", 18_400, 1_900, rng, swing=5_200, decimals=0, floor=0),
        Wander("voltage", "V", 231.2, 0.7, rng, decimals=1),
        Wander("frequency", "Hz", 50, 0.012, rng, decimals=3, settle_seconds=30),
        Counter("energy", "kWh", 18.4, rng),
    ]


def tank(rng: random.Random) -> list[Signal]:
    valve = Switch("valve_open", 150, 400, rng)
    return [
        valve,
        Follower("level", "%", valve, (96, 22), rng, settle_seconds=380, spread=0.05),
        Wander("temp", "°C", 14.2, 0.1, rng, swing=0.6),
    ]


def weather(rng: random.Random) -> list[Signal]:
    return [
        Wander("temp", "°C", 9.5, 0.35, rng, swing=4.5, settle_seconds=900),
        Wander("wind", "m/s", 4.2, 1.3, rng, decimals=1, floor=0, settle_seconds=25),
        Wander("air_pressure", "hPa", 1013.4, 0.4, rng, settle_seconds=3_000),
        Switch("raining", 600, 2_400, rng),
    ]


def fan(rng: random.Random) -> list[Signal]:
    return [
        Wander("speed", "rpm", 1_420, 12, rng, decimals=0, floor=0),
        Wander("current", "A", 3.1, 0.07, rng, decimals=3, floor=0),
        Wander("bearing_temp", "°C", 47, 0.4, rng, swing=2, settle_seconds=400),
        Words("state", ("auto", "manual", "boost"), 420, rng),
    ]


MACHINES: dict[MachineName, Machine] = {
    "boiler": boiler,
    "cold_room": cold_room,
    "pump": pump,
    "hall": hall,
    "meter": meter,
    "tank": tank,
    "weather": weather,
    "fan": fan,
}


def _kept(passed_seconds: float, settle_seconds: float) -> float:
    """The part of a disturbance that is left; all of it if a clock was set back."""
    return math.exp(-max(0.0, passed_seconds) / settle_seconds)


def _clamped(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def hints(signals: list[Signal]) -> dict[str, MetricHint]:
    """Unit and kind by metric name, for `hello`."""
    return {signal.name: signal.hint for signal in signals}
