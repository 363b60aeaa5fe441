"""telemetry.history.writing: as much in one transaction as takes a few milliseconds.

What is written, and that one bad series is set aside, is tested with the sealer.
"""

from __future__ import annotations

import time

import pytest

from telemetry.history.writing import WRITE_SECONDS, Pace


def taking(monkeypatch: pytest.MonkeyPatch, pace: Pace, seconds: float) -> int:
    """What comes next after a transaction that has taken so long."""
    moments = iter([0.0, seconds])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    with pace:
        pass
    return pace.count


@pytest.mark.parametrize(
    ("share", "count"),
    [
        (0.1, 81),  # quick: a quarter and one more
        (0.39, 81),
        (0.41, 64),  # about right: the same again
        (0.69, 64),
        (0.71, 32),  # slow: half
        (50.0, 32),
    ],
)
def test_a_transaction_of_this_share_of_the_limit_makes_the_next(
    monkeypatch: pytest.MonkeyPatch, share: float, count: int
) -> None:
    assert taking(monkeypatch, Pace(64), share * WRITE_SECONDS) == count


def test_it_stays_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(64, least=48, most=70)
    assert taking(monkeypatch, pace, 1.0) == 48
    assert taking(monkeypatch, pace, 1.0) == 48
    for _ in range(5):
        taking(monkeypatch, pace, 0.0)
    assert pace.count == 70
