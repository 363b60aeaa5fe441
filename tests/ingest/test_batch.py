"""One message → columns: two ways that agree, and every reason of refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.history.raw_from import RawFrom
from telemetry.ingest import batch as batches
from telemetry.ingest.batch import Batch, NotPlain, Refusals, Timing
from telemetry.protocol.codec import PlainData, Unreadable
from telemetry.protocol.errors import BadRequest
from telemetry.protocol.limits import MIN_TIME_US, Limits
from telemetry.protocol.messages import Data

LIMITS = Limits()
NOW_US = 1_795_000_000_000_000
T = 1_794_999_000_000


@dataclass
class Known:
    id: int
    kind: str


SERIES = {
    "n": Known(1, "number"),
    "m": Known(2, "number"),
    "b": Known(3, "boolean"),
    "t": Known(4, "text"),
}
TIMING = Timing(now_us=NOW_US, stamp_us=NOW_US, offset_us=0, future_seconds=86_400)


def detailed(timing: Timing = TIMING, seq: int | None = 7, **fields: Any) -> Batch:
    message = Data(seq=seq, **fields)
    batches.check_shape(message, LIMITS)
    return batches.detailed_batch(message, SERIES, timing, LIMITS.text_characters)


def plain(timing: Timing = TIMING, **fields: Any) -> Batch:
    return batches.plain_batch(PlainData(**fields), SERIES, timing)


def rows(batch: Batch) -> list[tuple[int, int, float]]:
    columns = (batch.series, batch.times_us, batch.values)
    lists = [
        column.tolist() if isinstance(column, np.ndarray) else list(column)
        for column in columns
    ]
    return sorted(zip(*lists, strict=True))


def reasons(batch: Batch) -> list[tuple[int | None, str, str]]:
    assert batch.refused is not None
    return [
        (each["row"], each["metric"], each["reason"]) for each in batch.refused.listed
    ]


class TestTwoWays:
    cells = st.integers(-(2**54), 2**54) | st.floats()
    times = st.floats(9.46e11, 1.8e12) | st.integers(946_684_800_000, T) | st.floats()

    @given(st.dictionaries(st.sampled_from(["n", "m"]), cells, min_size=1), times)
    @example({"n": 2**53}, T)
    @example({"n": -(2**53) - 1}, T)
    @example({"n": 1e308}, T)
    def test_agree_on_an_instant(self, values: dict[str, float], time: float):
        floats = {name: float(value) for name, value in values.items()}
        try:
            short = plain(values=floats, time=float(time))
        except NotPlain:
            return
        long = detailed(values=dict(values), time=float(time))
        assert rows(short) == rows(long)
        assert not reasons(long) and not long.texts

    @given(
        times,
        st.lists(st.tuples(st.floats(-1e9, 1e9) | cells, cells, cells), max_size=5),
    )
    def test_agree_on_a_batch(self, base: float, table: list[tuple[float, ...]]):
        fields: dict[str, Any] = {"base": float(base), "columns": ["n", "m"]}
        try:
            short = plain(
                rows=[[float(cell) for cell in row] for row in table], **fields
            )
        except NotPlain:
            return
        long = detailed(rows=[list(row) for row in table], **fields)
        assert rows(short) == rows(long)
        assert not reasons(long)

    @pytest.mark.parametrize("value", [2.0**53, float("nan"), float("inf"), -1e300])
    def test_short_way_leaves_doubtful_numbers_to_the_long_one(self, value: float):
        with pytest.raises(NotPlain):
            plain(values={"n": value}, time=T)
        with pytest.raises(NotPlain):
            plain(base=T, columns=["n"], rows=[[0, 1], [1, value]])

    @pytest.mark.parametrize("name", ["b", "t", "unknown"])
    def test_and_other_series(self, name: str):
        with pytest.raises(NotPlain):
            plain(values={name: 1}, time=T)
        with pytest.raises(NotPlain):
            plain(base=T, columns=["n", name], rows=[[0, 1, 1]])


class TestTimes:
    LATEST_US = NOW_US + 86_400_000_000

    @pytest.mark.parametrize(
        ("time_us", "is_good"),
        [
            (MIN_TIME_US, True),
            (MIN_TIME_US - 1, False),
            (LATEST_US, True),
            (LATEST_US + 1, False),
        ],
    )
    def test_both_ends_to_the_microsecond(self, time_us: int, is_good: bool):
        fields: list[dict[str, Any]] = [
            {"values": {"n": 1}, "time": time_us / 1000},
            {"base": time_us / 1000, "columns": ["n"], "rows": [[0, 1]]},
        ]
        for each in fields:
            long = detailed(**each)
            assert rows(long) == ([(1, time_us, 1)] if is_good else [])
            assert reasons(long) == ([] if is_good else [(0, "n", "bad_time")])
            if is_good:
                assert rows(plain(**each)) == rows(long)
            else:
                with pytest.raises(NotPlain):
                    plain(**each)

    def test_before_its_raw_readings_a_series_takes_none(self):
        raw_from = RawFrom()
        raw_from.move(2, NOW_US - 1_000)
        timing = msgspec.structs.replace(TIMING, raw_from=raw_from)
        for time_us, is_good in ((NOW_US - 1_000, True), (NOW_US - 1_001, False)):
            fields: list[dict[str, Any]] = [
                {"values": {"n": 1, "m": 2}, "time": time_us / 1000},
                {
                    "base": time_us / 1000,
                    "columns": ["n", "m"],
                    "rows": [[at, 1, 2] for at in range(2)],
                },
                {
                    "base": time_us / 1000,
                    "columns": ["n", "m"],
                    "rows": [[at, 1, 2] for at in range(200)],
                },
            ]
            for each in fields:
                long = detailed(timing, **each)
                # The other series, and what is later in the batch, are kept.
                assert reasons(long) == ([] if is_good else [(0, "m", "bad_time")])
                assert (1, time_us, 1) in rows(long)
                assert len(rows(long)) == 2 * len(each.get("rows", [0])) - (not is_good)
                if is_good:
                    assert rows(plain(timing, **each)) == rows(long)
                else:
                    with pytest.raises(NotPlain):
                        plain(timing, **each)

    @pytest.mark.parametrize("count", [1, 200])
    def test_a_series_that_is_all_raw_stays_on_the_short_way(self, count: int):
        raw_from = RawFrom()
        raw_from.move(2, NOW_US)
        timing = msgspec.structs.replace(TIMING, raw_from=raw_from)
        batch = plain(
            timing, base=T - 1_000, columns=["n"], rows=[[at, 1] for at in range(count)]
        )
        assert len(batch) == count

    def test_without_a_time_the_hub_stamps(self):
        timing = Timing(NOW_US, NOW_US + 5, 10**15, 86_400)
        for batch in (
            plain(timing, values={"n": 1}),
            detailed(timing, values={"n": 1}),
        ):
            assert rows(batch) == [(1, NOW_US + 5, 1)]

    def test_uptime_is_offset_and_base_and_row(self):
        timing = Timing(NOW_US, NOW_US, NOW_US - 60_000_000, 86_400)
        fields: dict[str, Any] = {
            "base": 1_000.5,
            "columns": ["n"],
            "rows": [[0.25, 1]],
        }
        for batch in (plain(timing, **fields), detailed(timing, **fields)):
            assert rows(batch) == [(1, NOW_US - 60_000_000 + 1_000_750, 1)]

    def test_uptime_of_an_instant(self):
        timing = Timing(NOW_US, NOW_US, NOW_US - 60_000_000, 86_400)
        assert rows(plain(timing, values={"n": 1}, time=2)) == [
            (1, NOW_US - 59_998_000, 1)
        ]


class TestReasons:
    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("n", 1, None),
            ("n", -0.0, None),
            ("n", 2**53, None),
            ("n", -(2**53), None),
            ("n", 2**53 + 1, "bad_type"),
            ("n", 10**400, "bad_type"),
            ("n", 1.7e308, None),
            ("n", float("nan"), "bad_type"),
            ("n", float("-inf"), "bad_type"),
            ("n", True, "bad_type"),
            ("n", "1", "bad_type"),
            ("b", True, None),
            ("b", False, None),
            ("b", 1, "bad_type"),
            ("b", 0.0, "bad_type"),
            ("b", "true", "bad_type"),
            ("t", "", None),
            ("t", "x" * 256, None),
            ("t", "ü" * 256, None),
            ("t", "x" * 257, "too_long"),
            ("t", "a\0b", "bad_type"),
            ("t", 1, "bad_type"),
            ("t", False, "bad_type"),
            ("x", 1, "unknown_metric"),
            ("x", "1", "unknown_metric"),
            ("x", None, None),
            ("n", None, None),
            ("t", None, None),
        ],
    )
    def test_value(self, name: str, value: Any, reason: str | None):
        batch = detailed(values={name: value}, time=T)
        assert reasons(batch) == ([] if reason is None else [(0, name, reason)])
        assert len(batch) == (value is not None and reason is None)

    def test_the_good_ones_of_a_batch_are_kept(self):
        batch = detailed(
            base=T,
            columns=["n", "b", "t", "x"],
            rows=[
                [0, 1, True, "a", 1],
                [None, 2, False, "b", 2],
                [2, "3", None, "c", None],
            ],
        )
        assert rows(batch) == [(1, T * 1000, 1), (3, T * 1000, 1)]
        assert batch.texts == [(4, T * 1000, "a"), (4, (T + 2) * 1000, "c")]
        assert reasons(batch) == [
            (1, "n", "bad_time"),
            (2, "n", "bad_type"),
            (1, "b", "bad_time"),
            (1, "t", "bad_time"),
            (0, "x", "unknown_metric"),
            (1, "x", "bad_time"),
        ]

    def test_32_are_listed_and_all_are_counted_by_reason(self):
        refusals = Refusals()
        for at in range(100):
            refusals.add(7, at, "n", "bad_time" if at % 4 else "bad_type")
        assert len(refusals.listed) == batches.LISTED_REJECTIONS == 32
        assert refusals.count == 100
        assert refusals.reasons == {"bad_time": 75, "bad_type": 25}

    def test_long_name_is_not_echoed_whole(self):
        batch = detailed(values={"x" * 10_000: 1}, time=T)
        assert reasons(batch) == [(0, "x" * 64, "unknown_metric")]

    def test_without_seq_none_is_named(self):
        batch = detailed(seq=None, values={"x": 1}, time=T)
        assert batch.refused is not None
        assert batch.refused.listed == [
            {"row": 0, "metric": "x", "reason": "unknown_metric"}
        ]


NAMES = [f"m{at}" for at in range(65)]


class TestShape:
    @pytest.mark.parametrize(
        "fields",
        [
            {"values": {}},
            {"values": dict.fromkeys(NAMES[:64], 1)},
            {"values": {"n": 1}, "base": 1},
            {"base": T, "columns": ["n"], "rows": []},
            {"base": T, "columns": NAMES[:64], "rows": [[0] * 65]},
            {"base": T, "columns": ["n"], "rows": [[0, 1]] * 1_000},
            {"seq": 1, "values": {}},
            {"seq": 2**53, "values": {}},
        ],
    )
    @pytest.mark.parametrize("kind", [Data, PlainData])
    def test_good(self, kind: Any, fields: dict[str, Any]):
        batches.check_shape(kind(**fields), LIMITS)

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"time": T},
            {"base": T},
            {"base": T, "columns": ["n"]},
            {"base": T, "rows": []},
            {"columns": ["n"], "rows": []},
            {"base": T, "columns": [], "rows": []},
            {"base": T, "columns": ["n", "n"], "rows": []},
            {"base": T, "columns": NAMES, "rows": []},
            {"base": T, "columns": ["n"], "rows": [[0, 1]] * 1_001},
            {"base": T, "columns": ["n"], "rows": [[0, 1], [0]]},
            {"base": T, "columns": ["n"], "rows": [[]]},
            {"base": T, "columns": ["n"], "rows": [[0, 1, 2]]},
            {"values": dict.fromkeys(NAMES, 1)},
            {"values": {}, "rows": []},
            {"values": {}, "columns": []},
        ],
    )
    @pytest.mark.parametrize("kind", [Data, PlainData])
    def test_bad_names_its_batch(self, kind: Any, fields: dict[str, Any]):
        with pytest.raises(BadRequest) as caught:
            batches.check_shape(kind(seq=7, **fields), LIMITS)
        assert caught.value.seq == 7
        assert caught.value.message.startswith("expected")

    @pytest.mark.parametrize("seq", [0, -1, 2**53 + 1, 2**70, 10**4_000])
    def test_seq_that_is_no_number_of_a_batch(self, seq: int):
        with pytest.raises(Unreadable) as caught:
            batches.check_shape(PlainData(seq=seq, values={}), LIMITS)
        assert caught.value.seq is None and len(caught.value.message) < 300


class TestFirstValues:
    def test_kind_of_a_new_series_is_that_of_its_first_value(self):
        message = Data(
            base=T,
            columns=["n", "b", "t", "none"],
            rows=[[0, None, True, "x", None], [1, 2, False, None, None]],
        )
        found = batches.first_values(message)
        kinds = {name: batches.kind_of(value) for name, value in found.items()}
        assert kinds == {"n": "number", "b": "boolean", "t": "text", "none": None}

    def test_missing_metrics(self):
        assert batches.missing_metrics(Data(values={"n": 1, "x": 2}), SERIES) == ["x"]
        message = Data(base=T, columns=["y", "b"], rows=[])
        assert batches.missing_metrics(message, SERIES) == ["y"]
        assert batches.missing_metrics(Data(), SERIES) == []
