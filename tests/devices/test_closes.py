"""telemetry.devices.closes: a close code in words."""

from __future__ import annotations

import pytest

from telemetry.devices import closes
from telemetry.protocol import close_codes


@pytest.mark.parametrize("code", [*close_codes.CATALOGUE, 1001, 1005, 1006, 1011, 1012])
def test_every_code_of_the_hub_and_its_servers_has_words(code: int):
    words = closes.sentence(code)
    assert words.endswith(f" ({code})")
    assert not words.startswith("no code")


def test_any_other_code_has_some_as_well():
    assert closes.sentence(3999) == "no code that the hub knows (3999)"
