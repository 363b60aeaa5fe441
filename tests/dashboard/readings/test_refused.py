"""telemetry.dashboard.readings.refused: why history cannot be read, for a script."""

from __future__ import annotations

import json

import pytest

from telemetry.dashboard.readings.refused import Refused, reading
from telemetry.history.queries import turns
from telemetry.history.queries.ladder import BadRange, TooMuch


@pytest.mark.parametrize(
    "error, status",
    [(TooMuch("expected less"), 413), (BadRange("expected a range"), 400)],
    ids=["too much", "a bad range"],
)
def test_what_cannot_be_read_is_refused_in_its_own_words(error, status):
    with pytest.raises(Refused) as caught, reading():
        raise error
    answer = caught.value.answer()
    assert (answer.status_code, "Retry-After" in answer) == (status, False)
    assert json.loads(answer.content) == {"error": str(error)}


def test_who_finds_all_places_taken_is_told_when_to_come_again(monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0)
    with turns.turn(), turns.turn(), pytest.raises(Refused) as caught, reading():
        pass
    answer = caught.value.answer()
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "others are loading history" in json.loads(answer.content)["error"]


def test_after_it_the_place_is_free_again(monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0)
    for _ in range(turns.READS_AT_ONCE + 1):
        with pytest.raises(Refused), reading():
            raise TooMuch("expected less")
