"""Names on the wire: what may name a metric, and what is a key."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.protocol.names import SLUG, is_metric_name, key_prefix

PREFIX, SECRET = "aB3dE6gH", "x" * 41 + "-_"


@pytest.mark.parametrize(
    "name",
    ["a", "_", "A9", "temp.cpu-0:core/1", "_" * 64, "a" + "9" * 63, "zählt"[:1]],
)
def test_metric_name(name: str):
    assert is_metric_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "9a", ".a", "-a", "/a", ":a", "a b", "a\n", "\na", "a\0", "größe", "ａ"),
        *("a" * 65, "a,b", "a;b", "a'b", 'a"b', "<a>", "a\u2028", "a\u0301", "é"),
    ],
)
def test_no_metric_name(name: str):
    assert not is_metric_name(name)


@given(st.text(max_size=70))
def test_metric_name_is_the_documented_pattern(name: str):
    pattern = r"[A-Za-z_][A-Za-z0-9_.:/-]{0,63}"
    assert is_metric_name(name) is (re.fullmatch(pattern, name) is not None)


def test_prefix_of_a_key():
    assert key_prefix(f"hub_{PREFIX}_{SECRET}") == PREFIX


@pytest.mark.parametrize(
    "key",
    [
        *("", "hub_", f"hub_{PREFIX}_{SECRET}x", f"hub_{PREFIX}_{SECRET[:-1]}"),
        *(
            f" hub_{PREFIX}_{SECRET}",
            f"hub_{PREFIX}_{SECRET}\n",
            f"HUB_{PREFIX}_{SECRET}",
        ),
        *(
            f"hub_{PREFIX}{SECRET}",
            f"hub_{PREFIX[:7]}-_{SECRET}",
            f"hub_{PREFIX}_{'ä' * 43}",
        ),
    ],
)
def test_what_is_no_key_has_no_prefix(key: str):
    assert key_prefix(key) == ""


@pytest.mark.parametrize(
    ("slug", "is_good"),
    [("boiler-7", True), ("7", True), ("_a", False), ("A", False), ("a" * 65, False)],
)
def test_slug(slug: str, is_good: bool):
    assert bool(SLUG.match(slug)) is is_good
