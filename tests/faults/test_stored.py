"""The judge itself: what is lost, doubled or invented is said, with its numbers."""

from __future__ import annotations

import pytest

from .stored import Kept, compare


def judged(stored: list[int], acked: int, sent: int) -> Kept:
    return compare({"pump": stored}, {"pump": acked}, {"pump": sent})


@pytest.mark.parametrize(
    ("stored", "acked", "sent"),
    [
        ([], 0, 0),
        ([0, 1, 2], 3, 3),
        # Stored, and the device does not know it yet; in any order.
        ([2, 0, 1], 1, 3),
        # Neither: the device still holds it.
        ([0], 1, 3),
    ],
)
def test_acked_within_stored_within_sent_is_right(stored, acked, sent):
    kept = judged(stored, acked, sent)
    assert (kept.lost, kept.doubled, kept.invented) == (0, 0, 0)
    kept.assert_whole("nothing")


@pytest.mark.parametrize(
    ("stored", "acked", "sent", "said"),
    [
        ([0, 1, 4], 5, 5, "2 are lost.*pump lost: 2-3"),
        ([], 1, 1, "1 are lost.*pump lost: 0"),
        ([0, 1, 1, 2], 2, 3, "1 are stored twice.*pump stored twice: 1"),
        ([0, 1, 2], 1, 2, "1 were never sent.*pump never sent: 2"),
    ],
)
def test_what_is_wrong_is_said(stored, acked, sent, said):
    with pytest.raises(AssertionError, match=f"after fault 7, seed 5.*{said}"):
        judged(stored, acked, sent).assert_whole("fault 7, seed 5")


def test_a_device_of_which_nothing_is_stored_has_lost_all():
    kept = compare({}, {"pump": 2, "fan": 0}, {"pump": 2, "fan": 1})
    assert (kept.acked, kept.stored, kept.lost) == (2, 0, 2)
