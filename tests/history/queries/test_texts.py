"""telemetry.history.queries.texts: what a series said, as states."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.history.models import TextReading
from telemetry.history.queries import texts
from telemetry.history.queries.ladder import BadRange, TooMuch
from telemetry.history.queries.texts import read_timelines

pytestmark = pytest.mark.django_db


def say(series: int, *pairs: tuple[int, str]) -> None:
    TextReading.objects.bulk_create(
        TextReading(series_id=series, time_us=at, received_us=at, value=value)
        for at, value in pairs
    )


def states(from_us: int, to_us: int, **more) -> list[tuple[int, int, str]]:
    return [
        tuple(each) for each in read_timelines([1], from_us, to_us, **more)[1].states
    ]


@pytest.mark.parametrize(
    "from_us, to_us, expected",
    [
        (10, 50, [(10, 20, "on"), (20, 40, "off"), (40, 50, "on")]),
        # What was so already, from the start of the range.
        (15, 30, [(15, 20, "on"), (20, 30, "off")]),
        (25, 30, [(25, 30, "off")]),
        (20, 21, [(20, 21, "off")]),
        # Nothing is known before the first.
        (5, 15, [(10, 15, "on")]),
        (1, 10, []),
        (90, 99, [(90, 99, "on")]),
    ],
)
def test_each_state_holds_until_the_next(from_us: int, to_us: int, expected):
    say(1, (10, "on"), (15, "on"), (20, "off"), (30, "off"), (40, "on"))
    assert states(from_us, to_us) == expected


def test_the_last_state_is_held_until_now_and_no_longer():
    say(1, (10, "on"), (20, "on"))
    assert states(1, 50, held_to_us=30) == [(10, 30, "on")]
    assert read_timelines([1], 1, 50)[1].last_us == 20
    # A clock that runs ahead.
    assert states(1, 50, held_to_us=5) == [(10, 10, "on")]


def test_a_state_of_no_time_is_left_out():
    say(1, (10, "on"), (20, "off"), (20, "on"), (30, "off"), (30, "lost"))
    assert states(1, 50) == [(10, 30, "on"), (30, 50, "lost")]


def test_each_series_has_an_answer():
    say(1, (10, "on"))
    found = read_timelines([1, 2, 1], 1, 50)
    assert sorted(found) == [1, 2]
    assert (found[2].states, found[2].last_us) == ([], None)


@pytest.mark.parametrize("most, is_bad", [(3, False), (2, True)])
def test_the_states_of_all_series_are_bounded(most: int, is_bad: bool):
    say(1, (10, "on"), (20, "off"), (25, "off"))
    say(2, (10, "on"))
    if is_bad:
        with pytest.raises(TooMuch, match="states"):
            read_timelines([1, 2], 1, 50, most_states=most)
    else:
        read_timelines([1, 2], 1, 50, most_states=most)


def test_a_range_without_sense_is_refused():
    with pytest.raises(BadRange, match="before"):
        read_timelines([1], 50, 50)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab")), max_size=25),
    st.integers(0, 30),
    st.integers(1, 20),
)
def test_at_every_moment_the_state_is_the_last_that_was_said(said, start, span):
    TextReading.objects.all().delete()
    say(1, *said)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "PAGE_ROWS", 3)
        found = states(start, start + span)
    by_time = sorted(said, key=lambda pair: pair[0])
    for moment in range(start, start + span):
        earlier = [value for at, value in by_time if at <= moment]
        held = [value for begin, end, value in found if begin <= moment < end]
        assert held == earlier[-1:]
    assert all(one[2] != other[2] for one, other in zip(found, found[1:], strict=False))
