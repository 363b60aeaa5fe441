"""telemetry.history.sqlite.turn: first come, first served."""

from __future__ import annotations

import threading

from telemetry.history.sqlite.turn import Turn
from tests.processes import wait_until


def test_a_free_turn_is_had_at_once():
    turn = Turn()
    assert turn.take(0)
    turn.give()
    assert turn.take(0)


def test_a_taken_turn_is_waited_for_no_longer_than_said():
    turn = Turn()
    assert turn.take(0)
    assert not turn.take(0.01)
    turn.give()
    # Who gave up is not handed it.
    assert turn.take(0)


def test_the_turn_goes_round_in_the_order_of_asking():
    turn = Turn()
    had: list[int] = []

    def ask(number: int) -> None:
        assert turn.take(30)
        had.append(number)
        turn.give()

    assert turn.take(0)
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(
            lambda number=number: len(turn._waiting) > number, "a thread is in line"
        )
    # Whoever asks now is behind all of them, however quick.
    turn.give()
    assert turn.take(30)
    assert had == [0, 1, 2, 3, 4]
    turn.give()
    for thread in threads:
        thread.join()


def test_one_at_a_time_has_it():
    turn = Turn()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            assert turn.take(30)
            inside += 1
            most = max(most, inside)
            inside -= 1
            turn.give()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_a_turn_that_times_out_as_it_comes_is_not_lost():
    turn = Turn()
    had = 0

    def ask() -> None:
        nonlocal had
        for _ in range(300):
            if turn.take(0.0001):
                had += 1
                turn.give()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert had > 0
    assert turn.take(0)
