"""Keys of devices: made, hashed and compared here and nowhere else.

A key is `hub_` + 8 characters of prefix + `_` + 256 random bits; the database keeps
the prefix, to find the row, and the SHA-256 of the whole key. 256 random bits need
no slow hash: PBKDF2 would cost a reconnecting fleet minutes of CPU, and guards only
secrets that people made up. Access tokens (tokens.py) are secrets of the same kind.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from datetime import datetime

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ..protocol import names
from .models import Credential, Device

PREFIX_ALPHABET = string.ascii_letters + string.digits
PREFIX_CHARACTERS = 8
SECRET_BYTES = 32
# What an unknown prefix is compared with, so that it takes as long as a known one.
# Nobody has a key of this hash; `matches` says no whatever the comparison says.
NOBODY = bytes(32)


@sensitive_variables("key")
def issue(
    device: Device, *, expires_at: datetime | None = None
) -> tuple[Credential, str]:
    """Make a key for `device`. Its other keys stay as they are.

    The key is in the answer and nowhere else: it can be shown once.
    """
    prefix, key = new_secret("hub")
    credential = Credential.objects.create(
        device=device, prefix=prefix, sha256=digest(key), expires_at=expires_at
    )
    return credential, key


def new_secret(form: str) -> tuple[str, str]:
    """A prefix, and a secret `<form>_<prefix>_<256 random bits>`."""
    prefix = "".join(secrets.choice(PREFIX_ALPHABET) for _ in range(PREFIX_CHARACTERS))
    return prefix, f"{form}_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"


def revoke(credential: Credential) -> bool:
    """End a key for good. False: it had been revoked already."""
    now = timezone.now()
    open_rows = Credential.objects.filter(pk=credential.pk, revoked_at=None)
    is_first = bool(open_rows.update(revoked_at=now))
    if is_first:
        credential.revoked_at = now
    return is_first


@sensitive_variables("key")
def prefix_of(key: str) -> str | None:
    """The prefix of a well-formed key, None for anything else."""
    # A number of the wire's is no key; `match` would raise.
    match = names.KEY.match(key) if isinstance(key, str) else None
    return match[1] if match else None


@sensitive_variables("key")
def matches(key: str, sha256: bytes | None) -> bool:
    """Whether `key` is the one that was hashed; None: no key has that prefix.

    Takes the same time and the same path for a known and an unknown prefix.
    """
    return is_digest(digest(key), sha256)


def is_digest(given: bytes, sha256: bytes | None) -> bool:
    """The same of what was hashed already."""
    is_same = hmac.compare_digest(given, NOBODY if sha256 is None else sha256)
    return is_same and sha256 is not None


@sensitive_variables("secret")
def digest(secret: str) -> bytes:
    """What the database keeps of a secret."""
    return hashlib.sha256(secret.encode()).digest()
