"""The law: snapshot + updates = a fresh snapshot, whatever was lost or repeated."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telemetry.live.frames import Frames
from telemetry.live.rows import NONE, Rows, merge, single
from telemetry.live.state import GroupState
from telemetry.live.topic_rows import DeviceRow, SeriesRow

from .model import Store

T0 = 1_795_341_600_000_000
KINDS = ["number", "boolean", "text"]


def series_row(number: int, kind: str = "number") -> SeriesRow:
    return SeriesRow(number, f"dev-{number % 3}", f"m{number % 4}", "°C", kind)


def rows(*readings: tuple[int, int, float]) -> Rows:
    """(position, ms after T0, value)."""
    positions, times, values = zip(*readings, strict=True)
    return single(
        np.array(positions, np.int32),
        np.array([T0 + ms * 1000 for ms in times], np.int64),
        np.array(values, np.float64),
    )


def state_of(count: int, ring_bytes: int = 1 << 20) -> GroupState:
    series = [series_row(number) for number in range(1, count + 1)]
    return GroupState(series, [DeviceRow("dev-0", "Zero")], {}, ring_bytes=ring_bytes)


SECOND_US = 1_000_000


class TestPeriods:
    def told(self, state: GroupState, *periods_us: int) -> tuple[list, list]:
        """(series, period)… and (device, period, is estimated)… that are told then."""
        before = state.revision
        state.set_periods(np.array(periods_us, np.int64))
        changes = state.since(before)
        assert changes is not None
        return (
            [(row.id, row.period_us) for row in changes.series],
            [(row.slug, row.period_us, row.is_estimated) for row in changes.devices],
        )

    def test_are_told_when_they_are_known_of_series_and_device(self):
        state = state_of(3)
        assert self.told(state, 0, 0, 0) == ([], [])
        told = self.told(state, 0, 0, SECOND_US)
        assert told == ([(3, SECOND_US)], [("dev-0", SECOND_US, True)])

    @pytest.mark.parametrize(
        ("period_us", "is_told"),
        [(1_250_000, False), (1_250_001, True), (750_000, False), (749_999, True)],
    )
    def test_are_told_again_when_they_move_by_more_than_a_quarter(
        self, period_us, is_told
    ):
        state = state_of(3)
        self.told(state, 0, 0, SECOND_US)
        series, devices = self.told(state, 0, 0, period_us)
        assert bool(series) == bool(devices) == is_told

    def test_that_creep_are_told_when_they_have_gone_far(self):
        state = state_of(3)
        self.told(state, 0, 0, 1000)
        told = [
            bool(self.told(state, 0, 0, 1000 + step)[0]) for step in range(0, 400, 50)
        ]
        assert told == [False] * 6 + [True, False]

    def test_that_nobody_knows_any_more_stay_as_they_were(self):
        state = state_of(3)
        self.told(state, 0, 0, 1000)
        assert self.told(state, 0, 0, 0) == ([], [])
        assert state.series[2].period_us == 1000

    def test_that_somebody_has_set_are_never_estimated(self):
        state = state_of(3)
        state.set_devices([DeviceRow("dev-0", "Zero", period_us=7, is_estimated=False)])
        assert self.told(state, 0, 0, 1000)[1] == []
        row = state.device("dev-0")
        assert row is not None and row.period_us == 7
        state.set_devices([DeviceRow("dev-0", "Zero")])
        row = state.device("dev-0")
        assert row is not None and row.period_us == 1000

    def test_stay_when_something_else_of_the_device_changes(self):
        state = state_of(3)
        self.told(state, 0, 0, 1000)
        state.set_devices([DeviceRow("dev-0", "Zero", is_online=True)])
        row = state.device("dev-0")
        assert row is not None and (row.is_online, row.period_us) == (True, 1000)

    def test_of_other_metrics_are_not_told(self):
        state = state_of(4)
        before = state.revision
        state.set_periods(np.array([1, 1, 1, 1]))
        changes = state.since(before, frozenset({"m2"}))
        assert changes is not None
        assert [row.id for row in changes.series] == [2]


class TestSince:
    def test_rows_of_several_ticks_are_merged_with_min_max_and_count(self):
        state = state_of(2)
        before = state.revision
        for ms, value in enumerate([3.0, 9.0, 1.0, 5.0]):
            state.apply(rows((0, ms, value)), T0 + ms * 1000)
        changes = state.since(before)
        assert changes is not None
        merged = changes.rows
        assert merged.positions.tolist() == [0]
        assert merged.last.tolist() == [5.0]
        assert merged.minimum.tolist() == [1.0]
        assert merged.maximum.tolist() == [9.0]
        assert merged.count.tolist() == [4]
        assert merged.time_us.tolist() == [T0 + 3000]

    def test_nothing_new_is_no_changes(self):
        state = state_of(2)
        assert not state.since(state.revision)

    def test_only_the_metrics_asked_for(self):
        state = state_of(4)
        before = state.revision
        state.apply(rows((0, 0, 1.0), (1, 0, 2.0), (2, 0, 3.0)), T0)
        changes = state.since(before, frozenset({"m2"}))
        assert changes is not None
        assert changes.rows.last.tolist() == [2.0]

    def test_past_the_ring_is_none_and_the_reason_is_a_gap(self):
        state = state_of(3, ring_bytes=5_000)
        before = state.revision
        for ms in range(50):
            state.apply(rows((0, ms, ms), (1, ms, ms)), T0 + ms * 1000)
        assert state.since(before) is None
        assert state.lost_reason(before) == "gap"
        assert state.since(state.floor) is not None

    def test_a_revision_of_the_future_is_not_covered(self):
        state = state_of(1)
        assert state.since(state.revision + 1) is None

    def test_ring_stays_within_its_bytes(self):
        state = state_of(100, ring_bytes=20_000)
        for ms in range(300):
            state.apply(rows(*((at, ms, 1.0) for at in range(100))), T0 + ms * 1000)
        assert state._ring_bytes <= 20_000
        assert len(state._ring) < 5

    def test_new_series_are_told_once(self):
        state = state_of(1)
        before = state.revision
        state.add_series([series_row(7)], {7: (T0, T0, 4.5)})
        changes = state.since(before)
        assert changes is not None
        assert [row.id for row in changes.series] == [7]
        assert changes.rows.last.tolist() == [4.5]
        assert not state.since(state.revision)

    def test_late_ranges_of_several_ticks_become_one(self):
        state = state_of(1)
        before = state.revision
        state.apply(NONE.with_late(0, T0 - 5, T0 - 4), T0)
        state.apply(NONE.with_late(0, T0 - 9, T0 - 7), T0)
        changes = state.since(before)
        assert changes is not None
        assert changes.rows.late == ((0, T0 - 9, T0 - 4),)


class TestApply:
    def test_reading_older_than_the_held_one_moves_nothing_and_is_late(self):
        state = state_of(1)
        state.apply(rows((0, 10, 1.0)), T0 + 10_000)
        before = state.revision
        state.apply(rows((0, 5, 9.0)), T0 + 11_000)
        assert state.last.tolist() == [1.0]
        changes = state.since(before)
        assert changes is not None
        assert changes.rows.late == ((0, T0 + 5000, T0 + 5000),)
        assert not changes.rows.positions.size

    def test_clock_that_ran_ahead_and_was_set_right_freezes_nothing(self):
        state = state_of(1)
        state.apply(rows((0, 3_600_000, 1.0)), T0)
        state.apply(rows((0, 1, 2.0)), T0 + 1000)
        assert state.last.tolist() == [2.0]
        assert state.time_us.tolist() == [T0 + 1000]

    def test_equal_time_goes_to_the_later_arrival(self):
        state = state_of(1)
        state.apply(rows((0, 1, 1.0)), T0 + 1000)
        state.apply(rows((0, 1, 2.0)), T0 + 1000)
        assert state.last.tolist() == [2.0]

    def test_nothing_moves_no_revision(self):
        state = state_of(1)
        before = state.revision
        state.apply(NONE, T0)
        assert state.revision == before

    def test_seen_later_is_no_news_but_offline_is(self):
        state = state_of(1)
        before = state.revision
        state.set_devices([DeviceRow("dev-0", "Zero", last_seen_us=T0)])
        assert state.revision == before
        gone = DeviceRow("dev-0", "Zero", False, T0, T0, True)
        state.set_devices([gone])
        changes = state.since(before)
        assert changes is not None
        assert changes.devices == (gone,)


class TestBreakOff:
    def test_everybody_starts_afresh_and_the_reason_is_a_gap(self):
        state = state_of(2)
        state.apply(rows((0, 1, 1.0)), T0 + 10_000)
        before = state.revision
        state.break_off()
        assert state.revision > before
        assert not state.covers(before)
        assert state.since(before) is None
        assert state.lost_reason(before) == "gap"
        assert state.time_us[0] == T0 + 1000

    def test_who_started_afresh_goes_on(self):
        state = state_of(2)
        state.apply(rows((0, 1, 1.0)), T0 + 10_000)
        state.break_off()
        afresh = state.revision
        assert not state.since(afresh)
        state.apply(rows((1, 2, 2.0)), T0 + 10_000)
        changes = state.since(afresh)
        assert changes is not None
        assert changes.rows.positions.tolist() == [1]


class TestSuccessor:
    def test_values_known_only_here_stay(self):
        state = state_of(2)
        state.apply(rows((0, 5, 1.0), (1, 5, 2.0)), T0 + 5000)
        series = [series_row(1), series_row(3)]
        after = state.successor(series, [], {1: (T0, T0, 7.0)})
        assert after.revision == state.revision + 1
        assert after.last[after.position[1]] == 1.0
        assert not after.has_value[after.position[3]]
        assert after.since(state.revision) is None
        assert after.lost_reason(state.revision) == "changed"


class TestFrames:
    def test_clients_in_step_share_one_frame(self):
        state, frames = state_of(1), Frames("g", 1000)
        before = state.revision
        state.apply(rows((0, 0, 1.0)), T0)
        first = frames.update(state, before, None, T0)
        assert first is frames.update(state, before, None, T0 + 1)
        assert first is not None
        assert json.loads(first) == {
            "type": "update",
            "group": "g",
            "revision": 2,
            "time": T0 // 1000,
            "rows": [[1, T0 // 1000, 1.0]],
        }

    def test_frames_of_one_revision_are_bounded(self):
        state, frames = state_of(3), Frames("g", 1000)
        for number in range(500):
            frames.update(state, state.revision, frozenset({f"x{number}"}), T0)
        assert len(frames._updates) <= 64

    def test_booleans_texts_and_fractions_on_the_wire(self):
        series = [series_row(1, "boolean"), series_row(2, "text"), series_row(3)]
        state, frames = GroupState(series, [], {}, ring_bytes=99999), Frames("g", 9)
        before = state.revision
        tick = Rows(
            np.array([0, 2], np.int32),
            np.array([T0 + 1, T0 + 1], np.int64),
            np.array([1.0, 2.5]),
            np.array([0.0, 2.5]),
            np.array([1.0, 2.5]),
            np.array([3, 1]),
            texts=((1, T0, "open"),),
        )
        state.apply(tick, T0 + 1)
        message = json.loads(frames.update(state, before, None, T0) or "")
        ms = T0 / 1000
        assert message["rows"] == [
            [1, ms + 0.001, True, False, True, 3],
            [3, ms + 0.001, 2.5],
            [2, ms, "open"],
        ]
        page = json.loads(frames.snapshot(state, None)[0])
        assert page["rows"] == [
            [1, ms + 0.001, True],
            [2, ms, "open"],
            [3, ms + 0.001, 2.5],
        ]
        assert page["devices"] == []

    @pytest.mark.parametrize(
        ("series", "sizes"), [(0, [0]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])]
    )
    def test_snapshot_comes_in_pages(self, series, sizes):
        state = state_of(series)
        pages = [json.loads(page) for page in Frames("g", 10).snapshot(state, None)]
        assert [len(page["series"]) for page in pages] == sizes
        assert [page["more"] for page in pages] == [True] * (len(sizes) - 1) + [False]
        assert {page["revision"] for page in pages} == {state.revision}


def test_merging_many_parts_equals_applying_them_one_by_one():
    random = np.random.default_rng(7)
    parts = []
    for ms in range(40):
        places = np.flatnonzero(random.random(30) < 0.4)
        parts.append(rows(*((int(p), ms, float(random.normal())) for p in places)))
    merged = merge(parts)
    for row, place in enumerate(merged.positions.tolist()):
        mine = [
            float(part.last[at])
            for part in parts
            for at in np.flatnonzero(part.positions == place)
        ]
        assert merged.last[row] == mine[-1]
        assert merged.minimum[row] == min(mine)
        assert merged.maximum[row] == max(mine)
        assert merged.count[row] == len(mine)
    assert merged.positions.tolist() == sorted(set(merged.positions.tolist()))


class Law(RuleBasedStateMachine):
    """A hub's topic and one client, over a connection that loses and repeats."""

    def __init__(self):
        super().__init__()
        self.now_us = T0
        self.next_id = 4
        kinds = enumerate(KINDS, 1)
        self.members = [series_row(number, kind) for number, kind in kinds]
        self.devices = [DeviceRow(f"dev-{n}", f"Device {n}") for n in range(3)]
        self.state = GroupState(self.members, self.devices, {}, ring_bytes=4_000)
        self.frames = Frames("g", 2)
        self.metrics = None
        self.client = Store()
        self.resets: list[str] = []

    # --- the hub --------------------------------------------------------------------

    @rule(data=st.data())
    def a_tick(self, data):
        self.now_us += data.draw(st.integers(1, 5_000))
        places = data.draw(st.sets(st.integers(0, len(self.state.series) - 1)))
        numeric, texts = [], []
        for place in sorted(places):
            # Clocks run ahead, behind, and stand still.
            time_us = self.now_us + data.draw(st.integers(-8_000, 8_000))
            kind = self.state.series[place].kind
            value = data.draw(st.integers(0, 1) if kind == "boolean" else st.integers())
            if kind == "text":
                texts.append((place, time_us, str(value)))
            else:
                numeric.append((place, time_us, float(value % 1000)))
        columns = list(zip(*numeric, strict=True)) or [(), (), ()]
        tick = single(
            np.array(columns[0], np.int32),
            np.array(columns[1], np.int64),
            np.array(columns[2], np.float64),
        )
        for text in texts:
            tick = tick.with_text(*text)
        self.state.apply(tick, self.now_us)

    @rule(kind=st.sampled_from(KINDS), has_head=st.booleans())
    def a_new_series(self, kind, has_head):
        row = series_row(self.next_id, kind)
        self.next_id += 1
        self.members.append(row)
        value = "new" if kind == "text" else 1.0
        head = {row.id: (self.now_us, self.now_us, value)} if has_head else {}
        self.state.add_series([row], head)

    @precondition(lambda self: len(self.members) > 1)
    @rule(data=st.data())
    def a_series_goes_or_its_unit_changes(self, data):
        place = data.draw(st.integers(0, len(self.members) - 1))
        row = self.members.pop(place)
        if data.draw(st.booleans()):
            changed = SeriesRow(row.id, row.device, row.metric, "K", row.kind)
            self.members.insert(place, changed)
        self.state = self.state.successor(self.members, self.devices, {})

    @rule(number=st.integers(0, 2), is_online=st.booleans())
    def a_device_comes_or_goes(self, number, is_online):
        slug = f"dev-{number}"
        row = DeviceRow(slug, f"Device {number}", is_online, self.now_us, self.now_us)
        self.devices[number] = row
        self.state.set_devices([row])

    @rule(data=st.data())
    def periods_are_looked_at(self, data):
        some = st.sampled_from([0, 1, 1000, 1100, 2000, 5_000_000])
        count = len(self.state.series)
        periods = data.draw(st.lists(some, min_size=count, max_size=count))
        self.state.set_periods(np.array(periods, np.int64))

    @rule()
    def news_of_another_process_are_missing(self):
        self.state.break_off()

    # --- the client -----------------------------------------------------------------

    def frame(self):
        """The next frames as the hub makes them for the client's revision."""
        revision = self.client.revision
        if revision is not None and self.state.covers(revision):
            update = self.frames.update(self.state, revision, self.metrics, self.now_us)
            return [update] if update else []
        if revision is not None:
            self.resets.append(self.state.lost_reason(revision))
        return self.frames.snapshot(self.state, self.metrics)

    @rule()
    def the_client_gets_what_is_new(self):
        self.client.take_frames(self.frame())

    @rule()
    def a_frame_is_lost_with_its_connection(self):
        self.frame()

    @rule()
    def a_frame_comes_twice(self):
        frames = self.frame()
        self.client.take_frames(frames)
        self.client.take_frames(frames)

    @rule(metrics=st.none() | st.frozensets(st.sampled_from(["m0", "m1", "m2"])))
    def the_client_subscribes_anew(self, metrics):
        self.metrics = metrics
        self.client = Store()

    @invariant()
    def snapshot_and_updates_equal_a_fresh_snapshot(self):
        self.client.take_frames(self.frame())
        fresh = Store()
        fresh.take_frames(self.frames.snapshot(self.state, self.metrics))
        assert self.client.held() == fresh.held()


class SlowLaw(Law):
    """The same, for a client that looks only now and then: frames are merged."""

    @invariant()
    def snapshot_and_updates_equal_a_fresh_snapshot(self):
        pass

    @rule()
    def the_client_catches_up(self):
        Law.snapshot_and_updates_equal_a_fresh_snapshot(self)

    def teardown(self):
        Law.snapshot_and_updates_equal_a_fresh_snapshot(self)


TestLaw = Law.TestCase
TestLaw.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSlowLaw = SlowLaw.TestCase
TestSlowLaw.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
