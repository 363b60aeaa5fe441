"""telemetry.history.queries.turns: how many requests read history at the same time."""

from __future__ import annotations

import threading

import pytest

from telemetry.history.queries import turns


def test_no_more_than_a_few_read_at_once():
    inside = most = 0
    lock = threading.Lock()
    is_full = threading.Barrier(turns.READS_AT_ONCE)

    def read():
        nonlocal inside, most
        with turns.turn():
            with lock:
                inside += 1
                most = max(most, inside)
            # Returns only once all places are taken.
            is_full.wait(10)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=read) for _ in range(4 * turns.READS_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == turns.READS_AT_ONCE


def test_who_waits_too_long_is_told_so_and_a_place_comes_free(monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(turns, "_reads", threading.BoundedSemaphore(1))
    with turns.turn(), pytest.raises(turns.Busy), turns.turn():
        pass
    with pytest.raises(ZeroDivisionError), turns.turn():
        raise ZeroDivisionError
    with turns.turn():
        pass
