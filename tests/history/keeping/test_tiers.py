"""telemetry.history.keeping.tiers: raw becomes 5-minute rows, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import IntegrityError
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry import counters
from telemetry.history import blocks
from telemetry.history.keeping import tier_blocks, tiers
from telemetry.history.lease import LeaseLost
from telemetry.history.models import Block, Fault, Lease, SeriesHead

from ..rows import NOW_US
from ..thinning import (
    BUCKET_US,
    DAY_US,
    HOUR_US,
    OLD_US,
    SECOND_US,
    assert_same,
    damage,
    expected,
    hold,
    make_head,
    raw,
    regular,
    save,
    save_tier,
    tier,
    tier_of,
)

pytestmark = pytest.mark.django_db(transaction=True)

NEAR = ("increase", "integral")


@pytest.fixture
def slow_ones_too(monkeypatch):
    """Blocks become rows even where these take more room."""
    monkeypatch.setattr(tiers, "IS_SMALLER_AS_ROWS", Q())


def thin_all(series: int = 1, before_us: int = NOW_US, held=None) -> list[tiers.Step]:
    """All steps; damaged blocks are skipped."""
    held, skipped, steps = held or hold(), set(), []
    while (step := tiers.thin_out(held, series, before_us, skipped)) is not None:
        skipped.update(step.damaged)
        steps.append(step)
        assert len(steps) < 1_000
    held.release()
    return steps


class TestExactness:
    @pytest.mark.usefixtures("slow_ones_too")
    @pytest.mark.parametrize("step_us", [100_000, SECOND_US, 7 * SECOND_US, HOUR_US])
    def test_rows_are_those_of_the_readings(self, step_us):
        times_us, values = regular(OLD_US + 12_345, 40_000, step_us)
        for start in range(0, 40_000, 9_999):
            part = slice(start, start + 9_999)
            save(1, times_us[part], values[part])
        thin_all(before_us=int(times_us[-1]) + 1)
        assert raw(1) == []
        assert_same(tier_of(1), expected(times_us, values))
        assert sum(block.count for block in tier(1)) == 40_000
        assert max(block.length for block in tier(1)) <= tier_blocks.CAP_ROWS

    def test_a_bucket_in_two_blocks_becomes_one_row(self):
        save(1, [OLD_US, OLD_US + 10 * SECOND_US], [1.0, 5.0])
        thin_all(before_us=NOW_US)
        save(1, [OLD_US + 40 * SECOND_US], [2.0])
        thin_all()
        (block,) = tier(1)
        row = blocks.read_tier(block)
        assert (row.count.tolist(), row.increase.tolist()) == ([3], [6.0])
        assert row.integral.tolist() == [1.0 * 10 + 5.0 * 30]
        assert (block.start_us, block.end_us) == (OLD_US, OLD_US + 40 * SECOND_US)

    def test_an_empty_bucket_stays_a_gap(self):
        save(1, [OLD_US, OLD_US + 3 * BUCKET_US], [1.0, 2.0])
        thin_all()
        assert (tier_of(1).first_us - OLD_US).tolist() == [0, 3 * BUCKET_US]

    def test_the_summary_of_a_block_is_over_all_its_readings(self):
        times_us, values = regular(OLD_US, 5_000)
        save(1, times_us, values)
        thin_all()
        (block,) = tier(1)
        whole = blocks.build(1, times_us, values)
        for name in ("count", "minimum", "maximum", "sum", "first", "last", "increase"):
            assert getattr(block, name) == getattr(whole, name), name
        assert block.integral == pytest.approx(whole.integral, rel=1e-12)

    def test_huge_values_are_kept_as_well_as_floats_can(self):
        save(1, [OLD_US, OLD_US + 1], [1e308, 1e308])
        thin_all()
        row = tier_of(1)
        assert (row.count.tolist(), row.maximum.tolist()) == ([2], [1e308])

    def test_a_stuck_clock_does_no_harm(self):
        for part in range(3):
            save(1, [OLD_US] * 5, np.arange(5.0) + 10 * part, part)
        thin_all()
        assert tier_of(1).count.tolist() == [15]

    def test_an_exact_repeat_in_overlapping_blocks_counts_once(self):
        save(1, [OLD_US, OLD_US + 2], [1.0, 2.0])
        save(1, [OLD_US, OLD_US + 1], [1.0, 3.0], part=1)
        thin_all()
        assert (tier_of(1).count.tolist(), tier_of(1).sum.tolist()) == ([3], [6.0])


class TestDue:
    def test_only_blocks_that_end_before_are_taken(self):
        save(1, [OLD_US, OLD_US + 99], [1.0, 2.0])
        held = hold()
        assert tiers.thin_out(held, 1, OLD_US + 99) is None
        (step,) = thin_all(before_us=OLD_US + 100, held=held)
        assert (step.blocks, step.readings) == (1, 2)

    def test_other_series_are_left_alone(self):
        save(1, [OLD_US], [1.0])
        save(2, [OLD_US], [1.0])
        thin_all(1)
        assert (raw(1), raw(2)) == ([], [(OLD_US, 1.0)])

    def test_a_step_takes_a_bounded_part(self):
        for at in range(tiers.STEP_BLOCKS + 1):
            save(1, [OLD_US + at], [float(at)])
        steps = thin_all()
        assert [step.blocks for step in steps] == [tiers.STEP_BLOCKS, 1]
        assert tier_of(1).count.tolist() == [tiers.STEP_BLOCKS + 1]


def lease_free() -> None:
    """Let the next one claim at once."""
    Lease.objects.update(expires_at="2000-01-01T00:00:00Z")


class TestRawFrom:
    def test_it_is_just_after_the_last_thinned_reading(self):
        make_head(1)
        make_head(2)
        save(1, [OLD_US, OLD_US + 7], [1.0, 2.0])
        thin_all()
        heads = dict(SeriesHead.objects.values_list("series_id", "raw_from_us"))
        assert heads == {1: OLD_US + 8, 2: None}

    def test_it_only_moves_forward(self):
        make_head(1, raw_from_us=OLD_US + DAY_US)
        save(1, [OLD_US], [1.0])
        thin_all()
        assert SeriesHead.objects.get().raw_from_us == OLD_US + DAY_US

    def test_a_series_without_a_head_is_thinned_out_all_the_same(self):
        save(1, [OLD_US], [1.0])
        thin_all()
        assert len(tier(1)) == 1
        assert not SeriesHead.objects.exists()


class TestAppending:
    def test_rows_are_merged_geometrically(self):
        wanted_times, wanted_values = [], []
        rewritten = 0
        for day in range(40):
            times_us, values = regular(OLD_US + day * HOUR_US, 60, 60 * SECOND_US, day)
            wanted_times += times_us.tolist()
            wanted_values += values.tolist()
            save(1, times_us, values)
            before = {block.id for block in tier(1)}
            thin_all()
            rewritten += sum(b.length for b in tier(1) if b.id not in before)
        lengths = [block.length for block in tier(1)]
        assert len(lengths) <= 5
        assert rewritten < 6 * sum(lengths)
        assert_same(tier_of(1), expected(wanted_times, wanted_values))

    @pytest.mark.usefixtures("slow_ones_too")
    @pytest.mark.parametrize("more", [0, 1])
    def test_a_block_holds_at_most_its_cap(self, more):
        count = tier_blocks.CAP_ROWS + more
        save(1, *regular(OLD_US, count, BUCKET_US))
        thin_all()
        assert len(tier(1)) == 1 + more
        assert sum(block.length for block in tier(1)) == count


class TestLateReadings:
    def test_they_go_to_the_rows_of_their_time(self):
        times_us, values = regular(OLD_US, 3_000)
        save(1, times_us[::2], values[::2])
        thin_all()
        save(1, times_us[1::2], values[1::2])
        thin_all()
        assert_same(tier_of(1), expected(times_us, values), but=NEAR)

    def test_older_ones_make_blocks_before(self):
        save(1, [OLD_US], [1.0])
        thin_all()
        save(1, [OLD_US - DAY_US], [2.0])
        thin_all()
        assert tier_of(1).first_us.tolist() == [OLD_US - DAY_US, OLD_US]

    @pytest.mark.usefixtures("slow_ones_too")
    def test_a_few_over_many_blocks_are_put_in_some_at_a_time(self):
        count = 30 * tier_blocks.CAP_ROWS
        times_us, values = regular(OLD_US - 600 * DAY_US, count, BUCKET_US)
        for start in range(0, count, tier_blocks.CAP_ROWS):
            part = slice(start, start + tier_blocks.CAP_ROWS)
            save_tier(1, times_us[part], values[part])
        late_us = times_us[2_000 :: tier_blocks.CAP_ROWS] + 1
        save(1, late_us, np.ones(30))
        steps = thin_all()
        assert 1 < len(steps) <= 30
        assert raw(1) == []
        rows = tier_of(1)
        assert int(rows.count.sum()) == count + 30
        every = expected([*times_us, *late_us], [*values, *np.ones(30)])
        assert_same(rows, every, but=NEAR)

    @settings(
        max_examples=40,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        batches=st.lists(
            st.lists(
                st.tuples(st.integers(0, 3_000), st.integers(-20, 20)),
                min_size=1,
                max_size=12,
            ),
            min_size=1,
            max_size=8,
        )
    )
    def test_readings_in_any_order_are_each_counted_once(self, batches):
        Block.objects.all().delete()
        times, values = [], []
        for batch in batches:
            own = sorted(dict(batch).items())
            own = [each for each in own if OLD_US + each[0] * SECOND_US not in times]
            if not own:
                continue
            here = [OLD_US + second * SECOND_US for second, _ in own]
            save(1, here, [float(value) for _, value in own])
            times += here
            values += [float(value) for _, value in own]
            thin_all()
        assert raw(1) == []
        assert_same(tier_of(1), expected(times, values), but=(*NEAR, "first", "last"))
        assert len(tier(1)) <= 6


class TestDamage:
    def test_a_corrupt_raw_block_stays_and_the_others_go_on(self):
        before = counters.CORRUPT_BLOCKS._value.get()
        save(1, [OLD_US], [1.0])
        bad = save(1, [OLD_US + 10], [2.0])
        save(1, [OLD_US + 20], [3.0])
        damage(bad)
        (step,) = thin_all()
        assert (step.blocks, step.damaged) == (2, [bad.id])
        assert Block.objects.filter(id=bad.id).exists()
        assert tier_of(1).count.tolist() == [2]
        fault = Fault.objects.get()
        assert (fault.series_id, fault.start_us) == (1, OLD_US + 10)
        assert "checksum" in fault.reason
        assert counters.CORRUPT_BLOCKS._value.get() == before + 1

    def test_one_that_is_alone_changes_nothing(self):
        damage(save(1, [OLD_US], [1.0]))
        (step,) = thin_all()
        assert (step.blocks, len(step.damaged)) == (0, 1)

    def test_rows_of_a_damaged_block_of_the_tier_go_beside_it(self):
        times_us, values = regular(OLD_US, 2_000)
        bad = save_tier(1, times_us, values)
        damage(bad)
        save(1, times_us[500:600] + 1, np.ones(100))
        save(1, times_us[900:] + 2, np.ones(1_100))
        thin_all()
        thin_all()
        good = [block for block in tier(1) if block.id != bad.id]
        assert sum(block.count for block in good) == 1_200
        assert Block.objects.filter(id=bad.id).exists()
        assert Fault.objects.get().resolution_seconds == 300

    def test_what_the_database_refuses_stays_raw_and_the_rest_goes_on(
        self, monkeypatch
    ):
        for at, value in enumerate([1.0, 13.0, 2.0]):
            save(1, [OLD_US + at * DAY_US], [value])
        insert = blocks.insert

        def refuse(made):
            made = list(made)
            if any(block.maximum == 13.0 for block in made):
                raise IntegrityError("13 is no value")
            insert(made)

        monkeypatch.setattr(blocks, "insert", refuse)
        (step,) = thin_all()
        assert (step.blocks, step.readings, len(step.damaged)) == (2, 2, 1)
        assert [value for _, value in raw(1)] == [13.0]
        assert tier_of(1).sum.tolist() == [1.0, 2.0]
        assert "13 is no value" in Fault.objects.get().reason


class TestInterruptions:
    def test_a_lost_lease_changes_nothing(self):
        save(1, *regular(OLD_US, 1_000))
        held = hold()
        lease_free()
        assert hold().token != held.token
        with pytest.raises(LeaseLost):
            tiers.thin_out(held, 1, NOW_US)
        assert (len(raw(1)), tier(1)) == (1_000, [])

    @pytest.mark.parametrize("when", ["before the rows", "after the rows"])
    def test_an_error_in_the_transaction_changes_nothing(self, when, monkeypatch):
        make_head(1)
        times_us, values = regular(OLD_US, 1_000)
        save(1, times_us, values)
        insert = blocks.insert

        def fail(made):
            if when == "after the rows":
                insert(made)
            raise RuntimeError("in the middle of it")

        with monkeypatch.context() as patch:
            patch.setattr(blocks, "insert", fail)
            with pytest.raises(RuntimeError):
                tiers.thin_out(hold(), 1, NOW_US)
        assert SeriesHead.objects.get().raw_from_us is None
        assert (len(raw(1)), tier(1)) == (1_000, [])
        lease_free()
        thin_all()
        assert_same(tier_of(1), expected(times_us, values))
