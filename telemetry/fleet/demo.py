"""The fleet of `make demo`: a small plant and its halls, with their small troubles."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .enrol import Wanted
from .signals import MACHINES, Drift, MachineName, Signal, Spikes
from .simulation import Habits

TAG = "demo"
# A new demo opens on charts with something in them, and one that was stopped goes on
# where it was: its devices kept what they measured meanwhile, but no more than this.
PAST_SECONDS = 900.0
PLANT = ("demo", "Demo plant")
HALLS = ("demo-halls", "Demo halls")


@dataclass(frozen=True, slots=True)
class Role:
    """One device of the demo. `drifts`, `spikes`: the metric that does.

    It is one that the fleet page shows unasked, so that whoever looks there finds it.
    """

    slug: str
    name: str
    group: tuple[str, str]
    machine: MachineName
    habits: Habits
    drifts: tuple[str, float] | None = None
    spikes: tuple[str, float] | None = None

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.slug, self.name, *self.group)

    def signals(self, rng: random.Random) -> list[Signal]:
        made = MACHINES[self.machine](rng)
        for at, signal in enumerate(made):
            if self.drifts and signal.name == self.drifts[0]:
                # Recalibrated every hour.
                made[at] = Drift(signal, self.drifts[1], 3_600)
            if self.spikes and signal.name == self.spikes[0]:
                made[at] = Spikes(signal, self.spikes[1], 90, rng)
        return made


_STEADY = Habits(rate_hz=1)
_FAST = Habits(rate_hz=5, batch_rows=5)
_SLOW = Habits(rate_hz=0.2)

ROLES: tuple[Role, ...] = (
    Role("boiler-17", "Boiler 17", PLANT, "boiler", _STEADY),
    Role("boiler-18", "Boiler 18", PLANT, "boiler", _STEADY),
    Role(
        "pump-3",
        "Feed pump 3",
        PLANT,
        "pump",
        # So that whoever looks at a new demo sees it late within a minute, and back.
        Habits(
            rate_hz=1, quiet_every_seconds=150, quiet_seconds=25, first_quiet_seconds=40
        ),
    ),
    Role("pump-4", "Feed pump 4", PLANT, "pump", _FAST),
    Role("tank-1", "Rain tank", PLANT, "tank", _SLOW, drifts=("temp", 12)),
    Role("meter-1", "Main meter", PLANT, "meter", _STEADY),
    Role("fan-2", "Exhaust fan 2", PLANT, "fan", _STEADY),
    Role("cold-room-1", "Cold room 1", HALLS, "cold_room", _STEADY),
    Role("cold-room-2", "Cold room 2", HALLS, "cold_room", _SLOW),
    Role("hall-1", "Assembly hall", HALLS, "hall", _STEADY, spikes=("temp", 9)),
    Role(
        "hall-2",
        "Storage hall",
        HALLS,
        "hall",
        Habits(rate_hz=1, quiet_every_seconds=420, quiet_seconds=60, remembers=True),
    ),
    Role("roof", "Weather station on the roof", HALLS, "weather", _SLOW),
)
