"""The line between a supervisor and a child: a socket pair, each with its end of it.

The child says on it that it is ready, every second that it lives and how many
connections it has, and that it is leaving. The parent gives it connections, each as
a descriptor with one byte. An end that is gone cuts the line. Nobody ever blocks: who
does not read must not hold up the other.
"""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple

READY = "ready"
ALIVE = "alive"
LEAVING = "leaving"
_GIVEN = b"c"
# Words are short; a child that does not end one is not ours.
WORD_BYTES = 64
# Connections that are taken at once: the loop has other things to do.
TAKEN_AT_ONCE = 64


class Word(NamedTuple):
    """What a child said; with ALIVE, how many connections it has, and how many it
    has taken here in its life."""

    what: str
    connections: int = 0
    taken: int = 0


class Cut(Exception):
    """The other end is gone."""


class ParentLine:
    """The supervisor's end."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.setblocking(False)
        self._heard = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def hear(self) -> list[Word]:
        """What has been said since. Raises Cut."""
        try:
            some = self._socket.recv(4_096)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Cut from error
        if not some:
            raise Cut
        *words, self._heard = (self._heard + some).split(b"\n")
        if len(self._heard) > WORD_BYTES:
            raise Cut
        return [_word(each.decode("ascii", "replace")) for each in words]

    def give(self, connection: socket.socket) -> bool:
        """Hand over a connection; False: the child takes none now, or is gone."""
        try:
            socket.send_fds(self._socket, [_GIVEN], [connection.fileno()])
        except OSError:
            return False
        return True


class ChildLine:
    """A child's end, made from the number of the inherited socket."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._socket.setblocking(False)
        # Connections that came here, and those for which no descriptor was left.
        self.taken = 0
        self.lost = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def say_ready(self) -> None:
        self._say(READY)

    def say_alive(self, connections: int = 0) -> None:
        """connections: that it has now, also those that came elsewhere."""
        self._say(f"{ALIVE} {connections} {self.taken}")

    def say_leaving(self) -> None:
        self._say(LEAVING)

    def end(self) -> None:
        """Let nothing more be given: `give` is False from now on, whoever is late.

        What has been given before is still there to `take`, and then the line is cut.
        Words go on.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def take(self) -> list[socket.socket]:
        """The connections that have been given since. Raises Cut."""
        taken: list[socket.socket] = []
        while len(taken) < TAKEN_AT_ONCE:
            try:
                some, numbers, flags, _ = socket.recv_fds(self._socket, 1, 1)
            except BlockingIOError:
                break
            except ConnectionError:
                some, numbers, flags = b"", [], 0
            if not some:
                if taken:
                    break  # The next look finds it cut as well.
                raise Cut
            self.taken += 1
            taken += [socket.socket(fileno=number) for number in numbers]
            self.lost += bool(flags & socket.MSG_CTRUNC)
        return taken

    def _say(self, word: str) -> None:
        # Full: the parent is stopped. Broken: `take` says so.
        with contextlib.suppress(OSError):
            self._socket.send(word.encode("ascii") + b"\n")


def _word(text: str) -> Word:
    what, *numbers = text.split(" ")
    return Word(what, *(int(each) for each in numbers[:2] if each.isdigit()))
