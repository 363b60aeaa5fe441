"""telemetry.bus.listening: news reach who listens, and holes are told of."""

from __future__ import annotations

import asyncio

import pytest

from telemetry.bus import listening as module
from telemetry.bus.envelope import Publication, Tips
from telemetry.bus.listening import Listening

TOPIC = "plant-a"


class Heard:
    """A listener to one topic, and to what is missed of it."""

    def __init__(self) -> None:
        self.listening = Listening()
        self.listening.on_missed = self.missed
        self.numbers: list[int] = []
        self.holes = 0
        assert self.listening.add(TOPIC, self.take)

    def take(self, publication: Publication) -> None:
        self.numbers.append(publication.n)

    def missed(self, topic: str) -> None:
        assert topic == TOPIC
        self.holes += 1

    def publication(self, n: int, topic: str = TOPIC) -> None:
        self.listening.hear("other", 0.0)
        self.listening.take_publication(Publication("other", topic, n, 1, n, b""))

    def tips(self, n: int, number: int, *, is_last: bool = False) -> None:
        self.listening.hear("other", 0.0)
        self.listening.take_tips(Tips("other", [(TOPIC, n, 1, number)], is_last))


@pytest.fixture
def heard() -> Heard:
    return Heard()


class TestPublication:
    def test_the_first_of_a_process_may_have_others_before_it(self, heard: Heard):
        heard.publication(5)
        assert (heard.numbers, heard.holes) == ([5], 1)

    @pytest.mark.parametrize(
        ("numbers", "holes"), [((6, 7), 1), ((7,), 2), ((6, 8, 9, 12), 3)]
    )
    def test_a_number_that_is_left_out_is_a_hole(self, heard: Heard, numbers, holes):
        for n in (5, *numbers):
            heard.publication(n)
        assert heard.numbers == [5, *numbers]
        assert heard.holes == holes

    def test_a_topic_that_nobody_listens_to_is_nothing(self, heard: Heard):
        heard.publication(5, "plant-b")
        assert (heard.numbers, heard.holes) == ([], 0)

    def test_a_listener_that_fails_keeps_no_other_from_hearing(
        self, heard: Heard, caplog: pytest.LogCaptureFixture
    ):
        def fail(publication: Publication) -> None:
            raise RuntimeError("broken")

        heard.listening = Listening()
        heard.listening.add(TOPIC, fail)
        heard.listening.add(TOPIC, heard.take)
        heard.publication(1)
        assert heard.numbers == [1]
        assert "could not be taken" in caplog.text


class TestTips:
    @pytest.mark.parametrize(("number", "holes"), [(0, 0), (3, 1)])
    async def test_a_process_that_has_committed_may_have_told_something(
        self, heard: Heard, number: int, holes: int
    ):
        heard.tips(0, number)
        assert heard.holes == holes

    @pytest.mark.parametrize("comes", [True, False])
    async def test_what_a_tip_tells_of_has_a_moment_to_come(
        self, heard: Heard, monkeypatch: pytest.MonkeyPatch, comes: bool
    ):
        monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
        heard.publication(5)
        heard.tips(6, 6)
        assert heard.holes == 1
        if comes:
            heard.publication(6)
        await asyncio.sleep(0.01)
        assert heard.holes == (1 if comes else 2)


class TestRemove:
    def test_only_the_last_one_ends_the_topic(self, heard: Heard):
        other: list[Publication] = []
        assert not heard.listening.add(TOPIC, other.append)
        assert not heard.listening.remove(TOPIC, other.append)
        assert TOPIC in heard.listening
        assert heard.listening.remove(TOPIC, heard.take)
        assert TOPIC not in heard.listening
        assert not heard.listening.remove(TOPIC, heard.take)

    def test_who_comes_back_may_have_missed_something(self, heard: Heard):
        heard.publication(5)
        heard.listening.remove(TOPIC, heard.take)
        heard.listening.add(TOPIC, heard.take)
        heard.publication(6)
        assert heard.holes == 2
