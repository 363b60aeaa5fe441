"""hub_project.child_line: words one way, connections the other, an end that is seen."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hub_project import child_line
from hub_project.child_line import ChildLine, Cut, ParentLine, Word
from tests.processes import ROOT


@pytest.fixture
def ends() -> Iterator[tuple[ParentLine, ChildLine]]:
    ours, theirs = socket.socketpair()
    child = ChildLine(theirs.detach())
    with ours:
        yield ParentLine(ours), child
    child._socket.close()


def pair_of_peers() -> tuple[socket.socket, socket.socket]:
    """A connection of TCP: the accepted end, and its peer's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), timeout=30)
        accepted, _ = listener.accept()
    return accepted, peer


def test_words_arrive_in_their_order(ends: tuple[ParentLine, ChildLine]) -> None:
    parent, child = ends
    assert parent.hear() == []
    child.say_ready()
    child.say_alive(12)
    child.say_leaving()
    assert parent.hear() == [
        Word(child_line.READY),
        Word(child_line.ALIVE, 12, 0),
        Word(child_line.LEAVING),
    ]


def test_word_in_two_pieces_is_heard_once_it_is_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        parent = ParentLine(ours)
        theirs.send(b"alive 1")
        assert parent.hear() == []
        theirs.send(b"7 3\nre")
        assert parent.hear() == [Word(child_line.ALIVE, 17, 3)]


def test_connection_is_handed_over_and_works(
    ends: tuple[ParentLine, ChildLine],
) -> None:
    parent, child = ends
    accepted, peer = pair_of_peers()
    with peer:
        assert parent.give(accepted)
        accepted.close()
        (taken,) = child.take()
        with taken:
            taken.sendall(b"hello")
            assert peer.recv(5) == b"hello"
    assert child.take() == []


def test_many_connections_are_taken_some_at_a_time(
    ends: tuple[ParentLine, ChildLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_line, "TAKEN_AT_ONCE", 2)
    parent, child = ends
    pairs = [pair_of_peers() for _ in range(3)]
    for accepted, _peer in pairs:
        assert parent.give(accepted)
    taken = [child.take(), child.take(), child.take()]
    assert [len(some) for some in taken] == [2, 1, 0]
    child.say_alive(5)
    assert parent.hear() == [Word(child_line.ALIVE, 5, 3)]
    for each in [*taken[0], *taken[1], *(end for pair in pairs for end in pair)]:
        each.close()


def test_line_that_nobody_reads_takes_no_more_connections_and_never_blocks(
    ends: tuple[ParentLine, ChildLine],
) -> None:
    parent, child = ends
    accepted, peer = pair_of_peers()
    with accepted, peer:
        given = 0
        while parent.give(accepted):
            given += 1
            assert given < 100_000
        for _ in range(20_000):
            child.say_alive()
        while taken := child.take():
            given -= len(taken)
            for each in taken:
                each.close()
        assert given == 0
        assert parent.give(accepted)
        for each in child.take():
            each.close()


def test_child_that_ends_it_has_what_was_given_before_and_nothing_later(
    ends: tuple[ParentLine, ChildLine],
) -> None:
    parent, child = ends
    one, other = socket.socketpair()
    with one, other:
        assert [parent.give(one) for _ in range(3)] == [True] * 3
        child.end()
        assert not parent.give(one)
        taken = child.take()
        assert len(taken) == 3
        for each in taken:
            each.close()
        with pytest.raises(Cut):
            child.take()
    # It still says how it is.
    child.say_alive(7)
    assert parent.hear() == [Word(child_line.ALIVE, 7, 3)]


def test_parent_that_is_gone_cuts_the_line() -> None:
    ours, theirs = socket.socketpair()
    child = ChildLine(theirs.detach())
    ours.close()
    with pytest.raises(Cut):
        child.take()
    child.say_alive()  # No error: `take` has said it.
    child._socket.close()


def test_child_that_is_gone_cuts_the_line_and_takes_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        parent = ParentLine(ours)
        theirs.send(b"ready\n")
        theirs.close()
        assert parent.hear() == [Word(child_line.READY)]
        with pytest.raises(Cut):
            parent.hear()
        accepted, peer = pair_of_peers()
        with accepted, peer:
            assert not parent.give(accepted)


@pytest.mark.parametrize(
    "length, is_cut",
    [(child_line.WORD_BYTES, False), (child_line.WORD_BYTES + 1, True)],
)
def test_word_without_an_end_cuts_the_line(length: int, is_cut: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        parent = ParentLine(ours)
        theirs.send(b"x" * length)
        if is_cut:
            with pytest.raises(Cut):
                parent.hear()
        else:
            assert parent.hear() == []


def test_connection_without_a_descriptor_for_it_is_counted() -> None:
    # A limit of the whole process: so in one of its own.
    program = """
import os, resource, socket
from hub_project.child_line import ChildLine, ParentLine
ours, theirs = socket.socketpair()
parent, child = ParentLine(ours), ChildLine(theirs.detach())
one, other = socket.socketpair()
assert parent.give(one)
highest = max(int(name) for name in os.listdir("/proc/self/fd"))
spare = [os.dup(0) for _ in range(4)]
resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, 4_096))
while True:
    try:
        os.dup(0)
    except OSError:
        break
print(len(child.take()), child.lost)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["0", "1"], done.stderr
