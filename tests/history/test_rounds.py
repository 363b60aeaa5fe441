"""telemetry.history.rounds: a thread that looks again and again, whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError

from telemetry.history import rounds
from telemetry.history.lease import LeaseLost
from telemetry.history.rounds import Rounds

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_SECONDS = 30


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(rounds, "PAUSE_SECONDS", 0.01)


class Failing:
    """A look that fails the first time, and tells when it was called again."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls = 0
        self.was_called_again = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == 1:
            raise self.error
        self.was_called_again.set()


def started(*looks: Callable[[], None]) -> Rounds:
    made = Rounds("some work", threading.Event(), *looks)
    made.start()
    return made


def test_looks_are_called_in_their_order_again_and_again() -> None:
    called: list[str] = []
    enough = threading.Event()

    def second() -> None:
        called.append("second")
        if len(called) >= 4:
            enough.set()

    running = started(lambda: called.append("first"), second)
    assert enough.wait(PATIENCE_SECONDS)
    assert running.stop(PATIENCE_SECONDS)
    assert called[:4] == ["first", "second", "first", "second"]


@pytest.mark.parametrize(
    "error, sentence",
    [
        (OperationalError("it is away"), "some work waits for the database: it is awa"),
        (LeaseLost("token 7"), "another process keeps the history: token 7"),
        (ValueError("nobody foresaw it"), "some work failed, and is tried again"),
    ],
    ids=["database", "lease", "unforeseen"],
)
def test_an_error_is_told_and_the_next_look_comes(
    error: Exception, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    look = Failing(error)
    with caplog.at_level(logging.WARNING):
        running = started(look)
        assert look.was_called_again.wait(PATIENCE_SECONDS)
        assert running.stop(PATIENCE_SECONDS)
    assert sentence in caplog.text


def test_after_an_error_the_looks_behind_it_wait_for_the_next_round() -> None:
    first = Failing(OperationalError("away"))
    calls_of_first: list[int] = []
    enough = threading.Event()

    def second() -> None:
        calls_of_first.append(first.calls)
        enough.set()

    running = started(first, second)
    assert enough.wait(PATIENCE_SECONDS)
    assert running.stop(PATIENCE_SECONDS)
    assert calls_of_first[0] == 2


def test_stop_says_when_a_step_takes_longer() -> None:
    may_end, has_begun = threading.Event(), threading.Event()

    def slow() -> None:
        has_begun.set()
        may_end.wait(PATIENCE_SECONDS)

    running = started(slow)
    assert has_begun.wait(PATIENCE_SECONDS)
    assert not running.stop(0.0)
    may_end.set()
    assert running.stop(PATIENCE_SECONDS)


def test_one_that_never_began_ends_at_once() -> None:
    assert Rounds("some work", threading.Event()).stop(PATIENCE_SECONDS)
