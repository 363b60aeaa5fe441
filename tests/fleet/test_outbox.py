"""Numbering, window, sending again and cutting; pure, and as a random model."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.fleet.batch import Batch, batch_of
from telemetry.fleet.outbox import Outbox
from telemetry.protocol.codec import JSON


def rows(first: int, count: int) -> Batch:
    return batch_of(["n"], [(1_000 * n, [n]) for n in range(first, first + count)])


def outbox(capacity: int = 64) -> Outbox:
    return Outbox(capacity, JSON.encode)


def pull(box: Outbox) -> list[int]:
    """Everything that may go out now, by seq."""
    seqs = []
    while (due := box.next(0.0)) is not None:
        seqs.append(due[0].seq)
    return seqs


def welcome(box: Outbox, acked: int = 0, window: int = 8, max_rows: int = 1_000):
    return box.welcome(acked, window, 65_536, max_rows)


def values(batch: Batch) -> list[object]:
    return [value for _, _, value in batch.each()]


class TestWindow:
    def test_nothing_goes_out_before_welcome(self) -> None:
        box = outbox()
        box.put(rows(0, 1))
        assert pull(box) == []

    def test_at_most_the_window_is_out(self) -> None:
        box = outbox()
        welcome(box, window=3)
        for n in range(5):
            box.put(rows(n, 1))
        assert pull(box) == [1, 2, 3]
        box.ack(2)
        assert pull(box) == [4, 5]

    def test_flow_zero_pauses_and_a_larger_one_resumes(self) -> None:
        box = outbox()
        welcome(box, window=4)
        box.flow(0)
        box.put(rows(0, 1))
        assert pull(box) == []
        box.flow(64)
        assert pull(box) == [1]

    def test_flow_never_widens_the_window_of_welcome(self) -> None:
        box = outbox()
        welcome(box, window=2)
        box.flow(64)
        for n in range(5):
            box.put(rows(n, 1))
        assert pull(box) == [1, 2]

    def test_a_full_outbox_takes_nothing(self) -> None:
        box = outbox(capacity=2)
        box.put(rows(0, 1))
        box.put(rows(1, 1))
        assert box.is_full
        with pytest.raises(OverflowError, match="at most 2"):
            box.put(rows(2, 1))


class TestReconnect:
    def test_what_welcome_acks_is_dropped_and_the_rest_goes_again_in_order(
        self,
    ) -> None:
        box = outbox()
        welcome(box)
        for n in range(4):
            box.put(rows(n, 1))
        assert pull(box) == [1, 2, 3, 4]
        assert [sent.seq for sent in welcome(box, acked=2)] == [1, 2]
        box.put(rows(4, 1))
        assert pull(box) == [3, 4, 5]

    def test_a_batch_keeps_its_seq_and_content(self) -> None:
        box = outbox()
        welcome(box)
        box.put(rows(0, 3))
        first = box.next(0.0)
        welcome(box)
        again = box.next(0.0)
        assert first is not None
        assert again is not None
        assert again[1] == first[1]
        assert again[0].times == 2

    def test_an_ack_of_an_older_seq_changes_nothing(self) -> None:
        box = outbox()
        welcome(box)
        box.put(rows(0, 1))
        pull(box)
        box.ack(1)
        assert box.ack(0) == []
        assert box.acked == 1

    def test_a_hub_that_knows_the_session_further_is_believed(self) -> None:
        box = outbox()
        welcome(box, acked=41)
        box.put(rows(0, 1))
        assert pull(box) == [42]


class TestCut:
    def test_a_batch_over_the_rows_limit_is_cut_before_it_is_numbered(self) -> None:
        box = outbox()
        welcome(box, max_rows=3)
        box.put(rows(0, 8))
        sent = []
        while (due := box.next(0.0)) is not None:
            sent.append(due[0])
        assert [each.seq for each in sent] == [1, 2, 3, 4]
        assert [v for each in sent for v in values(each.batch)] == list(range(8))

    def test_a_message_over_the_byte_limit_is_cut(self) -> None:
        box = outbox()
        box.welcome(0, 64, 200, 1_000)
        box.put(rows(0, 100))
        while (due := box.next(0.0)) is not None:
            assert len(due[1]) <= 200

    def test_after_a_refusal_smaller_batches_are_numbered_from_acked(self) -> None:
        box = outbox()
        welcome(box)
        for n in range(3):
            box.put(rows(4 * n, 4))
        pull(box)
        box.ack(1)
        box.cut_at_welcome()
        # The hub held one more than the last ack said.
        welcome(box, acked=2)
        sent = []
        while (due := box.next(0.0)) is not None:
            sent.append(due[0])
        assert [(each.seq, values(each.batch)) for each in sent] == [
            (3, [8, 9]),
            (4, [10, 11]),
        ]

    def test_a_single_row_stays_as_it_is(self) -> None:
        batch = rows(0, 1)
        assert batch.cut() == (batch,)


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_whatever_is_lost_the_hub_gets_every_batch_once_and_in_order(
    seed: int, window: int
) -> None:
    """A hub that commits in order, loses acks, and drops connections at random."""
    rng = random.Random(seed)
    box = outbox(capacity=1_000)
    for n in range(40):
        box.put(rows(n, 1))
    stored: list[object] = []
    last_seq, on_the_way = 0, []
    welcome(box, window=window)
    for _ in range(2_000):
        if not len(box):
            break
        due = box.next(0.0)
        if due is not None:
            on_the_way.append(due[0])
        assert box.in_flight <= window
        chance = rng.random()
        if chance < 0.4 and on_the_way:
            sent = on_the_way.pop(0)
            if sent.seq > last_seq:
                assert sent.seq == last_seq + 1
                last_seq = sent.seq
                stored.extend(values(sent.batch))
            if rng.random() < 0.6:
                box.ack(last_seq)
        elif chance < 0.45:
            on_the_way = []
            welcome(box, acked=last_seq, window=window)
        elif due is None and not on_the_way:
            box.ack(last_seq)
    assert stored == list(range(40))
