"""Blocks, slices and steps so small that a few readings make many of them."""

from __future__ import annotations

import pytest
from django.db.models import Q

from telemetry.history import blocks, journal, late, seal
from telemetry.history.keeping import tier_blocks, tiers

# Readings of a block, and rows of a block of the tier.
CAP = 8
CAP_ROWS = 4


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the end of the test."""
    monkeypatch.setattr(blocks, "CAP", CAP)
    # Defaults are bound when a function is defined.
    for function in (blocks.pieces, blocks.halves, late.insert_late):
        monkeypatch.setattr(function, "__defaults__", (CAP,))
    monkeypatch.setattr(seal, "SLICE_SERIES", 2)
    monkeypatch.setattr(journal, "PAGE_READINGS", 30)
    monkeypatch.setattr(tier_blocks, "CAP_ROWS", CAP_ROWS)
    monkeypatch.setattr(tier_blocks, "STEP_RUNS", 2)
    monkeypatch.setattr(tiers, "STEP_BLOCKS", 3)
    # Few readings, and damaged ones, would not be worth rows.
    monkeypatch.setattr(tiers, "IS_SMALLER_AS_ROWS", Q())
