"""The figures of a link check, by the table that the browser's module has as well."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.fleet.link_figures import (
    bits_per_second,
    burst_bytes,
    figures,
    jitter,
    percentile,
)
from tests.processes import ROOT

GOLDEN = json.loads((ROOT / "tests/golden/link_figures.json").read_text("utf-8"))
MILLISECONDS = st.floats(0, 1e6)


def cases(kind: str) -> Any:
    return pytest.mark.parametrize("case", GOLDEN[kind], ids=lambda case: case["name"])


@cases("figures")
def test_figures(case):
    found = figures(case["round_trips"])
    assert (asdict(found) if found else None) == case["figures"]


@cases("bursts")
def test_burst(case):
    assert burst_bytes(case["guess_ms"], case["p50_ms"]) == case["bytes"]


@cases("rates")
def test_rate(case):
    rate = bits_per_second(case["bytes"], case["span_ms"])
    assert rate == pytest.approx(case["bits_per_second"])


@given(st.lists(MILLISECONDS, min_size=1), st.floats(0.001, 1))
def test_a_percentile_is_a_value_that_so_many_are_not_above(values, part):
    ordered = sorted(values)
    found = percentile(ordered, part)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= part * len(ordered)
    below = [value for value in ordered if value < found]
    assert len(below) < part * len(ordered)


@given(st.lists(MILLISECONDS), st.floats(0, 1e5))
def test_jitter_does_not_see_how_long_the_way_is(values, more):
    moved = [value + more for value in values]
    assert jitter(moved) == pytest.approx(jitter(values), abs=1e-6)
