"""Access tokens: made, found and ended. A screen's link, or what a script shows.

A secret is `hubt_` + prefix + `_` + 256 random bits, hashed and compared by
`credentials`, and shown once. What a token may see is decided by `access`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ..protocol import names
from . import credentials
from .access_token import AccessToken, TokenKind
from .models import DeviceGroup

logger = logging.getLogger(__name__)

T = TypeVar("T")

FORM = "hubt"
# A page that is open all day is one write a minute, not one a look.
USED_EVERY = timedelta(minutes=1)
# Ten years: more is “never”, and no date that a calendar ends before.
MOST_DAYS = 3_650
SLICE = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody has shown of a token, without the secret: to be asked again.

    sha256: of the secret; None where the hub's own signature vouches for the prefix.
    """

    kind: TokenKind
    prefix: str
    sha256: bytes | None = None

    def is_of(self, token: AccessToken | None) -> bool:
        """Whether this is the token of the prefix (None: there is none of it)."""
        is_right = True
        if self.sha256 is not None:
            stored = None if token is None else bytes(token.sha256)
            is_right = credentials.is_digest(self.sha256, stored)
        return is_right and token is not None and token.kind == self.kind


@sensitive_variables("secret")
def make(
    user: User,
    kind: TokenKind,
    name: str,
    *,
    groups: Iterable[DeviceGroup] = (),
    expires_at: datetime | None = None,
) -> tuple[AccessToken, str]:
    """Make a token of `user`. The secret is in the answer and nowhere else."""
    token = AccessToken(user=user, kind=kind, name=name, expires_at=expires_at)
    secret = give_secret(token)
    with transaction.atomic():
        token.save()
        token.groups.set(groups)
    return token, secret


@sensitive_variables("secret")
def give_secret(token: AccessToken) -> str:
    """Give an unsaved token its secret: what the answer says, once."""
    token.prefix, secret = credentials.new_secret(FORM)
    token.sha256 = credentials.digest(secret)
    return secret


def revoke(token: AccessToken) -> bool:
    """End a token for good. False: it had been revoked already."""
    now = timezone.now()
    open_rows = AccessToken.objects.filter(pk=token.pk, revoked_at=None)
    is_first = bool(open_rows.update(revoked_at=now))
    if is_first:
        token.revoked_at = now
    return is_first


def looks_like_one(secret: str) -> bool:
    """Whether this wants to be an access token, and no device's key."""
    return secret.startswith(f"{FORM}_")


@sensitive_variables("secret")
def claim_of(secret: str, kind: TokenKind) -> Claim | None:
    """What a secret claims; None for what is none. No I/O."""
    match = names.TOKEN.match(secret)
    return Claim(kind, match[1], credentials.digest(secret)) if match else None


def find(claims: Collection[Claim]) -> dict[Claim, AccessToken]:
    """The tokens that hold: the others (expired, revoked, inactive) are left out.

    Their users come with them. Notes that they are used.
    """
    now = timezone.now()
    rows: dict[str, AccessToken] = {}
    for part in _slices(sorted({claim.prefix for claim in claims})):
        found = AccessToken.objects.filter(prefix__in=part).select_related("user")
        rows |= {token.prefix: token for token in found}
    holds: dict[Claim, AccessToken] = {}
    for claim in claims:
        token = rows.get(claim.prefix)
        if claim.is_of(token) and token is not None and _holds(token, now):
            holds[claim] = token
    _note_use({token.pk: token for token in holds.values()}, now)
    return holds


def find_one(claim: Claim | None) -> AccessToken | None:
    """The token of one claim, if it holds."""
    return None if claim is None else find([claim]).get(claim)


def _holds(token: AccessToken, now: datetime) -> bool:
    return token.is_usable(now) and token.user.is_active


def _note_use(tokens: dict[int, AccessToken], now: datetime) -> None:
    since = now - USED_EVERY
    due = [
        pk
        for pk, token in tokens.items()
        if token.last_used_at is None or token.last_used_at <= since
    ]
    # Another process may have written it meanwhile.
    is_due = Q(last_used_at=None) | Q(last_used_at__lte=since)
    for part in _slices(due):
        rows = AccessToken.objects.filter(is_due, pk__in=part)
        try:
            # Being used is no edit.
            rows.update(last_used_at=now, changed_at=F("changed_at"))
        except DatabaseError as error:
            # A screen must not go dark because the disk is full.
            logger.warning("the use of access tokens was not noted: %s", error)


def _slices(values: list[T]) -> Iterator[list[T]]:
    return (values[start : start + SLICE] for start in range(0, len(values), SLICE))
