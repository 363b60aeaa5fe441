"""The cookie that a screen's link is swapped for: the token's prefix, signed.

The secret itself is then in no address, no history and no log. Pages set the cookie,
pages and sockets read it.
"""

from __future__ import annotations

from django.core.signing import BadSignature, Signer

from .access_token import AccessToken, TokenKind
from .tokens import Claim

SALT = "telemetry.kiosk"


def write(token: AccessToken) -> str:
    """The cookie's value."""
    return Signer(salt=SALT).sign(token.prefix)


def read(value: str) -> Claim | None:
    """What a cookie claims; None if this hub has not signed it. No I/O."""
    try:
        return Claim(TokenKind.KIOSK, Signer(salt=SALT).unsign(value))
    except BadSignature:
        return None
