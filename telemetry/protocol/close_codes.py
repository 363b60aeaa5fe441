"""Close codes: what the hub sends, and what the other side does about it.

An application may send 1000 and 3000-4999 only; the rest come from servers and
proxies.
"""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
BAD_REQUEST: Final = 4400
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
NOT_FOUND: Final = 4404
NO_SUBPROTOCOL: Final = 4406
SILENT: Final = 4408
SUPERSEDED: Final = 4409
TOO_LARGE: Final = 4413
WINDOW: Final = 4429
INTERNAL: Final = 4500
DRAINING: Final = 4503

# Code → (the reason in `bye`, what the client does).
CATALOGUE: dict[int, tuple[str, str]] = {
    NORMAL: ("asked for", "nothing"),
    BAD_REQUEST: (
        "bad request",
        "renumber from acked+1; not before 60 s; stop after 5",
    ),
    UNAUTHORIZED: ("unauthorized", "stop; again with new credentials or once an hour"),
    FORBIDDEN: ("forbidden", "stop; again with new credentials or once an hour"),
    NOT_FOUND: ("no such socket", "stop: the address is wrong"),
    NO_SUBPROTOCOL: ("no common subprotocol", "stop: the client is too old or new"),
    SILENT: ("silent", "reconnect with backoff"),
    SUPERSEDED: ("superseded", "wait 60 s and jitter"),
    TOO_LARGE: ("too large", "renumber from acked+1; not before 60 s; stop after 5"),
    WINDOW: ("window broken", "wait after_ms, else 30 s and jitter"),
    INTERNAL: ("internal error", "wait uniform(0, after_ms), then backoff"),
    DRAINING: ("draining", "wait uniform(0, after_ms), then backoff"),
}


def reason(code: int) -> str:
    """The short reason that goes with `code`."""
    return CATALOGUE[code][0]
