"""`manage.py replay`: a recorded data set, sent as the device that recorded it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import zoneinfo
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from ...fleet import enrol, playback, recording
from ...fleet.device import Account, Device, Stopped, device_url
from ...fleet.playback import Playback, Times
from ...fleet.recording import BadRecording, Recording
from ...fleet.report import Report
from ...fleet.timecolumn import EPOCH, TimeKind
from ...protocol import names
from .. import progress

TAG = "replay"


class Command(BaseCommand):
    help = "Send a recorded data set (CSV, also .gz) as a device would."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("file", type=Path, metavar="FILE.csv[.gz]")
        add("--device", required=True, help="slug of the device")
        add("--speed", type=float, help="10: an hour of the recording in six minutes")
        add("--time-column", help="header of the time (else the first usual name)")
        add(
            "--time-kind",
            choices=[kind.value for kind in TimeKind],
            help="what its cells are (else decided by the first one)",
        )
        add("--time-zone", default="UTC", help="of dates without a zone (UTC)")
        add(
            "--columns",
            help="only these, by commas; header=name gives the metric's name",
        )
        times = parser.add_mutually_exclusive_group()
        times.add_argument(
            "--backfill",
            action="store_true",
            help="the last row is now; as fast as the hub acks",
        )
        times.add_argument(
            "--keep-times", action="store_true", help="send the times as recorded"
        )
        add("--url", help="the hub (this hub's HUB_URL)")
        add(
            "--key",
            help="the device's key (better in the variable HUB_KEY: arguments can be "
            "seen by others); without one, this hub's database makes one",
        )
        add("--group", default="replay", help="group of a device made here (replay)")
        add("--ca", help="for wss: a PEM file with the hub's own certificate")

    def handle(self, *args: Any, **options: Any) -> None:
        if not names.SLUG.match(options["device"]):
            raise CommandError(
                _("--device: expected a slug such as bike-1, got “%(got)s”")
                % {"got": options["device"][:80]}
            )
        plan = self._playback(options)
        try:
            found = recording.survey(options["file"], self._options(options))
            for line in described(found):
                self.stdout.write(line)
            with self._account(options) as account:
                report = Report()
                device = Device(
                    account, metrics=found.hints, observer=report, firmware="replay"
                )
                rows = asyncio.run(self._run(device, found, plan, report))
        except BadRecording as error:
            raise CommandError(f"{options['file'].name}: {error}") from None
        except KeyboardInterrupt:
            rows = None
        for line in progress.summary(report, [device]):
            self.stdout.write(line)
        if rows is None or len(device.outbox):
            raise CommandError(
                _("not finished: %(why)s") % {"why": device.stopped or _("interrupted")}
            )
        self.stdout.write(
            _("sent and acked %(rows)s rows of %(file)s")
            % {"rows": f"{rows:,}", "file": options["file"].name}
        )

    def _playback(self, options: dict[str, Any]) -> Playback:
        speed = options["speed"]
        if speed is not None and not 0 < speed <= 1e9:
            raise CommandError(
                _("--speed: expected a number above 0, got %(got)s") % {"got": speed}
            )
        if speed is not None and options["backfill"]:
            raise CommandError(
                _(
                    "--backfill goes as fast as the hub acks: "
                    "expected it without --speed"
                )
            )
        if options["backfill"]:
            return Playback(Times.BACKFILL)
        times = Times.KEPT if options["keep_times"] else Times.LIVE
        return Playback(times, speed or 1.0)

    def _options(self, options: dict[str, Any]) -> recording.Options:
        try:
            zone = zoneinfo.ZoneInfo(options["time_zone"])
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise CommandError(
                _("--time-zone: expected a name such as Europe/Berlin, got “%(got)s”")
                % {"got": options["time_zone"][:80]}
            ) from None
        kind = options["time_kind"]
        return recording.Options(
            time_column=options["time_column"],
            time_kind=TimeKind(kind) if kind else None,
            columns=columns(options["columns"]) if options["columns"] else {},
            zone=zone,
        )

    @contextlib.contextmanager
    def _account(self, options: dict[str, Any]) -> Iterator[Account]:
        try:
            url = device_url(options["url"] or settings.HUB_URL)
        except ValueError as error:
            raise CommandError(f"--url: {error}") from None
        slug = options["device"]
        key = options["key"] or os.environ.get("HUB_KEY", "")
        if key:
            if not names.KEY.match(key):
                raise CommandError(_("--key: expected a key, hub_… (53 characters)"))
            yield Account(url, slug, key, options["ca"])
            return
        group = options["group"]
        wanted = [enrol.Wanted(slug, slug, group, group)]
        # A key of its own for the time of the replay; other keys stay.
        with enrol.enrolled(wanted, TAG, only_tagged=False) as keys:
            # This hub's own certificate may be signed by nobody else.
            ca = options["ca"] or settings.HUB_TLS_CERT or None
            yield Account(url, slug, keys[slug], ca)

    async def _run(
        self, device: Device, found: Recording, plan: Playback, report: Report
    ) -> int | None:
        """Rows sent, all acked; None when the hub refused the device."""
        connection = asyncio.ensure_future(device.run())
        shown = asyncio.ensure_future(progress.show(self.stdout, report, [device]))
        try:
            return await playback.play(device, found, plan)
        except Stopped:
            return None
        finally:
            shown.cancel()
            await device.close()
            await asyncio.gather(shown, connection, return_exceptions=True)


def columns(text: str) -> dict[str, str]:
    """`a,b=name` → {"a": "", "b": "name"}. Raises CommandError."""
    wanted = {}
    for part in text.split(","):
        header, _equals, name = (piece.strip() for piece in part.partition("="))
        if name and not names.is_metric_name(name):
            raise CommandError(
                _(
                    "--columns: expected a metric's name (a letter, then letters, "
                    "digits or _ . : / -), got “%(got)s”"
                )
                % {"got": name[:80]}
            )
        wanted[header] = name
    return wanted


def described(found: Recording) -> Iterator[str]:
    """What the survey took for what, a line each."""
    kind = found.time_kind
    span = timedelta(microseconds=found.max_us - found.min_us)
    yield _(
        "time: column “%(header)s”, taken as %(kind)s; %(rows)s rows over %(span)s"
    ) % {
        "header": found.time_header,
        "kind": kind.value,
        "rows": f"{found.row_count:,}",
        "span": span,
    }
    if not kind.is_elapsed:
        yield _("from %(first)s to %(last)s") % {
            "first": _moment(found.min_us),
            "last": _moment(found.max_us),
        }
    for column in found.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        why = f" ({column.why})" if column.why else ""
        yield f"  {column.header} → {column.metric}{unit}, {column.kind}{why}"
    if found.dropped:
        yield _("not sent: %(columns)s") % {"columns": ", ".join(found.dropped[:12])}


def _moment(us: int) -> str:
    try:
        moment: datetime = EPOCH + timedelta(microseconds=us)
    except OverflowError:
        return f"{us} µs"
    return moment.astimezone(timezone.utc).isoformat()
