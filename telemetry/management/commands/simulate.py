"""`manage.py simulate`: a fleet of simulated devices on real WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from ...fleet import demo, enrol, signals, simulation
from ...fleet.chaos import Chaos
from ...fleet.device import Account, Device, Observer, device_url
from ...fleet.ledger import Ledger
from ...fleet.observers import Books, Several
from ...fleet.report import Report
from ...fleet.simulation import Habits, Machine
from ...fleet.verify import Verdict, verify
from ...protocol import clock, close_codes, names
from .. import progress, setup

TAG = "simulated"
# One fault somewhere in the fleet about this often, for each device.
CHAOS_EVERY_SECONDS = 4.0
DRAIN_SECONDS = 10.0
NOT_EXACT = 1
# So many machines are described; device 9 is again of the first kind.
KINDS = tuple(signals.MACHINES)


class Command(BaseCommand):
    help = "Run simulated devices that connect to a hub over real WebSockets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--devices", type=_positive_int, default=5, help="how many devices (5)")
        add("--rate", type=_positive, default=1.0, help="rows a second a device (1)")
        add("--batch", type=_positive_int, default=1, help="rows a message (1)")
        add("--seconds", type=_positive, help="how long (until Ctrl+C)")
        add("--url", help="the hub (this hub's HUB_URL)")
        add("--group", default="simulated", help="slug of their group (simulated)")
        add(
            "--keys",
            type=Path,
            help="for another hub: a file with a slug, a tab and a key on each line, "
            "as createdevice prints",
        )
        add("--ca", help="for wss: a PEM file with the hub's own certificate")
        add("--seed", type=int, help="the same values and faults again")
        add(
            "--chaos",
            action="store_true",
            help="drop, reset, duplicate and reconnect at random, then check that "
            "every acked reading is stored exactly once",
        )
        add("--demo", action="store_true", help="the fleet of make demo, until stopped")

    def handle(self, *args: Any, **options: Any) -> None:
        self._check(options)
        rng = random.Random(options["seed"])  # noqa: S311 - not a secret
        with self._accounts(options) as accounts:
            if not accounts:
                raise CommandError(_("expected at least one device, got none"))
            chaos = None
            if options["chaos"]:
                every = CHAOS_EVERY_SECONDS / len(accounts)
                chaos = Chaos(random.Random(rng.random()), every)  # noqa: S311
            books = None if options["keys"] or options["demo"] else Books(Ledger())
            report = Report()
            observers: list[Observer] = [report]
            observers += [each for each in (chaos, books) if each is not None]
            machines = self._machines(accounts, Several(observers), options, rng)
            try:
                asyncio.run(self._run(machines, report, chaos, options))
            except simulation.NotWelcome as error:
                why = not_welcome(error, report, options)
                raise CommandError(why, returncode=NOT_EXACT) from None
        self._conclude(machines, report, chaos, books)
        if not report.acked_readings and not options["demo"]:
            raise CommandError(
                _("expected readings to be acked, got none"), returncode=NOT_EXACT
            )

    def _check(self, options: dict[str, Any]) -> None:
        if options["chaos"] and options["keys"]:
            raise CommandError(
                _("--chaos reads this hub's database: expected it without --keys")
            )
        if not names.SLUG.match(options["group"]):
            raise CommandError(
                _("--group: expected a slug such as hall-2, got “%(got)s”")
                % {"got": options["group"][:80]}
            )
        if options["ca"] and not os.access(options["ca"], os.R_OK):
            raise CommandError(
                _("--ca: expected a readable PEM file, got “%(got)s”")
                % {"got": options["ca"][:200]}
            )

    # --- who takes part -----------------------------------------------------------

    @contextlib.contextmanager
    def _accounts(self, options: dict[str, Any]) -> Iterator[list[Account]]:
        try:
            url = device_url(options["url"] or settings.HUB_URL)
        except ValueError as error:
            raise CommandError(f"--url: {error}") from None
        if options["keys"]:
            keys = read_keys(options["keys"])
            chosen = list(keys.items())[: options["devices"]]
            yield [Account(url, slug, key, options["ca"]) for slug, key in chosen]
            return
        setup.check_is_migrated()
        if options["demo"]:
            wanted, tag = [role.wanted for role in demo.ROLES], demo.TAG
        else:
            group = options["group"]
            wanted = [
                enrol.Wanted(f"{group[:56]}-{n:04}", f"{group} {n}", group, group)
                for n in range(1, options["devices"] + 1)
            ]
            tag = TAG
        with enrol.enrolled(wanted, tag) as keys:
            # This hub's own certificate may be signed by nobody else.
            ca = options["ca"] or settings.HUB_TLS_CERT or None
            yield [Account(url, slug, key, ca) for slug, key in keys.items()]

    def _machines(
        self,
        accounts: list[Account],
        observer: Observer,
        options: dict[str, Any],
        rng: random.Random,
    ) -> list[Machine]:
        roles = {role.slug: role for role in demo.ROLES} if options["demo"] else {}
        last = enrol.last_readings(roles) if roles else {}
        machines = []
        for at, account in enumerate(accounts):
            own = random.Random(rng.random())  # noqa: S311 - not a secret
            if account.slug in roles:
                role = roles[account.slug]
                made = role.signals(own)
                past_seconds = resume(made, last.get(account.slug, {}))
                habits = replace(role.habits, past_seconds=past_seconds)
            else:
                made = signals.MACHINES[KINDS[at % len(KINDS)]](own)
                habits = Habits(options["rate"], options["batch"])
            device = Device(
                account,
                metrics=signals.hints(made),
                observer=observer,
                firmware="simulated",
                rng=own,
                is_patient=options["demo"],
            )
            machines.append(Machine(device, made, habits, own))
        return machines

    # --- running ------------------------------------------------------------------

    async def _run(
        self,
        machines: list[Machine],
        report: Report,
        chaos: Chaos | None,
        options: dict[str, Any],
    ) -> None:
        devices = [machine.device for machine in machines]
        fleet = asyncio.ensure_future(
            simulation.run(
                machines,
                options["seconds"],
                DRAIN_SECONDS,
                # The demo's own hub may be slow to begin, and is known.
                None if options["demo"] else simulation.ARRIVAL_SECONDS,
            )
        )
        beside = [asyncio.ensure_future(_until_asked())]
        if options["demo"]:
            beside.append(asyncio.ensure_future(_until_orphaned()))
        others = []
        if chaos is not None:
            others.append(asyncio.ensure_future(_for(chaos.run(devices), options)))
        if not options["demo"]:
            others.append(
                asyncio.ensure_future(progress.show(self.stdout, report, devices))
            )
        try:
            await asyncio.wait([fleet, *beside], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (fleet, *beside, *others):
                task.cancel()
            await asyncio.gather(*beside, *others, return_exceptions=True)
            with contextlib.suppress(asyncio.CancelledError):
                await fleet

    # --- the end ------------------------------------------------------------------

    def _conclude(
        self,
        machines: list[Machine],
        report: Report,
        chaos: Chaos | None,
        books: Books | None,
    ) -> None:
        for line in progress.summary(report, [each.device for each in machines]):
            self.stdout.write(line)
        if chaos is not None:
            faults = ", ".join(f"{n} {name}" for name, n in chaos.faults.most_common())
            self.stdout.write(_("faults made: %(faults)s") % {"faults": faults or "0"})
        refused = [each.device for each in machines if _is_refused(each.device)]
        for device in refused[:10]:
            self.stderr.write(f"{device.slug}: {device.stopped}")
        if books is not None:
            self._judge(verify(books.ledger, books.uncertain(machines)), report)
        if refused:
            raise CommandError(
                _("%(count)d devices were refused") % {"count": len(refused)},
                returncode=NOT_EXACT,
            )

    def _judge(self, verdict: Verdict, report: Report) -> None:
        self.stdout.write(
            _(
                "acked %(acked)d, stored %(stored)d, missing %(missing)d, "
                "twice %(twice)d"
            )
            % {
                "acked": verdict.acked,
                "stored": verdict.stored,
                "missing": verdict.missing,
                "twice": verdict.twice,
            }
        )
        if not verdict.acked:
            return
        if verdict.is_exact:
            self.stdout.write(_("every acked reading is stored exactly once"))
            return
        for each in verdict.differences[:10]:
            self.stderr.write(
                f"{each.device} {each.metric}: acked {each.acked}, stored {each.stored}"
            )
        if report.rejected_count and not verdict.twice:
            self.stderr.write(
                _("%(count)d readings were rejected: they are acked and not stored")
                % {"count": report.rejected_count}
            )
        raise CommandError(
            _(
                "what is stored is not what was acked (does the hub at that address "
                "use this database?)"
            ),
            returncode=NOT_EXACT,
        )


def resume(made: Sequence[signals.Signal], last: enrol.Last) -> float:
    """Let signals go on from a device's last readings; returns the seconds since.

    At most `demo.PAST_SECONDS`, which it is for a device that never sent any.
    """
    if not last:
        return demo.PAST_SECONDS
    for each in made:
        if each.name in last:
            time_us, value = last[each.name]
            each.resume(time_us / 1e6, value)
    since_us = clock.now_us() - max(time_us for time_us, _ in last.values())
    return min(max(0.0, since_us / 1e6), demo.PAST_SECONDS)


def not_welcome(
    error: simulation.NotWelcome, report: Report, options: dict[str, Any]
) -> str:
    """Why the hub did not take the fleet, and what to look at."""
    account = error.device.account
    if error.code == close_codes.UNAUTHORIZED and options["keys"]:
        return _(
            "--keys: the hub at %(url)s does not know the key of %(slug)s (4401)"
        ) % {
            "url": account.url,
            "slug": account.slug,
        }
    if error.code == close_codes.UNAUTHORIZED:
        return _(
            "the hub at %(url)s does not know the keys that were just made (4401): "
            "expected it to use this database; are HUB_DATA_DIR and DATABASE_URL "
            "here those of the hub?"
        ) % {"url": account.url}
    last = next(reversed(report.errors), "") if report.errors else ""
    return _(
        "expected a hub at %(url)s, got: %(got)s; is it running, and is HUB_PORT or "
        "--url right?"
    ) % {
        "url": account.url,
        "got": (error.device.stopped if error.code else None)
        or last.removeprefix("cannot connect: ")
        or _("no answer"),
    }


def read_keys(path: Path) -> dict[str, str]:
    """Keys by slug from lines as `createdevice` prints them. Raises CommandError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--keys: {error}") from None
    keys = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        slug, _tab, key = line.strip().partition("\t")
        # The line may hold a key, so the error does not show it.
        if not names.SLUG.match(slug) or not names.KEY.match(key):
            raise CommandError(
                _("--keys, line %(line)d: expected a slug, a tab and a key")
                % {"line": number}
            )
        keys[slug] = key
    return keys


def _is_refused(device: Device) -> bool:
    return device.stopped is not None and device.stopped != "closed"


async def _for(chaos: Any, options: dict[str, Any]) -> None:
    """Chaos ends with the measuring, so that the last batches can drain."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(chaos, options["seconds"])


async def _until_asked() -> None:
    """Wait for Ctrl+C or a polite kill: the summary still comes."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, asked.set)
    await asked.wait()


async def _until_orphaned() -> None:
    """Wait until the hub that started the demo is gone, however it went."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError(text)
    return number


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
