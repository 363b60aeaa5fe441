"""Thinning out that is killed or put to sleep: nothing is lost, none counts twice."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.history.rows import NOW_US

from .forks import Forks
from .prepared import DAY_US, KILLS, LEASE_SECONDS, Prepared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# All that arrives is older than the default of 30 days by then; nothing older than
# that of the tier.
NOW_OF_RETENTION_US = NOW_US + 40 * DAY_US
CAP = 64
# Statements, and how many of the kind apart the kills at them are.
PHASES = (
    (r"^SELECT .*FROM telemetry_block", 4),
    (r"^UPDATE telemetry_lease", 1),
    (r"^INSERT INTO telemetry_block", 1),
    (r"^DELETE FROM telemetry_block", 1),
    (r"^UPDATE telemetry_serieshead", 1),
    # Around the giving back of pages, which is no statement of its own.
    (r"^PRAGMA", 1),
)
RUN_SECONDS = 0.25


@pytest.fixture
def prepared(forks: Forks) -> Prepared:
    return prepare(forks, seed=1)


def prepare(forks: Forks, seed: int) -> Prepared:
    """Readings of some hours, whose sums are exact."""
    made = Prepared(forks, seed, step_us=20_000_000, values=(0.0, -0.0))
    feed(made)
    return made


def feed(prepared: Prepared) -> None:
    """More of them, late ones too, in many small blocks."""
    prepared.feed()
    prepared.seal(cap=CAP)


def thin_out(prepared: Prepared, forks: Forks) -> None:
    """By somebody whom nobody hurts: what takes less room as rows is in the tier."""
    ended = forks.run("thin_all", now_us=NOW_OF_RETENTION_US)
    assert ended["end"] == "done", ended
    prepared.assert_as_model_by_buckets()
    for series in prepared.series:
        buckets = prepared.model.buckets(series)
        readings = sum(bucket.count for bucket in buckets.values())
        assert len(prepared.model.raw(series)) < readings / 2


def test_twenty_kills_at_all_statements_lose_and_double_nothing(
    prepared: Prepared, forks: Forks
):
    rng = random.Random(3)
    thin_out(prepared, forks)
    for kill in range(KILLS):
        feed(prepared)
        prepared.assert_as_model_by_buckets()
        phase, apart = PHASES[kill % len(PHASES)]
        child = forks.start(
            "thin_all",
            now_us=NOW_OF_RETENTION_US,
            lease_seconds=LEASE_SECONDS,
            die_at=[phase, 1 + apart * (kill // len(PHASES)), rng.random() < 0.5],
        )
        assert child.wait() == -signal.SIGKILL, phase
        prepared.assert_as_model_by_buckets()
    thin_out(prepared, forks)


def test_twenty_kills_at_any_moment_lose_and_double_nothing(
    prepared: Prepared, forks: Forks
):
    killed = 0
    for _ in range(10 * KILLS):
        feed(prepared)
        child = forks.start(
            "thin_all",
            now_us=NOW_OF_RETENTION_US,
            lease_seconds=LEASE_SECONDS,
        )
        time.sleep(prepared.rng.uniform(0, RUN_SECONDS))
        child.kill()
        killed += child.wait() == -signal.SIGKILL
        prepared.assert_as_model_by_buckets()
        if killed == KILLS:
            break
    assert killed == KILLS
    thin_out(prepared, forks)


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_one_that_slept_through_its_lease_changes_nothing(
    any_forks: Forks, stop_at: int
):
    prepared = prepare(any_forks, seed=stop_at)
    thin_out(prepared, any_forks)
    feed(prepared)
    sleeper = any_forks.start(
        "thin_all",
        now_us=NOW_OF_RETENTION_US,
        lease_seconds=LEASE_SECONDS,
        stop_at=stop_at,
    )
    sleeper.wait_until_stopped()
    prepared.assert_as_model_by_buckets()
    # What came since is sealed and thinned out by another.
    feed(prepared)
    thin_out(prepared, any_forks)
    before = any_forks.run("fingerprint")
    sleeper.wake()
    assert sleeper.answer()["end"] == "lost"
    assert any_forks.run("fingerprint") == before
