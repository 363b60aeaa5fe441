"""The colours of the pages: contrast, and whether everybody can tell them apart.

Measured, not looked at: an ordinary amber and red can be one colour to one man in
twelve. Colour vision: Machado 2009 at full severity; difference: CIEDE2000, the worst
of normal vision and the three deficiencies.
"""

from __future__ import annotations

import functools
import re
from itertools import combinations, product
from pathlib import Path

import pytest
from coloraide import Color

TOKENS = (
    Path(__file__).resolve().parent.parent / "telemetry/static/telemetry/css/tokens.css"
)
BLOCK = re.compile(r"(:root[^{]*)\{([^}]*)\}")
LINE = re.compile(r"--([\w-]+):\s*([^;]+);")
VISIONS = (None, "protan", "deutan", "tritan")

MARKS = ("ok", "late", "crit", "off")
SERIES = ("s1", "s2", "s3", "s4", "s5", "s6")
INKS = ("text", "muted", "accent", "ok-ink", "late-ink", "crit-ink", "off-ink")
GROUNDS = ("bg", "surface")


def read_themes() -> dict[str, dict[str, str]]:
    """Each theme's tokens, what the other blocks leave out taken from the light one."""
    text = re.sub(r"/\*.*?\*/", "", TOKENS.read_text(encoding="utf-8"), flags=re.S)
    found = {
        selector.strip(): dict(LINE.findall(body))
        for selector, body in BLOCK.findall(text)
    }
    light = found[":root"]
    return {
        "light": light,
        "dark": light | found[':root[data-theme="dark"]'],
        "auto": light | found[':root[data-theme="auto"]'],
    }


THEMES = read_themes()


def colour(theme: str, name: str) -> str:
    value = THEMES[theme][name]
    while alias := re.fullmatch(r"var\(--([\w-]+)\)", value):
        value = THEMES[theme][alias[1]]
    return value


def difference(one: str, other: str, visions=VISIONS) -> float:
    """CIEDE2000 of two colours for whoever sees them the least apart."""
    return min(
        seen(one, vision).delta_e(seen(other, vision), method="2000")
        for vision in visions
    )


@functools.cache
def seen(value: str, vision: str | None) -> Color:
    if vision is None:
        return Color(value)
    return Color(value).filter(vision, method="machado").clip("srgb")


def contrast(ink: str, ground: str) -> float:
    return float(Color(ink).contrast(Color(ground)))


def test_auto_is_the_dark_theme_where_the_system_is_dark():
    assert THEMES["auto"] == THEMES["dark"]


def test_every_theme_has_every_colour():
    names = {name for name, value in THEMES["light"].items() if value.startswith("#")}
    text = TOKENS.read_text(encoding="utf-8")
    for selector, body in BLOCK.findall(text):
        if "data-theme" in selector:
            assert names <= {name for name, _value in LINE.findall(body)}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("names", "grounds", "least"),
    [
        (INKS, GROUNDS, 4.5),
        (("sil-ink",), ("bg",), 4.5),
        (("crit-ink", "text"), ("crit-bg",), 4.5),
        (("text", "muted"), ("hover", "surface-2"), 4.5),
        # White, or what the page's ground is, on a button of the accent.
        (("bg",), ("accent",), 4.5),
        ((*MARKS, "control"), GROUNDS, 3.0),
    ],
    ids=["text", "silenced", "alarm", "rows", "button", "shapes"],
)
def test_contrast(theme, names, grounds, least):
    low = {
        (name, ground): round(value, 2)
        for name, ground in product(names, grounds)
        if (value := contrast(colour(theme, name), colour(theme, ground))) < least
    }
    assert low == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("pairs", "least", "visions"),
    [
        ([*combinations(MARKS, 2)], 15, VISIONS),
        ([*combinations(SERIES, 2)], 15, VISIONS),
        # Ten hues are too many for a deficient eye: there a line and a mark are told
        # apart by what they are, a line and a shape with a word.
        ([*product(SERIES, MARKS)], 13, [None]),
    ],
    ids=["marks", "series", "series to marks"],
)
def test_they_can_be_told_apart(theme, pairs, least, visions):
    near = {
        (one, other): round(value, 1)
        for one, other in pairs
        if (value := difference(colour(theme, one), colour(theme, other), visions))
        < least
    }
    assert near == {}


def test_the_check_finds_a_pair_that_some_cannot_tell_apart():
    # The first amber and red of these pages.
    assert difference("#8a5a00", "#b3261e") < 3
