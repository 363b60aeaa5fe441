"""What holds for every simulated metric, whatever the seed."""

from __future__ import annotations

import math
import random
from collections import Counter as Counted

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.fleet import demo
from telemetry.fleet.signals import MACHINES, Counter, Drift, Spikes, Wander, Words
from telemetry.protocol.names import SLUG, is_metric_name

START = 1_795_341_600.0
seeds = st.integers(0, 2**32)


@given(seeds, st.sampled_from(sorted(MACHINES)), st.floats(0.01, 3_600))
def test_every_value_is_of_its_kind_and_finite(seed, name, step) -> None:
    signals = MACHINES[name](random.Random(seed))
    kinds: dict[str, type | tuple[type, ...]] = {
        "number": (int, float),
        "boolean": bool,
        "text": str,
    }
    for n in range(30):
        for signal in signals:
            value = signal.at(START + n * step)
            assert is_metric_name(signal.name)
            if value is None:
                assert signal.hint.kind == "text"
                continue
            assert signal.hint.kind is not None
            assert isinstance(value, kinds[signal.hint.kind])
            assert signal.hint.kind == "boolean" or not isinstance(value, bool)
            if isinstance(value, float):
                assert math.isfinite(value)


@given(seeds, st.sampled_from(sorted(MACHINES)))
def test_one_seed_gives_one_run(seed, name) -> None:
    runs = [
        [[signal.at(START + n) for signal in signals] for n in range(20)]
        for signals in (MACHINES[name](random.Random(seed)) for _ in range(2))
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_a_machine_has_several_metrics_with_names_of_their_own(name) -> None:
    names = [signal.name for signal in MACHINES[name](random.Random(1))]
    assert len(names) == len(set(names)) >= 3


@given(seeds)
def test_a_bounded_quantity_stays_within_its_bounds(seed) -> None:
    wander = Wander("h", "%", 50, 60, random.Random(seed), floor=0, ceiling=100)
    values = [wander.at(START + 60.0 * n) for n in range(200)]
    assert all(0 <= value <= 100 for value in values)


@given(seeds)
def test_a_meter_never_runs_backwards(seed) -> None:
    counter = Counter("energy", "kWh", 18, random.Random(seed))
    values = [counter.at(START + n) for n in range(200)]
    assert values == sorted(values)


@given(seeds, st.floats(0, 1e6))
def test_a_meter_goes_on_from_what_was_stored(seed, stored) -> None:
    counter = Counter("energy", "kWh", 18, random.Random(seed))
    counter.resume(START, stored)
    first, second = counter.at(START + 10), counter.at(START + 20)
    assert round(stored, 3) <= first <= stored + 10 * 18 / 3_600 * 1.6 + 1e-3
    assert first <= second
    # A machine whose clock was set back meanwhile.
    assert counter.at(START - 50) == second


@given(seeds, st.sampled_from(sorted(MACHINES)))
def test_a_machine_goes_on_near_its_last_values(seed, name) -> None:
    before = MACHINES[name](random.Random(seed))
    for n in range(300):
        last = [signal.at(START + n) for signal in before]
    after = MACHINES[name](random.Random(seed + 1))
    for signal, value in zip(after, last, strict=True):
        if isinstance(value, int | float):
            signal.resume(START + 299, value)
    for signal, value in zip(after, last, strict=True):
        again = signal.at(START + 299.001)
        if isinstance(value, bool):
            assert again is value
        elif isinstance(value, float):
            assert again == pytest.approx(value, rel=0.25, abs=40)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_a_drift_and_a_spike_are_not_resumed_twice(spread) -> None:
    wander = Wander("p", "bar", 2, spread, random.Random(1))
    drift = Drift(wander, per_hour=1.0, every_seconds=3_600)
    start = START - START % 3_600 + 1_800
    drift.resume(start, 2.5)
    assert drift.at(start) == 2.5
    spikes = Spikes(
        Wander("v", "mm/s", 2, 0, random.Random(1)), 10, 60, random.Random(2)
    )
    spikes.resume(start, 13.0)
    assert spikes.at(start) == 2.0


def test_a_text_is_said_when_it_changes_and_else_seldom() -> None:
    words = Words("state", ("a", "b"), 60, random.Random(1), repeat_seconds=300)
    said = [words.at(START + n) for n in range(600)]
    heard = [word for word in said if word is not None]
    assert said[0] is not None
    assert 5 <= len(heard) <= 40
    assert all(one != two for one, two in zip(heard, heard[1:], strict=False))


def test_a_drift_grows_and_is_reset() -> None:
    steady = Wander("p", "bar", 2, 0, random.Random(1))
    drift = Drift(steady, per_hour=1.0, every_seconds=3_600)
    start = START - START % 3_600
    values = [drift.at(start + at) for at in (0, 1_800, 3_599, 3_600)]
    assert values == [2.0, 2.5, 3.0, 2.0]


def test_spikes_are_seldom_and_far_off() -> None:
    steady = Wander("v", "mm/s", 2, 0, random.Random(1))
    spikes = Spikes(steady, 10, 60, random.Random(2))
    values = [spikes.at(START + n) for n in range(3_600)]
    off = [value for value in values if value != 2.0]
    assert 30 < len(off) < 90
    assert all(isinstance(value, float) and 8 < value < 16 for value in off)


def test_the_demo_has_believable_devices_in_two_groups() -> None:
    assert 8 <= len(demo.ROLES) <= 12
    assert len({role.group for role in demo.ROLES}) == 2
    assert len({role.slug for role in demo.ROLES}) == len(demo.ROLES)
    kinds = set()
    for role in demo.ROLES:
        assert SLUG.match(role.slug)
        signals = role.signals(random.Random(1))
        kinds |= {signal.hint.kind for signal in signals}
        for special in (role.drifts, role.spikes):
            assert special is None or special[0] in {s.name for s in signals}
    assert kinds == {"number", "boolean", "text"}
    assert any(role.habits.quiet_every_seconds for role in demo.ROLES)


def test_what_misbehaves_in_the_demo_is_seen_on_the_fleet_page() -> None:
    sent = Counted(
        signal.name for role in demo.ROLES for signal in role.signals(random.Random(1))
    )
    # The page's own choice of columns; the first of them has a small line.
    (shown, _), _second = sent.most_common(2)
    assert sent[shown] > max(sent[name] for name in sent if name != shown)
    drifting = [role.drifts[0] for role in demo.ROLES if role.drifts]
    spiking = [role.spikes[0] for role in demo.ROLES if role.spikes]
    assert drifting == [shown]
    assert spiking == [shown]
