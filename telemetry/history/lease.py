"""One worker at a time changes blocks: a claim with a token that fences it.

Sealing, tiers, retention and removal share the lease. Each of their write
transactions begins by touching the lease row with its own token. A worker that
slept through its lease finds another's token there, and changes nothing any more.
Times are the database's: the clocks of several machines differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from .models import Lease

NAME = "history"
# Touched with every write, some milliseconds apart; a pass never pauses this long.
SECONDS = 60.0
# No claim lasts so long: one that ends later was made while the clock was ahead, and
# would keep all others out for as long as it was. Its token fences it as ever.
BELIEVED_SECONDS = 2 * SECONDS


class LeaseLost(Exception):
    """Another worker has claimed the lease: stop, it goes on."""


@dataclass(frozen=True, slots=True)
class Held:
    """A claim of this worker."""

    token: int
    seconds: float = SECONDS
    name: str = NAME

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction that only the holder can make. Raises LeaseLost."""
        with transaction.atomic():
            self.touch()
            yield

    def touch(self) -> None:
        """Make sure of the claim, and prolong it. Raises LeaseLost.

        It fences what is written only inside the same transaction (`transaction`);
        outside of one it says early that another has taken over.
        """
        mine = Lease.objects.filter(name=self.name, token=self.token)
        if not mine.update(expires_at=from_now(self.seconds)):
            raise LeaseLost(f"expected token {self.token} in the lease {self.name}")

    def release(self) -> None:
        """Let the next one claim at once. Not holding it any more is no error."""
        Lease.objects.filter(name=self.name, token=self.token).update(expires_at=Now())


def claim(seconds: float = SECONDS, name: str = NAME) -> Held | None:
    """The lease, or None while another worker holds it. Raises DatabaseError."""
    Lease.objects.get_or_create(name=name, defaults={"expires_at": Now()})
    is_over = Q(expires_at__lte=Now())
    is_no_claim = Q(expires_at__gt=from_now(BELIEVED_SECONDS))
    free = Lease.objects.filter(is_over | is_no_claim, name=name)
    with transaction.atomic():
        if not free.update(token=F("token") + 1, expires_at=from_now(seconds)):
            return None
        token = Lease.objects.values_list("token", flat=True).get(name=name)
    return Held(token, seconds, name)


def current_token(name: str = NAME) -> int:
    """The token of the last claim, whoever made it; 0 before the first."""
    tokens = Lease.objects.filter(name=name).values_list("token", flat=True)
    return tokens.first() or 0


@contextmanager
def claimed(seconds: float = SECONDS, name: str = NAME) -> Iterator[Held | None]:
    """`claim`, and `release` at the end."""
    held = claim(seconds, name)
    try:
        yield held
    finally:
        if held is not None:
            held.release()


def from_now(seconds: float) -> Combinable:
    """So long from now, as the database's clock has it."""
    later = Now() + timedelta(seconds=seconds)
    return ExpressionWrapper(later, output_field=DateTimeField())
