"""Keeping readings as long as their groups say, and the database within its budget.

`steps` is cheap when nothing is due: once an hour it asks for the oldest blocks of
each series (`oldest.py`); in between it looks at the size of the file alone. Each
step is one short transaction that the lease fences. Steps keep nothing of a block
from one to the next, so that the sealer may run a whole pass between two of them
(but not the other way round); and whatever ends a pass, the next one goes on where
it was.

Raw readings are thinned out after their days (`tiers.py`); rows of the tier and texts
go after theirs, as whole blocks once they are old, and sooner by half a block. A
block that cannot be read goes with its age, and never because it is damaged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.db.models.functions import Now

from ...protocol import clock
from ...protocol.clock import DAY_US
from .. import blocks, space
from ..journal import from_us
from ..lease import Held, from_now
from ..models import Lease
from . import budget, days, expiry, oldest
from .expiry import Done
from .preview import Plan, plan

logger = logging.getLogger(__name__)

__all__ = ["Done", "Plan", "plan", "steps", "whole_pass"]

# How often the ages of all series are looked at, and how often a database that is
# over its budget, if nothing more could be done for it.
AGE_SECONDS = 3_600
BUDGET_SECONDS = 300
# Leases that nobody holds: not before they expire is it time again. In the database,
# so that several processes do it once, and a restart does not do it anew.
AGE, BUDGET = "retention by age", "retention by budget"
# Freed pages of one step, some milliseconds.
GIVE_BACK_PAGES = 500


def steps(
    held: Held, done: Done | None = None, now_us: int | None = None
) -> Iterator[None]:
    """What is due now; each step has made one short transaction, or none.

    now_us: the moment that ages are counted from, instead of `days.now_us`.

    Counts what it does in `done`. Raises LeaseLost: stop at once, another goes on.
    Raises DatabaseError when the database is away or full.
    """
    done = Done() if done is None else done
    if _is_due(AGE, AGE_SECONDS):
        yield from whole_pass(held, done, now_us)
        _not_before(AGE, AGE_SECONDS)
    elif budget.excess_bytes() and _is_due(BUDGET, BUDGET_SECONDS):
        free_before = space.free_pages()
        now_us = _now_us() if now_us is None else now_us
        yield from budget.steps(held, now_us, done)
        yield from give_back(done, free_before)
        _not_before(BUDGET, BUDGET_SECONDS)


def whole_pass(
    held: Held,
    done: Done | None = None,
    now_us: int | None = None,
    free_pages: int | None = None,
) -> Iterator[None]:
    """The same, whatever was done within the hour; gives the freed room back.

    free_pages: how many free pages of a SQLite file to keep for what comes; else as
    many as it had before.
    """
    done = Done() if done is None else done
    now_us = _now_us() if now_us is None else now_us
    free_pages = space.free_pages() if free_pages is None else free_pages
    yield from by_age(held, now_us, done)
    yield from budget.steps(held, now_us, done)
    yield from give_back(done, free_pages)


def _now_us() -> int:
    """`days.now_us`, with a word about it where the hub's clock is not believed."""
    clock_us = clock.now_us()
    now_us = days.now_us(clock_us)
    if 0 < now_us < clock_us:
        logger.warning(
            "no reading is newer than %s, and the hub's clock shows %s: the age of "
            "readings is counted from %s, a day after that reading",
            *(
                from_us(each).isoformat(timespec="seconds")
                for each in (now_us - DAY_US, clock_us, now_us)
            ),
        )
    return now_us


def by_age(held: Held, now_us: int, done: Done) -> Iterator[None]:
    """All series by the days of their devices' groups."""
    kept, usual = days.of_devices(), days.defaults()
    for page in oldest.pages(held):
        for one in page:
            own = kept[one.device].days if one.device in kept else usual
            yield from _of_series(held, one, own, now_us, done)
        yield


def _of_series(
    held: Held, one: oldest.Oldest, own: days.Days, now_us: int, done: Done
) -> Iterator[None]:
    raw_us, tier_us = own.raw_before_us(now_us), own.tier_before_us(now_us)
    # What is too old for both need not become rows first, and old rows are not to be
    # merged with new ones.
    for resolution_seconds, start_us, end_us in (
        (blocks.RAW, one.raw_start_us, one.raw_end_us),
        (blocks.TIER_SECONDS, one.tier_start_us, one.tier_end_us),
    ):
        place = one.series, resolution_seconds
        if end_us is not None and end_us < tier_us:
            yield from expiry.delete(held, *place, tier_us, done)
        elif start_us is not None and start_us < tier_us:
            yield from expiry.cut(held, *place, tier_us, done)
    if one.raw_end_us is not None and one.raw_end_us < raw_us:
        yield from expiry.thin_out(held, one.series, raw_us, done)
    if one.text_us is not None and one.text_us < tier_us:
        yield from expiry.delete_texts(held, one.series, tier_us, done)


def give_back(done: Done, free_pages: int = 0) -> Iterator[None]:
    """Give freed pages back to the disk, all but `free_pages`."""
    if not space.is_sqlite():
        if done.has_changed:
            done.given_back_bytes += space.give_back(0)
            yield
        return
    while (more := space.free_pages() - free_pages) > 0:
        given = space.give_back(min(more, GIVE_BACK_PAGES))
        if given <= 0:
            # A file from before incremental vacuum.
            return
        done.given_back_bytes += given
        yield


def _is_due(name: str, seconds: float) -> bool:
    # Who waits for longer was told so while the clock was ahead.
    waits = Lease.objects.filter(
        name=name, expires_at__gt=Now(), expires_at__lte=from_now(seconds)
    )
    return not waits.exists()


def _not_before(name: str, seconds: float) -> None:
    until = from_now(seconds)
    Lease.objects.update_or_create(name=name, defaults={"expires_at": until})
