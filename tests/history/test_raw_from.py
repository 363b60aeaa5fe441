"""telemetry.history.raw_from: to the µs, and one comparison where that can be all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.heads import Heads, raw_from_rows, read_raw_from
from telemetry.history.models import SeriesHead
from telemetry.history.raw_from import RawFrom
from telemetry.protocol.limits import MIN_TIME_US

from .rows import NOW_US

# Ids below and above the size that it begins with.
SERIES = st.sampled_from([1, 2, 1_023, 1_024, 5_000])
TIME = st.integers(NOW_US - 3, NOW_US + 3)


def old(raw_from: RawFrom, *readings: tuple[int, int]) -> list[bool]:
    series = np.array([each[0] for each in readings], np.int32)
    times_us = np.array([each[1] for each in readings], np.int64)
    found: list[bool] = raw_from.too_old(series, times_us).tolist()
    return found


class TestRawFrom:
    def test_a_hub_that_has_thinned_out_nothing_takes_all_times(self):
        raw_from = RawFrom()
        assert raw_from.floor_us == MIN_TIME_US
        assert raw_from.floor_of([1, 999_999]) == MIN_TIME_US
        assert old(raw_from, (1, MIN_TIME_US), (999_999, MIN_TIME_US)) == [False] * 2
        assert old(raw_from) == []

    def test_before_the_year_2000_is_too_old_for_every_series(self):
        assert old(RawFrom(), (1, MIN_TIME_US - 1), (5_000, MIN_TIME_US - 1)) == [
            True,
            True,
        ]

    def test_to_the_microsecond_and_of_its_own_series_alone(self):
        raw_from = RawFrom()
        raw_from.move(7, NOW_US)
        assert raw_from.floor_us == NOW_US
        readings = [(7, NOW_US), (7, NOW_US - 1), (8, NOW_US - 1), (9_999, NOW_US - 1)]
        assert old(raw_from, *readings) == [False, True, False, False]
        assert raw_from.floor_of([8, 7]) == NOW_US
        assert raw_from.floor_of([8]) == MIN_TIME_US

    def test_to_read_it_does_not_make_it_grow(self):
        raw_from = RawFrom()
        raw_from.move(1_023, NOW_US)
        before = raw_from._from_us
        readings = [(2**31 - 1, NOW_US - 1), (1_023, NOW_US - 1), (1_024, NOW_US - 1)]
        assert old(raw_from, *readings) == [False, True, False]
        assert raw_from._from_us is before

    @given(
        st.lists(st.tuples(SERIES, TIME)),
        st.lists(st.tuples(SERIES, TIME), min_size=1),
        st.booleans(),
    )
    def test_does_what_a_dictionary_would(self, moves, readings, is_at_once):
        raw_from = RawFrom()
        model: dict[int, int] = {}
        for series, from_us in moves:
            model[series] = max(from_us, model.get(series, MIN_TIME_US))
        if is_at_once:
            raw_from.move_all(list(model.items()))
        else:
            for move in moves:
                raw_from.move(*move)
        assert raw_from.floor_us == max(model.values(), default=MIN_TIME_US)
        assert old(raw_from, *readings) == [
            time_us < model.get(series, MIN_TIME_US) for series, time_us in readings
        ]
        series = [each[0] for each in readings]
        assert raw_from.floor_of(series) == max(
            model.get(each, MIN_TIME_US) for each in series
        )


def head(series: int, raw_from_us: int | None) -> SeriesHead:
    return SeriesHead(
        series_id=series,
        time_us=NOW_US,
        effective_us=NOW_US,
        received_us=NOW_US,
        value=1.0,
        raw_from_us=raw_from_us,
    )


class TestRows:
    def test_heads_take_it_over_with_the_last_values(self):
        heads = Heads()
        heads.restore([head(1, NOW_US - 5), head(2, None)])
        assert heads.raw_from.floor_of([1]) == NOW_US - 5
        assert heads.raw_from.floor_of([2]) == MIN_TIME_US

    @pytest.mark.django_db
    def test_all_pages_are_read(self, monkeypatch):
        monkeypatch.setattr("telemetry.history.heads.RAW_FROM_PAGE", 2)
        rows = [head(series, NOW_US - series) for series in range(1, 6)]
        SeriesHead.objects.bulk_create([*rows, head(6, None)])
        assert raw_from_rows(2) == [(3, NOW_US - 3), (4, NOW_US - 4)]
        raw_from = read_raw_from()
        assert raw_from.floor_us == NOW_US - 1
        assert [raw_from.floor_of([series]) for series in (1, 5, 6)] == [
            NOW_US - 1,
            NOW_US - 5,
            MIN_TIME_US,
        ]
