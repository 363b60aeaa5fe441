"""`manage.py prunereadings [--dry-run]`: what retention does, now and at once."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import InterfaceError, InternalError, OperationalError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rich.console import Console
from rich.table import Table

from ...history import lease, space
from ...history.journal import from_us
from ...history.keeping import days, over_budget, removal, retention
from ...history.keeping.preview import Amount, Plan
from ...history.lease import Held, LeaseLost
from ...history.models import Lease
from ...history.room import Unsealed
from .. import setup
from ..counting import counting

WRONG = 2
WAIT_SECONDS = 60.0
MOST_WAIT_SECONDS = 86_400.0
PAUSE_SECONDS = 0.5
# Where stdout is no terminal: wide enough for every column.
PLAIN_COLUMNS = 140


class Command(BaseCommand):
    help = (
        "Thin out and delete old readings by the days of their groups and the disk "
        "budget, remove what deleted devices left, and give the room back. The hub "
        "does the same by itself every hour; this may run beside it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only say what would go, by group",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=WAIT_SECONDS,
            metavar="SECONDS",
            help="how long to wait for a hub that is at it (60)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wait = options["wait"]
        if not 0 <= wait <= MOST_WAIT_SECONDS:
            raise CommandError(
                _("--wait: expected seconds from 0 to %(most)d, got %(got)s")
                % {"most": MOST_WAIT_SECONDS, "got": wait},
                returncode=WRONG,
            )
        try:
            setup.check_is_migrated()
            if options["dry_run"]:
                self._show(retention.plan())
            else:
                self._prune(wait)
        except (OperationalError, InterfaceError, InternalError) as error:
            raise CommandError(
                _("the database cannot be used now: %(error)s") % {"error": error}
            ) from None

    # --- the dry run ------------------------------------------------------------

    def _show(self, plan: Plan) -> None:
        table = Table(title=_("What prunereadings would do"))
        table.add_column(_("group"), overflow="fold")
        for heading in (
            *(
                _("days raw"),
                _("days of summaries"),
                _("readings"),
                _("size"),
                _("oldest"),
            ),
            *(_("to thin out"), _("to delete"), _("frees"), _("oldest then")),
        ):
            table.add_column(heading, justify="right")
        for group in plan.groups:
            summaries = max(group.raw_days, group.tier_days)
            kept = f"{group.raw_days:,}", f"{summaries:,}"
            table.add_row(group.name or _("no group"), *kept, *_cells(group.amount))
        if plan.removed.readings:
            table.add_row(_("deleted devices"), "0", "0", *_cells(plan.removed))
        table.add_section()
        table.add_row(_("in all"), "", "", *_cells(plan.total))
        is_terminal = self.stdout.isatty()
        width = None if is_terminal else PLAIN_COLUMNS
        # It has what a console needs: write and flush.
        file = cast(TextIO, self.stdout)
        Console(file=file, width=width).print(table)
        self.stdout.write(
            _("The database takes %(size)s.") % {"size": _size(plan.database_bytes)}
        )
        if plan.excess_bytes:
            self._show_excess(plan)
        self._show_unsealed(self.stdout)

    def _show_excess(self, plan: Plan) -> None:
        reach = over_budget.reach(days.now_us())
        sizes = {
            "excess": _size(plan.excess_bytes),
            "budget": _size(plan.budget_bytes),
            "older": _size(reach.older_bytes),
        }
        text = _(
            "After that it would still be %(excess)s over its budget of %(budget)s."
        )
        if reach.older_bytes:
            text += " " + _(
                "The oldest go for it, at first as 5-minute summaries; but nothing of "
                "the last day, and what is older takes about %(older)s."
            )
        else:
            text += " " + _(
                "Nothing can go for it: the blocks hold nothing that is older than a "
                "day."
            )
        self.stdout.write(text % sizes)

    def _show_unsealed(self, out: OutputWrapper) -> None:
        """What the journal holds is known to no step of retention."""
        if count := Unsealed().count():
            text = ngettext(
                "%(count)s reading is not sealed yet and not counted here.",
                "%(count)s readings are not sealed yet and not counted here.",
                count,
            )
            out.write(text % {"count": f"{count:,}"})

    # --- pruning ----------------------------------------------------------------

    def _prune(self, wait_seconds: float) -> None:
        done = retention.Done()
        with self._claimed(wait_seconds) as held:
            before = space.database_bytes()
            total = _touched(retention.plan().total)
            steps = chain(
                removal.steps(held, done),
                retention.whole_pass(held, done, free_pages=0),
            )
            try:
                with counting(self.stderr, total) as count:
                    for _step in steps:
                        readings = done.thinned_readings + done.deleted_readings
                        count.at(readings, readings)
            except LeaseLost:
                self._tell(done, before)
                raise CommandError(
                    _("stopped: another process has taken over, and goes on")
                ) from None
            except KeyboardInterrupt:
                self._tell(done, before)
                raise CommandError(
                    _("interrupted: what is done stays done; run it again to go on")
                ) from None
        self._tell(done, before)
        self._show_unsealed(self.stderr)

    @contextmanager
    def _claimed(self, wait_seconds: float) -> Iterator[Held]:
        until = time.monotonic() + wait_seconds
        has_told = False
        while (held := lease.claim()) is None:
            if time.monotonic() >= until:
                raise CommandError(_holder(), returncode=WRONG)
            if not has_told:
                has_told = True
                self.stderr.write(_("Waiting: a hub is at it just now…"))
            time.sleep(PAUSE_SECONDS)
        try:
            yield held
        finally:
            held.release()

    def _tell(self, done: retention.Done, before_bytes: int) -> None:
        now = space.database_bytes()
        self.stdout.write(
            _(
                "thinned out %(thinned)s readings, deleted %(deleted)s and %(texts)s "
                "texts; the database takes %(now)s, %(less)s less; %(given)s went "
                "back to the disk"
            )
            % {
                "thinned": f"{done.thinned_readings:,}",
                "deleted": f"{done.deleted_readings:,}",
                "texts": f"{done.deleted_texts:,}",
                "now": _size(now),
                "less": _size(max(0, before_bytes - now)),
                "given": _size(max(0, done.given_back_bytes)),
            }
        )
        if done.skipped:
            text = ngettext(
                "%(count)s block could not be read and stays as it is: see the "
                "notices in the admin",
                "%(count)s blocks could not be read and stay as they are: see the "
                "notices in the admin",
                len(done.skipped),
            )
            self.stderr.write(text % {"count": f"{len(done.skipped):,}"})


def _holder() -> str:
    """Why the lease is not to be had."""
    claimed = Lease.objects.filter(name=lease.NAME).first()
    until = claimed.expires_at.isoformat(timespec="seconds") if claimed else "-"
    return _(
        "expected the lease on the history, but a hub or another command holds it "
        "until %(until)s, and prolongs it while it seals or thins out; try again, or "
        "give --wait more seconds"
    ) % {"until": until}


def _touched(amount: Amount) -> int:
    return amount.thinned_readings + amount.deleted_readings


def _cells(amount: Amount) -> tuple[str, ...]:
    return (
        f"{amount.readings:,}",
        _size(amount.bytes),
        _day(amount.oldest_us),
        f"{amount.thinned_readings:,}",
        f"{amount.deleted_readings:,}",
        _size(amount.freed_bytes),
        _day(amount.oldest_after_us),
    )


def _size(count: int) -> str:
    # Its space is one that does not break; terminals show it as they like.
    return filesizeformat(count).replace("\xa0", " ")


def _day(time_us: int | None) -> str:
    return "" if time_us is None else from_us(time_us).date().isoformat()
