"""Moments: what is written, and all that is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.transfer import moments

NOW_US = 1_795_363_500_000_000  # 2026-11-22T16:05:00Z
SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("text", "after_us"),
    [
        ("2026-11-22T16:05:00Z", 0),
        ("2026-11-22T16:05:00.000000Z", 0),
        ("2026-11-22 16:05Z", 0),
        ("2026-11-22t17:05:00+01:00", 0),
        ("2026-11-22T17:05:00 01:00", 0),
        ("2026-11-22T14:35:00-0130", 0),
        ("2026-11-22T17:05:00.5+01", 500_000),
        ("2026-11-22T16:05:00,123456Z", 123_456),
        ("2026-11-22T16:05:00.123456789Z", 123_456),
    ],
)
def test_iso_moments_with_a_zone(text, after_us):
    assert moments.parse(text) == NOW_US + after_us
    assert moments.parse_asked(text, 0) == NOW_US + after_us
    assert moments.parse_all([text], -1).tolist() == [NOW_US + after_us]


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "yesterday", "2026-11-22", "2026-11-22T16:05:00"),
        *("2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-22T25:00:00Z"),
        *("2026-11-22T16:05:60Z", "2026-11-22T16:05:00+24:00", "x" * 100_000),
        *("٢٠٢٦-11-22T16:05:00Z", "2026-11-22T16:05:00.0000+01:0Z"),
    ],
)
def test_what_is_no_moment(text):
    with pytest.raises(ValueError, match="expected"):
        moments.parse(text)
    assert moments.parse_all([text], -1).tolist() == [-1]
    assert moments.parse_all(["2026-11-22T16:05:00.000000Z", text], -1).tolist() == [
        NOW_US,
        -1,
    ]


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("now", NOW_US),
        ("now-15m", NOW_US - 900 * SECOND_US),
        ("now-6h", NOW_US - 21_600 * SECOND_US),
        ("now-30d", NOW_US - 30 * 86_400 * SECOND_US),
        ("now-2w", NOW_US - 14 * 86_400 * SECOND_US),
        ("now+10s", NOW_US + 10 * SECOND_US),
        ("now 10s", NOW_US + 10 * SECOND_US),
        ("1795363500000", NOW_US),
        ("1795363500000.125", NOW_US + 125),
        ("0", 0),
        ("-1.5", -1_500),
    ],
)
def test_asked_moments(text, us):
    assert moments.parse_asked(text, NOW_US) == us


@pytest.mark.parametrize(
    "text", ["now-6", "now-6y", "now-", "now--6h", "1e3", "12.1234", "9" * 20, "∞"]
)
def test_what_is_no_asked_moment_says_what_was_expected(text):
    with pytest.raises(ValueError, match="expected a time such as .* now-6h"):
        moments.parse_asked(text, NOW_US)


@given(st.lists(st.integers(0, 253_402_300_799_999_999), max_size=5))
def test_written_moments_read_back(times_us):
    texts = moments.write_all(np.array(times_us, np.int64))
    assert all(len(text) == 27 and text.endswith("Z") for text in texts)
    assert moments.parse_all(texts, -1).tolist() == times_us
    assert [moments.parse(text) for text in texts] == times_us
