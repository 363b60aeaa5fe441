"""How many may do a thing at once."""

from __future__ import annotations

import pytest
from django.test import override_settings

from telemetry.api.turns import Turns
from telemetry.protocol.errors import Busy


def test_at_most_as_many_as_the_setting_says():
    turns = Turns("IMPORTS", "imports")
    with override_settings(TELEMETRY_IMPORTS=2):
        first, second = turns.take(), turns.take()
        with pytest.raises(Busy, match="at most 2 imports"):
            turns.take()
        first.end()
        first.end()
        turns.take()
        with pytest.raises(Busy):
            turns.take()
        second.end()
        turns.take()


def test_a_turn_ends_with_its_block():
    turns = Turns("IMPORTS", "imports")
    with override_settings(TELEMETRY_IMPORTS=1):
        with pytest.raises(ValueError, match="mine"), turns.take():
            raise ValueError("mine")
        turns.take()


def test_at_most_so_many_of_one():
    turns = Turns("IMPORTS", "imports")
    with override_settings(TELEMETRY_IMPORTS=3):
        mine = turns.take("me", 1)
        with pytest.raises(Busy, match="at most 1 imports of one sender"):
            turns.take("me", 1)
        turns.take("you", 1)
        mine.end()
        turns.take("me", 1)
