"""What a device does after a socket has ended: the close-code table, as decisions.

Pure: the random source and the time connected are passed in.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from typing import Final

from ..protocol import close_codes

# What websockets reports when no close frame came.
ABNORMAL: Final = 1006

CUT_CODES: Final = frozenset(
    {close_codes.BAD_REQUEST, close_codes.TOO_LARGE, 1002, 1007, 1009}
)
REFUSED_CODES: Final = frozenset(
    {close_codes.UNAUTHORIZED, close_codes.FORBIDDEN, close_codes.NO_SUBPROTOCOL}
)

BASE_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0
# Connected this long, a device starts again with the shortest wait.
SETTLED_SECONDS: Final = 60.0
CUT_SECONDS: Final = 60.0
CUTS: Final = 5
SUPERSEDED_SECONDS: Final = 60.0
WINDOW_SECONDS: Final = 30.0
# Jitter on a fixed wait, as a part of it.
JITTER: Final = 0.25
REFUSED_SECONDS: Final = 3600.0


class Action(enum.Enum):
    RECONNECT = "reconnect"
    # Reconnect, and number smaller batches anew from what is acked.
    CUT = "cut"
    # Not before new credentials, or `wait_seconds`.
    REFUSED = "refused"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Ending:
    """How one connection ended. `after_ms` is that of the hub's `bye`, else None."""

    code: int
    after_ms: int | None = None
    connected_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    wait_seconds: float = 0.0


class Backoff:
    """Turns endings into decisions; remembers how many came in a row."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._attempt = 0
        self._cuts = 0

    def after(self, ending: Ending) -> Decision:
        """What to do now. Counts the ending."""
        if ending.connected_seconds >= SETTLED_SECONDS:
            self._attempt = 0
        code = ending.code
        if code == close_codes.NORMAL:
            return Decision(Action.STOP)
        if code in REFUSED_CODES:
            return Decision(Action.REFUSED, REFUSED_SECONDS)
        if code in CUT_CODES:
            return self._cut()
        return self._known_wait(code, ending.after_ms)

    def acked(self) -> None:
        """A batch came through: whatever was too large or broken is past."""
        self._cuts = 0

    def _cut(self) -> Decision:
        self._cuts += 1
        if self._cuts > CUTS:
            return Decision(Action.STOP)
        return Decision(Action.CUT, self._jittered(CUT_SECONDS))

    def _known_wait(self, code: int, after_ms: int | None) -> Decision:
        if code == close_codes.SUPERSEDED:
            return Decision(Action.RECONNECT, self._jittered(SUPERSEDED_SECONDS))
        if code == close_codes.WINDOW:
            if after_ms:
                return Decision(Action.RECONNECT, after_ms / 1000)
            return Decision(Action.RECONNECT, self._jittered(WINDOW_SECONDS))
        if code in (close_codes.INTERNAL, close_codes.DRAINING):
            spread = self._rng.uniform(0, (after_ms or 0) / 1000)
            return Decision(Action.RECONNECT, spread + self._exponential())
        if 4400 <= code < 4500 and code != close_codes.SILENT:
            return Decision(Action.STOP)
        return Decision(Action.RECONNECT, self._exponential())

    def _exponential(self) -> float:
        longest = min(LONGEST_SECONDS, BASE_SECONDS * 2**self._attempt)
        # 2**6 s is past the longest wait already.
        self._attempt = min(self._attempt + 1, 6)
        return self._rng.uniform(0, longest)

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + self._rng.uniform(0, JITTER))
