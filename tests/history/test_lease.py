"""telemetry.history.lease: one holder at a time, and nobody writes after it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
from django.db import connection, transaction
from django.utils import timezone

from telemetry.history import lease
from telemetry.history.lease import Held, LeaseLost
from telemetry.history.models import Fault, Lease

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")
CLAIMERS = 20


def expire(name: str = lease.NAME) -> None:
    """The holder has not been heard of for longer than its lease."""
    past = timezone.now() - timedelta(seconds=1)
    assert Lease.objects.filter(name=name).update(expires_at=past)


def held(seconds: float = lease.SECONDS) -> Held:
    """A claim that has to succeed."""
    claimed = lease.claim(seconds)
    assert claimed is not None
    return claimed


def note(series_id: int) -> None:
    """Any write."""
    Fault.objects.create(
        series_id=series_id,
        start_us=0,
        end_us=0,
        reason="noted",
        noticed_at=timezone.now(),
    )


def noted() -> list[int]:
    return sorted(Fault.objects.values_list("series_id", flat=True))


def at_once(works: Iterable[Callable[[], T]]) -> list[T]:
    """Run all on threads of their own, started at one moment."""
    todo = list(works)
    barrier = threading.Barrier(len(todo))

    def run(work: Callable[[], T]) -> T:
        try:
            # Connected before: otherwise the first is done when the last begins.
            connection.ensure_connection()
            barrier.wait(30)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(todo)) as threads:
        return [future.result() for future in [threads.submit(run, w) for w in todo]]


class TestClaim:
    def test_gives_a_free_lease_a_token_and_an_end(self):
        before = timezone.now()
        claimed = held(30)
        row = Lease.objects.get(name=lease.NAME)
        assert (row.token, claimed.token) == (1, 1)
        assert before + timedelta(seconds=30) <= row.expires_at
        assert row.expires_at <= timezone.now() + timedelta(seconds=30)

    def test_a_held_one_is_not_given_and_not_touched(self):
        held(30)
        before = Lease.objects.values().get()
        assert lease.claim() is None
        assert Lease.objects.values().get() == before

    def test_an_expired_one_is_given_with_a_higher_token(self):
        first = held()
        expire()
        assert held().token > first.token

    @pytest.mark.parametrize(
        "ahead_seconds, is_given",
        [(lease.BELIEVED_SECONDS, False), (lease.BELIEVED_SECONDS + 60, True)],
    )
    def test_one_of_a_clock_that_was_ahead_is_given_and_fenced(
        self, ahead_seconds: float, is_given: bool
    ):
        first = held()
        until = timezone.now() + timedelta(seconds=ahead_seconds)
        Lease.objects.update(expires_at=until)
        claimed = lease.claim()
        assert (claimed is not None) == is_given
        with pytest.raises(LeaseLost) if is_given else contextlib.nullcontext():
            first.touch()

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_the_clock_of_a_process_gives_nobody_the_lease_of_another(
        self, monkeypatch: pytest.MonkeyPatch, hours: int
    ):
        first = held()
        wrong = timezone.now() + timedelta(hours=hours)
        monkeypatch.setattr(timezone, "now", lambda: wrong)
        assert lease.claim() is None
        first.touch()
        assert lease.claim() is None
        first.release()
        assert held().token > first.token

    def test_a_released_one_is_given_at_once(self):
        first = held()
        first.release()
        assert held().token > first.token

    def test_leases_of_other_names_are_apart(self):
        assert held().token == 1
        other = lease.claim(name="other")
        assert other is not None
        with other.transaction():
            note(1)
        assert lease.claim() is None

    def test_of_twenty_at_once_one_wins(self):
        for turn in range(5):
            found = at_once([lease.claim] * CLAIMERS)
            (winner,) = [claimed for claimed in found if claimed is not None]
            assert winner.token == turn + 1
            assert Lease.objects.get().token == winner.token
            winner.release()

    def test_of_twenty_that_meet_an_expired_one_one_wins(self):
        sleeper = held()
        expire()
        found = at_once([lease.claim] * CLAIMERS)
        (winner,) = [claimed for claimed in found if claimed is not None]
        assert winner.token == sleeper.token + 1
        with pytest.raises(LeaseLost), sleeper.transaction():
            note(1)
        with winner.transaction():
            note(2)
        assert noted() == [2]


class TestTransaction:
    def test_prolongs_the_claim(self):
        claimed = held(30)
        expire()
        with claimed.transaction():
            note(1)
        assert lease.claim() is None
        assert Lease.objects.get().expires_at > timezone.now()

    def test_that_fails_leaves_nothing(self):
        claimed = held()
        before = Lease.objects.values().get()
        with pytest.raises(ZeroDivisionError), claimed.transaction():
            note(1)
            raise ZeroDivisionError
        assert noted() == []
        assert Lease.objects.values().get() == before

    def test_of_one_that_slept_through_its_lease_writes_nothing(self):
        sleeper = held()
        expire()
        successor = held()
        before = Lease.objects.values().get()
        told = f"token {sleeper.token} "
        with pytest.raises(LeaseLost, match=told), sleeper.transaction():
            note(1)
        assert noted() == []
        assert Lease.objects.values().get() == before
        with successor.transaction():
            note(2)
        assert noted() == [2]

    def test_of_one_whose_successor_is_done_writes_nothing_either(self):
        sleeper = held()
        expire()
        held().release()
        with pytest.raises(LeaseLost), sleeper.transaction():
            note(1)
        assert noted() == []

    def test_of_one_that_nobody_succeeded_goes_on(self):
        sleeper = held()
        expire()
        with sleeper.transaction():
            note(1)
        assert noted() == [1]

    def test_a_claim_in_the_middle_of_one_waits_and_is_refused(self):
        claimed = held()
        expire()
        has_touched, may_end = threading.Event(), threading.Event()

        def write() -> None:
            with claimed.transaction():
                has_touched.set()
                # Long enough for the claim to be made: it waits for this commit.
                may_end.wait(0.5)
                note(1)

        def claim() -> Held | None:
            has_touched.wait(30)
            found = lease.claim()
            may_end.set()
            return found

        _, found = at_once([write, claim])
        assert found is None
        assert noted() == [1]

    def test_twenty_holders_of_one_after_another_never_write_together(self):
        """Each writes a number of its own as long as it may; then they are in order."""
        tokens: list[int] = []

        def work(worker: int) -> None:
            for _ in range(200):
                claimed = lease.claim()
                if claimed is None:
                    continue
                with claimed.transaction():
                    row = Fault.objects.filter(series_id=1).first()
                    if row is None:
                        note(1)
                    else:
                        # Read, then write: lost, if another did so in between.
                        Fault.objects.filter(id=row.id).update(end_us=row.end_us + 1)
                    tokens.append(claimed.token)
                claimed.release()
                return

        at_once([partial(work, worker) for worker in range(4)])
        assert tokens == sorted(set(tokens))
        if tokens:
            assert Fault.objects.get().end_us == len(tokens) - 1

    def test_a_sleeper_that_wakes_among_its_successors_writes_never(self):
        sleeper = held()
        expire()
        outcomes: list[str] = []

        def sleep_and_write() -> None:
            for at in range(20):
                try:
                    with sleeper.transaction():
                        note(100 + at)
                        outcomes.append("wrote")
                except LeaseLost:
                    outcomes.append("lost")

        def succeed() -> None:
            claimed = lease.claim()
            if claimed is None:
                return
            for at in range(20):
                with claimed.transaction():
                    note(200 + at)

        at_once([sleep_and_write, succeed])
        # Whoever came first went on, and the other did nothing at all.
        assert noted() in (list(range(100, 120)), list(range(200, 220)))
        assert len(set(outcomes)) == 1


class TestRelease:
    def test_of_a_lost_one_leaves_the_successor_alone(self):
        sleeper = held()
        expire()
        successor = held()
        before = Lease.objects.values().get()
        sleeper.release()
        assert Lease.objects.values().get() == before
        with successor.transaction():
            note(1)

    def test_twice_is_no_error(self):
        claimed = held()
        claimed.release()
        claimed.release()

    def test_one_that_is_released_may_be_used_until_another_claims_it(self):
        claimed = held()
        claimed.release()
        with claimed.transaction():
            note(1)
        claimed.release()
        held()
        with pytest.raises(LeaseLost), claimed.transaction():
            note(2)


class TestClaimed:
    def test_releases_at_the_end(self):
        with lease.claimed() as claimed:
            assert claimed is not None
            with lease.claimed() as second:
                assert second is None
        with lease.claimed() as claimed:
            assert claimed is not None

    def test_releases_when_the_work_fails(self):
        with pytest.raises(ZeroDivisionError), lease.claimed():
            raise ZeroDivisionError
        held()

    def test_releases_when_the_lease_was_lost(self):
        with pytest.raises(LeaseLost), lease.claimed() as claimed:
            assert claimed is not None
            expire()
            successor = held()
            with claimed.transaction():
                note(1)
        with successor.transaction():
            note(2)
        assert noted() == [2]


def test_a_touch_outside_a_transaction_fences_too():
    claimed = held()
    claimed.touch()
    expire()
    held()
    with pytest.raises(LeaseLost), transaction.atomic():
        claimed.touch()
