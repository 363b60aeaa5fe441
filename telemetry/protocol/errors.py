"""What can be wrong with a message, and how the sender is told.

ProtocolError
├── BadRequest      the shape or content is wrong
├── Unauthorized    no key, or one that does not hold
├── Forbidden       known, but not allowed: a disabled device, another's group
├── NotFound        no such thing, or not yours to see
├── Unsupported     a message or coding that this hub does not speak
├── TooLarge        over a limit of size
├── RateLimited     over a limit of frequency
├── Busy            not now: the database is away or memory is full
├── Conflict        somebody else was first
└── Internal        the hub's own fault

Each has a `code` for programs, a sentence for people that says what was expected
and what came, and says whether the same message may succeed later.
"""

from __future__ import annotations

from typing import ClassVar

from . import close_codes

# A message quotes at most this much of what came.
QUOTED_CHARACTERS = 80


class ProtocolError(Exception):
    """An error that the sender is told of, as `error` or as an HTTP answer.

    `seq` is the number of the batch at fault, where that much could be read: the
    batch then counts as done, refused. Without it nobody knows what the frame was.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    close_code: ClassVar[int] = close_codes.INTERNAL

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.seq = seq


class BadRequest(ProtocolError):
    code = "bad_request"
    http_status = 400
    close_code = close_codes.BAD_REQUEST


class Unauthorized(ProtocolError):
    code = "unauthorized"
    http_status = 401
    close_code = close_codes.UNAUTHORIZED


class Forbidden(ProtocolError):
    code = "forbidden"
    http_status = 403
    close_code = close_codes.FORBIDDEN


class NotFound(ProtocolError):
    code = "not_found"
    http_status = 404
    close_code = close_codes.NOT_FOUND


class Unsupported(ProtocolError):
    code = "unsupported"
    http_status = 415
    close_code = close_codes.BAD_REQUEST


class TooLarge(ProtocolError):
    code = "too_large"
    http_status = 413
    close_code = close_codes.TOO_LARGE


class RateLimited(ProtocolError):
    code = "rate"
    retryable = True
    http_status = 429
    close_code = close_codes.WINDOW


class Busy(ProtocolError):
    code = "busy"
    retryable = True
    http_status = 503
    close_code = close_codes.DRAINING


class Conflict(ProtocolError):
    code = "conflict"
    http_status = 409
    close_code = close_codes.BAD_REQUEST


class Internal(ProtocolError):
    code = "internal"
    retryable = True


ERRORS: tuple[type[ProtocolError], ...] = (
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    Unsupported,
    TooLarge,
    RateLimited,
    Busy,
    Conflict,
    Internal,
)


def quoted(came: object) -> str:
    """What came, for an error message: short, on one line, printable."""
    text = came if isinstance(came, str) else repr(came)
    text = "".join(c if c.isprintable() else "�" for c in text[: QUOTED_CHARACTERS + 1])
    if len(text) > QUOTED_CHARACTERS:
        text = text[:QUOTED_CHARACTERS] + "…"
    return f"“{text}”"
