"""telemetry.history.keeping.retention: groups' days, the budget, and small steps."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

from telemetry.devices.models import DeviceGroup, Kind, Series
from telemetry.history import lease, space
from telemetry.history.keeping import budget, days, expiry, retention
from telemetry.history.lease import LeaseLost
from telemetry.history.models import Block, Lease, SeriesHead, TextReading

from ..rows import NOW_US
from ..thinning import (
    DAY_US,
    HOUR_US,
    OLD_US,
    SECOND_US,
    assert_same,
    damage,
    expected,
    hold,
    make_head,
    make_series,
    raw,
    regular,
    save,
    save_tier,
    tier,
    tier_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def newest(transactional_db):
    """Readings have come until the moment of the tests."""
    return make_head(10_000)


@pytest.fixture
def group(db) -> DeviceGroup:
    return DeviceGroup.objects.create(slug="plant", name="Plant A")


def run(now_us: int = NOW_US, **more) -> retention.Done:
    """A whole pass."""
    held, done = hold(), retention.Done()
    for _ in retention.whole_pass(held, done, now_us, **more):
        pass
    held.release()
    return done


def text(series: int, time_us: int, value: str = "on") -> None:
    TextReading.objects.create(
        series_id=series, time_us=time_us, received_us=time_us, value=value
    )


class TestDays:
    def test_without_a_group_the_defaults_hold(self, settings):
        settings.TELEMETRY_RAW_DAYS, settings.TELEMETRY_TIER_DAYS = 3, 5
        make_series()
        assert days.of_devices() == {}
        assert days.defaults() == days.Days(3, 5)

    def test_a_group_that_says_nothing_has_the_defaults(self, group):
        make_series(group)
        (kept,) = days.of_devices().values()
        assert kept == days.Kept(days.Days(30, 1_826), group.id)

    @pytest.mark.parametrize(
        ("one", "other", "wanted", "named"),
        [
            ((7, 100), (60, None), (60, 1_826), "b"),
            ((60, 10), (7, 100), (60, 100), "a"),
            ((7, 9), (None, 9), (30, 9), "b"),
            ((7, 9), (7, 9), (7, 9), "a"),
        ],
    )
    def test_of_several_groups_the_longest_holds(self, one, other, wanted, named):
        groups = [
            DeviceGroup.objects.create(slug=slug, name=slug, raw_days=r, tier_days=t)
            for slug, (r, t) in (("a", one), ("b", other))
        ]
        make_series(*groups)
        (kept,) = days.of_devices().values()
        assert kept.days == days.Days(*wanted)
        assert kept.group_id == groups[named == "b"].id

    def test_rows_are_never_kept_shorter_than_raw_readings(self):
        own = days.Days(30, 7)
        assert own.tier_before_us(NOW_US) == own.raw_before_us(NOW_US)

    def test_endless_days_are_no_error(self):
        own = days.Days(2**31 - 1, 2**31 - 1)
        assert own.raw_before_us(NOW_US) == -(2**62)


class TestByAge:
    def test_old_raw_blocks_become_rows_and_young_ones_stay(self):
        series = make_series()
        times_us, values = regular(NOW_US - 30 * DAY_US - HOUR_US, 3_600)
        save(series, times_us, values)
        save(series, times_us + HOUR_US, values)
        done = run()
        assert (done.thinned_blocks, done.thinned_readings) == (1, 3_600)
        assert len(raw(series)) == 3_600
        assert_same(tier_of(series), expected(times_us, values))

    def test_a_slow_series_stays_raw_where_rows_would_take_more_room(self):
        slow, fast = make_series(name="slow"), make_series(name="fast")
        save(slow, *regular(OLD_US, 3_000, 60 * SECOND_US))
        for at in range(12):
            save(fast, *regular(OLD_US + at * HOUR_US, 3_600))
        planned = retention.plan(NOW_US)
        done = run()
        assert (len(raw(slow)), len(tier(slow))) == (3_000, 0)
        assert (len(raw(fast)), done.thinned_readings) == (0, 12 * 3_600)
        assert planned.total.thinned_readings == 12 * 3_600
        # And so it is each time.
        assert not run().has_changed

    def test_each_device_by_its_own_group(self, group):
        group.raw_days = 90
        group.save()
        long, short = make_series(group, slug="long"), make_series(slug="short")
        for series in (long, short):
            save(series, [OLD_US], [1.0])
        run()
        assert (len(raw(long)), len(raw(short))) == (1, 0)

    @pytest.mark.parametrize("over", [-SECOND_US, SECOND_US])
    def test_rows_go_after_their_days(self, over):
        series = make_series()
        save_tier(series, [NOW_US - 1_826 * DAY_US - over], [1.0])
        done = run()
        assert (len(tier(series)), done.deleted_readings) == (over < 0, over > 0)

    def test_a_block_is_cut_once_half_of_it_is_old(self):
        series = make_series()
        edge_us = (NOW_US - 1_826 * DAY_US) // DAY_US * DAY_US
        now_us = edge_us + 1_826 * DAY_US
        times_us, values = regular(edge_us - 10 * DAY_US, 20 * 24, HOUR_US)
        save_tier(series, times_us, values)
        assert run(now_us - DAY_US).deleted_readings == 0
        assert run(now_us + DAY_US).deleted_readings == 11 * 24
        assert tier_of(series).first_us[0] == edge_us + DAY_US
        assert run(now_us + DAY_US).deleted_readings == 0

    def test_what_is_too_old_for_both_goes_at_once(self):
        series = make_series()
        save(series, [NOW_US - 2_000 * DAY_US], [1.0])
        done = run()
        assert (done.thinned_blocks, done.deleted_readings) == (0, 1)
        assert not Block.objects.exists()

    @pytest.mark.parametrize(("tier_days", "gone"), [(1_600, 0), (1_400, 1_600)])
    def test_a_slow_series_of_one_block_loses_its_oldest_readings(
        self, settings, tier_days, gone
    ):
        settings.TELEMETRY_TIER_DAYS = tier_days
        series = make_series()
        times_us = NOW_US - np.arange(3_000, 0, -1) * DAY_US
        save(series, times_us, np.arange(3_000.0), is_open=True)
        assert run().deleted_readings == gone
        assert [value for _, value in raw(series)] == list(range(gone, 3_000))
        assert Block.objects.get().is_open

    def test_texts_go_with_the_rows(self):
        series = make_series(kind=Kind.TEXT)
        for at in range(expiry.DELETE_TEXTS + 1):
            text(series, NOW_US - 1_827 * DAY_US + at)
        text(series, NOW_US - DAY_US)
        assert run().deleted_texts == expiry.DELETE_TEXTS + 1
        assert TextReading.objects.count() == 1

    def test_a_corrupt_block_does_not_stop_the_pass(self):
        first, second = make_series(), make_series(name="u")
        bad = save(first, [OLD_US], [1.0])
        damage(bad)
        save(first, [OLD_US + DAY_US], [1.0])
        save(second, [OLD_US], [1.0])
        done = run()
        assert (done.thinned_blocks, done.skipped) == (2, {bad.id})
        assert [block.id for block in Block.objects.filter(resolution_seconds=0)] == [
            bad.id
        ]

    def test_many_series_are_seen_in_pages(self, monkeypatch):
        monkeypatch.setattr("telemetry.history.keeping.oldest.PAGE_SERIES", 2)
        for at in range(5):
            save(make_series(name=f"s{at}"), [OLD_US], [1.0])
        assert run().thinned_blocks == 5

    def test_raw_from_moves_with_it(self):
        series = make_series()
        head = make_head(series)
        save(series, [OLD_US], [1.0])
        run()
        head.refresh_from_db()
        assert head.raw_from_us == OLD_US + 1


class TestSteps:
    def test_what_is_done_is_not_looked_for_again_within_the_hour(
        self, django_assert_max_num_queries
    ):
        series, held = make_series(), hold()
        save(series, [OLD_US], [1.0])
        assert list(retention.steps(held))
        save(series, [OLD_US + 1], [1.0])
        with django_assert_max_num_queries(2):
            assert list(retention.steps(held)) == []
        Lease.objects.filter(name=retention.AGE).update(
            expires_at="2000-01-01T00:00:00Z"
        )
        assert list(retention.steps(held))
        assert raw(series) == []

    def test_a_wait_that_a_clock_ahead_has_set_is_not_waited_for(self):
        series, held = make_series(), hold()
        assert list(retention.steps(held))
        save(series, [OLD_US], [1.0])
        Lease.objects.filter(name=retention.AGE).update(
            expires_at="2100-01-01T00:00:00Z"
        )
        assert list(retention.steps(held))
        assert raw(series) == []

    def test_steps_that_were_dropped_are_made_by_the_next(self):
        held, wanted = hold(), {}
        for at in range(3):
            times_us, values = regular(OLD_US, 5_000, seed=at)
            series = make_series(name=f"s{at}")
            for start in range(0, 5_000, 500):
                part = slice(start, start + 500)
                save(series, times_us[part], values[part])
            wanted[series] = times_us, values
        for count in itertools.count():
            steps = retention.steps(held)
            if len(list(itertools.islice(steps, count))) < count:
                break
            del steps
            for series, (times_us, values) in wanted.items():
                self.check(series, times_us, values)
        assert not Block.objects.filter(resolution_seconds=0).exists()

    @staticmethod
    def check(series: int, times_us, values) -> None:
        """Each reading is there once, raw or in a row."""
        thinned = sum(block.count for block in tier(series))
        assert thinned + len(raw(series)) == 5_000
        assert raw(series) == list(
            zip(times_us[thinned:].tolist(), values[thinned:].tolist(), strict=True)
        )
        if thinned:
            assert_same(tier_of(series), expected(times_us[:thinned], values[:thinned]))

    def test_a_lost_lease_ends_them(self):
        series, held = make_series(), hold()
        for at in range(20):
            save(series, [OLD_US + at * DAY_US // 10], [1.0])
        steps = retention.steps(held)
        next(steps)
        Lease.objects.filter(name=lease.NAME).update(token=held.token + 1)
        left = len(raw(series))
        with pytest.raises(LeaseLost):
            list(steps)
        assert len(raw(series)) == left > 0

    def test_the_next_hour_begins_only_after_a_whole_pass(self):
        series, held = make_series(), hold()
        save(series, [OLD_US], [1.0])
        next(retention.steps(held))
        assert not Lease.objects.filter(name=retention.AGE).exists()
        list(retention.steps(held))
        assert Lease.objects.filter(name=retention.AGE).exists()

    def test_the_room_goes_back_to_the_disk(self):
        series = make_series()
        for at in range(30):
            times_us, values = regular(OLD_US + at * HOUR_US // 4, 900, seed=at)
            save(series, times_us, values / 7)
        before = space.database_bytes()
        done = run(free_pages=0)
        assert done.freed_bytes > 0
        if space.is_sqlite():
            assert space.free_pages() == 0
            assert done.given_back_bytes > 0
            assert space.database_bytes() < before


class TestAWrongClock:
    """The hub's clock is six years ahead; a device's knows better."""

    @pytest.fixture
    def series(self, monkeypatch) -> int:
        ahead_us = NOW_US + 6 * 365 * DAY_US
        monkeypatch.setattr("telemetry.protocol.clock.now_us", lambda: ahead_us)
        series = make_series()
        save(series, *regular(NOW_US - DAY_US, 3_600))
        text(series, NOW_US - DAY_US)
        return series

    def run(self) -> retention.Done:
        held, done = hold(), retention.Done()
        list(retention.steps(held, done))
        held.release()
        return done

    def test_yesterdays_readings_stay(self, series, caplog):
        assert retention.plan().total.freed_bytes == 0
        assert not self.run().has_changed
        assert (len(raw(series)), TextReading.objects.count()) == (3_600, 1)
        (record,) = caplog.records
        assert "the hub's clock shows 2032-11-20" in record.getMessage()

    def test_ages_are_counted_from_a_day_after_the_newest_reading(self, series):
        save(series, *regular(NOW_US - 29 * DAY_US - HOUR_US, 3_599))
        SeriesHead.objects.create(
            **{"series_id": 7, "time_us": NOW_US - 1},
            **{"effective_us": NOW_US, "received_us": NOW_US, "value": 1.0},
        )
        assert days.now_us() == NOW_US + DAY_US
        assert retention.plan().total.thinned_readings == 3_599
        assert self.run().thinned_readings == 3_599
        assert len(raw(series)) == 3_600

    def test_without_any_reading_nothing_is_old(self, series, newest, caplog):
        newest.delete()
        save(series, [OLD_US], [1.0])
        assert days.now_us() == 0
        assert not self.run().has_changed
        assert retention.plan().total.freed_bytes == 0
        assert caplog.records == []

    def test_the_budget_counts_from_the_same_moment(self, series, settings):
        settings.TELEMETRY_DISK_BUDGET_BYTES = 1
        save(series, [NOW_US - 1, NOW_US], [1.0, 2.0])
        done = self.run()
        assert done.deleted_readings == 3_600
        assert len(raw(series)) == 2

    def test_a_clock_that_is_right_is_believed(self, monkeypatch, caplog):
        moment_us = NOW_US + DAY_US - 1
        monkeypatch.setattr("telemetry.protocol.clock.now_us", lambda: moment_us)
        assert days.now_us() == moment_us
        self.run()
        assert caplog.records == []


class TestSlowSeries:
    def test_they_are_passed_over_one_a_step_by_one_statement(
        self, django_assert_num_queries
    ):
        series = make_series()
        for at in range(30):
            save(series, *regular(OLD_US + at * DAY_US // 2, 700, 60 * SECOND_US))
        held = hold()
        steps = expiry.thin_out(held, series, NOW_US, retention.Done())
        with django_assert_num_queries(1):
            next(steps)
        assert list(steps) == []
        assert (len(raw(series)), tier(series)) == (30 * 700, [])

    def test_a_step_goes_past_them(self):
        series = make_series()
        for at in range(12):
            save(series, *regular(OLD_US + at * DAY_US, 700, 60 * SECOND_US))
        fast = save(series, *regular(OLD_US + 12 * DAY_US, 3_600))
        assert run().thinned_readings == fast.count
        assert len(raw(series)) == 12 * 700

    def test_and_so_does_the_budget(self, settings):
        slow, fast = make_series(name="slow"), make_series(name="fast")
        save(slow, *regular(NOW_US - 20 * DAY_US, 700, 60 * SECOND_US))
        save(slow, *regular(NOW_US - 10 * DAY_US, 3_600))
        save(fast, *regular(NOW_US - 15 * DAY_US, 3_600))
        settings.TELEMETRY_DISK_BUDGET_BYTES = 1
        held, done, ends = hold(), retention.Done(), []
        for _ in budget.steps(held, NOW_US, done):
            if done.deleted_blocks:
                break
            ends.append([len(tier(fast)), len(tier(slow))])
        assert [1, 0] in ends
        assert done.thinned_blocks == 2


class TestBudget:
    @pytest.fixture
    def full(self, settings, monkeypatch):
        """Two series of ten young blocks each; a budget that is exceeded."""
        # An empty database is much larger than these.
        monkeypatch.setattr(budget, "TARGET_SHARE", 1.0)
        made = [make_series(name="a"), make_series(name="b")]
        noise = np.random.default_rng(1)
        for at in range(10):
            for hours, series in enumerate(made):
                start_us = NOW_US - 12 * DAY_US + at * DAY_US + hours * HOUR_US
                times_us, _ = regular(start_us, 5_000)
                save(series, times_us, noise.standard_normal(5_000))
        settings.TELEMETRY_DISK_BUDGET_BYTES = 1
        return made

    def budget(self, settings, less: int) -> None:
        settings.TELEMETRY_DISK_BUDGET_BYTES = space.database_bytes() - less

    def test_within_the_budget_nothing_goes(self, full, settings):
        self.budget(settings, -1_000_000)
        assert not run().has_changed

    def test_the_oldest_of_all_series_are_thinned_out_first(
        self, full, settings, caplog
    ):
        size = len(bytes(Block.objects.earliest("start_us").data))
        self.budget(settings, 5 * size)
        with caplog.at_level(logging.WARNING, "telemetry.history.keeping.budget"):
            done = run()
        assert 5 <= done.thinned_blocks <= 12
        assert done.deleted_readings == 0
        youngest = max(b.end_us for series in full for b in tier(series))
        oldest = Block.objects.filter(resolution_seconds=0).earliest("end_us")
        assert youngest < oldest.end_us
        assert "TELEMETRY_DISK_BUDGET_BYTES" in caplog.text
        assert f"thinned out {done.thinned_readings:,} readings" in caplog.text

    def test_then_the_oldest_rows_go_but_nothing_of_the_last_day(self, full):
        young = NOW_US - DAY_US + HOUR_US
        save(full[0], [young], [1.0])
        text(full[0], NOW_US - 3 * DAY_US)
        text(full[0], young)
        done = run()
        assert (done.deleted_readings, done.deleted_texts) == (100_000, 1)
        assert [block.start_us for block in Block.objects.all()] == [young]
        assert TextReading.objects.get().time_us == young

    def test_readings_that_are_smaller_than_rows_are_not_thinned_out(self, settings):
        series = make_series()
        save(series, *regular(NOW_US - 20 * DAY_US, 400, HOUR_US))
        settings.TELEMETRY_DISK_BUDGET_BYTES = 1
        done = run()
        assert (done.thinned_blocks, done.deleted_blocks) == (0, 1)

    def test_between_the_hours_only_an_exceeded_budget_is_work(self, full, settings):
        settings.TELEMETRY_DISK_BUDGET_BYTES = 0
        held = hold()
        list(retention.steps(held))
        self.budget(settings, -1_000_000)
        assert list(retention.steps(held)) == []
        self.budget(settings, 200_000)
        assert list(retention.steps(held))
        assert any(tier(series) for series in full)
        settings.TELEMETRY_DISK_BUDGET_BYTES = 1
        assert list(retention.steps(held)) == []

    def test_corrupt_blocks_are_passed_over(self, full, settings):
        bad = Block.objects.earliest("start_us")
        damage(bad)
        self.budget(settings, 200_000)
        done = run()
        assert done.skipped == {bad.id}
        assert Block.objects.filter(id=bad.id).exists()


class TestPlan:
    def test_it_says_by_group_what_a_pass_would_do(self, group):
        grouped, alone = make_series(group), make_series(slug="alone")
        group.raw_days = 90
        group.save()
        times_us, values = regular(OLD_US, 5_000)
        for series in (grouped, alone):
            save(series, times_us, values / 7)
        save(alone, [NOW_US], [1.0])
        save_tier(alone, [NOW_US - 3_000 * DAY_US], [1.0])
        plan = retention.plan(NOW_US)
        assert [(each.name, each.raw_days) for each in plan.groups] == [
            ("Plant A", 90),
            ("", 30),
        ]
        kept, thinned = (each.amount for each in plan.groups)
        assert (kept.readings, kept.thinned_readings, kept.freed_bytes) == (5_000, 0, 0)
        assert (kept.oldest_us, kept.oldest_after_us) == (OLD_US, OLD_US)
        assert (thinned.readings, thinned.thinned_readings) == (5_002, 5_000)
        assert (thinned.deleted_readings, thinned.deleted_blocks) == (1, 1)
        assert thinned.oldest_us == NOW_US - 3_000 * DAY_US
        assert thinned.oldest_after_us == OLD_US
        assert (plan.total.series, plan.total.readings) == (2, 10_002)
        done = run()
        assert done.thinned_readings == plan.total.thinned_readings
        assert done.thinned_blocks == plan.total.thinned_blocks
        assert done.deleted_readings == plan.total.deleted_readings
        assert done.freed_bytes == pytest.approx(plan.total.freed_bytes, rel=0.2)
        assert retention.plan(NOW_US).total.freed_bytes == 0

    def test_nothing_stored_is_a_plan_too(self):
        plan = retention.plan(NOW_US)
        assert (plan.groups, plan.total.readings, plan.excess_bytes) == ([], 0, 0)

    def test_devices_without_readings_are_in_it(self, group):
        make_series(group)
        (only,) = retention.plan().groups
        assert (only.amount.series, only.amount.oldest_us) == (1, None)

    def test_texts_count_as_readings(self):
        series = make_series(kind=Kind.TEXT)
        text(series, NOW_US - 2_000 * DAY_US)
        text(series, NOW_US)
        total = retention.plan(NOW_US).total
        assert (total.readings, total.deleted_readings) == (2, 1)

    def test_it_says_how_far_the_budget_is_exceeded(self, settings):
        save(make_series(), [NOW_US], [1.0])
        settings.TELEMETRY_DISK_BUDGET_BYTES = 1_000
        plan = retention.plan(NOW_US)
        assert plan.excess_bytes == plan.database_bytes - 1_000 > 0


def test_deleted_devices_are_left_to_removal():
    save(make_series(), [OLD_US], [1.0])
    Series.objects.all().delete()
    assert not run().has_changed
    assert retention.plan(NOW_US).groups == []
