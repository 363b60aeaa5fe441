from __future__ import annotations

from telemetry.bus.interest import Interests


def test_interest_holds_until_it_is_not_announced_any_more():
    interests = Interests(15)
    interests.announce("a", ["x", "y"], now=0)
    interests.announce("a", ["x"], now=5)
    interests.forget_silent(now=16)
    assert interests.wanted() == {"x"}
    interests.forget_silent(now=20)
    assert interests.wanted() == frozenset()


def test_topic_is_wanted_while_one_process_wants_it():
    interests = Interests(15)
    interests.announce("a", ["x"], now=0)
    interests.announce("b", ["x"], now=0)
    interests.withdraw("a", ["x", "never announced"])
    assert interests.wanted() == {"x"}
    interests.withdraw("b", ["x"])
    assert not interests.wanted()


def test_answer_is_the_same_object_while_nothing_changes():
    interests = Interests(15)
    interests.announce("a", ["x"], now=0)
    wanted = interests.wanted()
    interests.announce("a", ["x"], now=5)
    assert interests.wanted() is wanted


def test_announcing_tells_what_is_new_from_this_process():
    interests = Interests(15.0)
    assert interests.announce("a", ["x", "y"], now=0.0) == ["x", "y"]
    assert interests.announce("a", ["y", "z"], now=1.0) == ["z"]
    assert interests.announce("b", ["y"], now=1.0) == ["y"]
    interests.withdraw("a", ["y"])
    assert interests.announce("a", ["y"], now=2.0) == ["y"]
    interests.forget_silent(20.0)
    assert interests.announce("a", ["x"], now=21.0) == ["x"]
