from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.bus.tips import Following, Offers


class TestOffers:
    def test_counts_up_from_its_beginning(self):
        offers = Offers()
        offers.begin("plant", 3, 70)
        assert "plant" in offers and "other" not in offers
        assert offers.tips() == [("plant", 0, 3, 70)]
        assert [offers.count("plant", 3, number) for number in (71, 75)] == [1, 2]

    def test_tip_tells_what_was_given_to_the_layer_alone(self):
        offers = Offers()
        offers.begin("plant", 3, 0)
        for number in (1, 2, 3):
            offers.count("plant", 3, number)
        assert offers.tips() == [("plant", 0, 3, 3)]
        offers.sent("plant", 2)
        offers.sent("plant", 1)
        assert offers.tips(["plant", "other"]) == [("plant", 2, 3, 3)]

    def test_beginning_twice_changes_nothing(self):
        offers = Offers()
        offers.begin("plant", 3, 0)
        offers.count("plant", 3, 9)
        offers.begin("plant", 3, 50)
        assert offers.count("plant", 3, 51) == 2

    def test_interruption_leaves_a_number_out(self):
        offers = Offers()
        offers.begin("plant", 3, 0)
        assert offers.count("plant", 3, 1) == 1
        offers.keep({"other"})
        assert "plant" not in offers and not offers.tips()
        offers.sent("plant", 1)
        offers.begin("plant", 3, 8)
        assert offers.tips() == [("plant", 2, 3, 8)]
        assert offers.count("plant", 3, 9) == 3

    def test_what_is_wanted_is_kept(self):
        offers = Offers()
        offers.begin("plant", 3, 0)
        offers.keep({"plant"})
        assert "plant" in offers


def following(*origins: str, now: float = 0.0) -> Following:
    made = Following(silent_seconds=7.0)
    for origin in origins:
        made.hear(origin, now)
    return made


class TestFollowing:
    def test_first_of_a_topic_begins_it(self):
        heard = following("a", "b")
        assert heard.begin("a", "plant", 4)
        assert not heard.begin("a", "plant", 5)
        assert heard.begin("b", "plant", 1)

    @pytest.mark.parametrize(
        ("came", "missing"),
        [
            ([5, 6, 7], [0, 0, 0]),
            ([6], [1]),
            ([9, 10], [4, 0]),
            ([4, 3, 5], [0, 0, 0]),
            ([7, 5, 6, 8], [2, 0, 0, 0]),
        ],
    )
    def test_hole_is_counted_once(self, came, missing):
        heard = following("a")
        heard.begin("a", "plant", 4)
        assert [heard.publication("a", "plant", n) for n in came] == missing

    def test_tip_that_is_ahead_is_missing_until_it_comes(self):
        heard = following("a")
        heard.begin("a", "plant", 4)
        assert not heard.is_ahead("a", "plant", 4)
        assert heard.is_ahead("a", "plant", 6)
        heard.publication("a", "plant", 5)
        assert heard.catch_up("a", "plant", 6) == 1
        assert heard.catch_up("a", "plant", 6) == 0
        # It comes after all.
        assert heard.publication("a", "plant", 6) == 0
        assert heard.publication("a", "plant", 7) == 0

    def test_tip_of_nobody_and_of_nothing_that_began_is_not_ahead(self):
        heard = following("a")
        assert not heard.is_ahead("a", "plant", 9)
        assert not heard.is_ahead("b", "plant", 9)
        assert heard.catch_up("b", "plant", 9) == 0

    def test_topic_has_begun_when_all_that_were_heard_lately_spoke_of_it(self):
        heard = following("a", now=10.0)
        heard.hear("b", 5.0)
        assert not heard.have_begun("plant", 10.0, 3.0)
        heard.begin("a", "plant", 0)
        assert heard.have_begun("plant", 10.0, 3.0)
        assert not heard.have_begun("plant", 10.0, 6.0)
        assert following().have_begun("plant", 10.0, 3.0)

    def test_topic_that_was_forgotten_begins_again(self):
        heard = following("a")
        heard.begin("a", "plant", 4)
        heard.forget("plant")
        assert heard.begin("a", "plant", 9)

    def test_silence_is_told_once_with_its_topics(self):
        heard = following("a", "b")
        heard.begin("a", "plant", 1)
        heard.begin("a", "other", 1)
        heard.begin("b", "third", 1)
        heard.hear("b", 5.0)
        assert heard.silent(7.0) == set()
        assert heard.silent(7.1) == {"plant", "other"}
        assert heard.silent(7.2) == set()
        heard.hear("a", 8.0)
        assert heard.begin("a", "plant", 1)

    def test_who_took_leave_or_was_pardoned_is_not_silent(self):
        heard = following("a", "b")
        heard.begin("a", "plant", 1)
        heard.begin("b", "plant", 1)
        heard.leave("a")
        heard.leave("nobody")
        heard.pardon(6.0)
        assert heard.silent(13.0) == set()
        assert heard.silent(13.1) == {"plant"}


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_what_is_lost_is_always_noticed_by_the_end(seed, lost):
    """Whatever is dropped or late: a hole is told unless every message came."""
    chance = random.Random(seed)
    offers, heard = Offers(), following("a")
    offers.begin("plant", 1, 0)
    heard.begin("a", "plant", 0)
    sent, came, missing = 0, 0, 0
    for number in range(1, 40):
        if chance.random() < 0.1:
            offers.keep(set())
            offers.begin("plant", 1, number)
            # What was committed meanwhile nobody was told.
            sent += 1
        n = offers.count("plant", 1, number)
        offers.sent("plant", n)
        sent += 1
        if chance.random() >= lost:
            came += 1
            missing += heard.publication("a", "plant", n)
        if chance.random() < 0.2:
            ((_, tip, _, _),) = offers.tips()
            missing += heard.catch_up("a", "plant", tip)
    ((_, tip, _, _),) = offers.tips()
    missing += heard.catch_up("a", "plant", tip)
    assert missing == sent - came
