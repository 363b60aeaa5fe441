"""The close-code table of the protocol, row by row."""

from __future__ import annotations

import random

import pytest

from telemetry.fleet.backoff import CUTS, Action, Backoff, Ending


def decide(code: int, after_ms: int | None = None):
    return Backoff(random.Random(1)).after(Ending(code, after_ms))


@pytest.mark.parametrize(
    ("codes", "action"),
    [
        ((1000,), Action.STOP),
        ((1001, 1006, 1011, 1012, 1013, 1014), Action.RECONNECT),
        ((4400, 4413, 1002, 1007, 1009), Action.CUT),
        ((4401, 4403, 4406), Action.REFUSED),
        ((4408, 4409, 4429, 4500, 4503), Action.RECONNECT),
        ((4404, 4410, 4499), Action.STOP),
        ((3000, 4700), Action.RECONNECT),
    ],
)
def test_each_code_has_its_action(codes: tuple[int, ...], action: Action) -> None:
    assert {decide(code).action for code in codes} == {action}


@pytest.mark.parametrize(
    ("code", "after_ms", "least", "most"),
    [
        (4400, None, 60, 75),
        (4409, None, 60, 75),
        (4429, None, 30, 37.5),
        (4429, 1_500, 1.5, 1.5),
        (4503, 15_000, 0, 16),
        (4503, None, 0, 1),
        (1006, None, 0, 1),
        (4408, None, 0, 1),
    ],
)
def test_the_wait_is_within_what_the_table_says(code, after_ms, least, most) -> None:
    for seed in range(200):
        backoff = Backoff(random.Random(seed))
        decision = backoff.after(Ending(code, after_ms))
        assert least <= decision.wait_seconds <= most


def test_the_wait_doubles_up_to_a_minute() -> None:
    longest = [0.0] * 10
    for seed in range(500):
        backoff = Backoff(random.Random(seed))
        for attempt in range(10):
            wait = backoff.after(Ending(1006)).wait_seconds
            longest[attempt] = max(longest[attempt], wait)
            assert wait <= min(60, 2**attempt)
    assert longest[3] > 7
    assert 55 < longest[9] <= 60


def test_a_minute_connected_starts_again_with_the_shortest_wait() -> None:
    backoff = Backoff(random.Random(3))
    for _ in range(8):
        backoff.after(Ending(1006))
    assert backoff.after(Ending(1006, connected_seconds=60)).wait_seconds <= 1


def test_the_sixth_cut_in_a_row_stops() -> None:
    backoff = Backoff(random.Random(1))
    actions = [backoff.after(Ending(4413)).action for _ in range(CUTS + 1)]
    assert actions == [Action.CUT] * CUTS + [Action.STOP]


def test_an_ack_between_cuts_starts_the_count_again() -> None:
    backoff = Backoff(random.Random(1))
    for _ in range(3 * CUTS):
        assert backoff.after(Ending(1009)).action is Action.CUT
        backoff.acked()
