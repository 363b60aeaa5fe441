"""`manage.py exportreadings FILE.csv|.parquet|-`: raw readings into a file."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import conf
from ...devices.models import Device, DeviceGroup, Series
from ...history.queries.answer import Missing
from ...history.queries.ladder import LATEST_US
from ...history.tail import Tail
from ...history.transfer import csv_rows, export, moments, parquet_rows
from ...history.transfer.export import Named, Page
from ...protocol import clock
from .. import setup
from ..counting import Count, counting


class Command(BaseCommand):
    help = (
        "Export raw readings as CSV or Parquet: device, metric, kind, unit, time, "
        "value; by series and time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("file", metavar="FILE", help="FILE.csv, FILE.parquet, or - for stdout")
        add("--device", action="append", default=[], help="slug; repeatable")
        add("--metric", action="append", default=[], help="name; repeatable")
        add("--group", action="append", default=[], help="slug; repeatable")
        add("--from", dest="from_", metavar="TIME", help=f"{moments.ASKED}")
        add("--to", metavar="TIME", help="exclusive")
        add("--format", choices=["csv", "parquet"], help="else by the file's name")
        add("--overwrite", action="store_true", help="a file that exists")

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"]
        format_ = _format(path, options["format"])
        from_us, to_us = _range(options["from_"], options["to"])
        setup.check_is_migrated()
        wanted = export.named(self._series(options))
        tail = Tail(int(conf.value("TAIL_READINGS")))
        tail.load(0)
        total = export.estimated(wanted, from_us, to_us, tail)
        missing: list[Missing] = []
        with counting(self.stderr, total) as count:
            counted = _Counted(count)
            pages = export.pages(wanted, from_us, to_us, tail, missing=missing)
            # Broken off by its reader: nobody is left to be told.
            with (
                contextlib.suppress(BrokenPipeError),
                _opened(path, options["overwrite"]) as file,
            ):
                for part in _encoded(format_, counted.of(pages)):
                    file.write(part)
        self._tell(counted, wanted, from_us, to_us)
        # A block that two pages share is met twice.
        self._tell_missing(list(dict.fromkeys(missing)))

    def _series(self, options: dict[str, Any]) -> Any:
        """The series of all that was named. Raises CommandError for a name of none."""
        series = Series.objects.alive()
        devices, groups = options["device"], options["group"]
        if devices or groups:
            known = Device.objects.alive()
            _check_all("--device", devices, known.filter(slug__in=devices), "slug")
            found = DeviceGroup.objects.filter(slug__in=groups)
            _check_all("--group", groups, found, "slug")
            series = series.filter(
                device__in=known.filter(
                    Q(slug__in=devices) | Q(groups__slug__in=groups)
                ).values("pk")
            )
        if options["metric"]:
            of_names = series.filter(name__in=options["metric"])
            _check_all("--metric", options["metric"], of_names, "name")
            return of_names
        return series

    def _tell(
        self, counted: _Counted, wanted: list[Named], from_us: int, to_us: int
    ) -> None:
        text = ngettext(
            "exported %(readings)s readings of %(series)s series",
            "exported %(readings)s readings of %(series)s series",
            counted.readings,
        )
        self.stderr.write(
            text
            % {"readings": f"{counted.readings:,}", "series": f"{counted.series:,}"}
        )
        thinned = export.thinned(wanted, from_us, to_us)
        if thinned is not None:
            self.stderr.write(
                _(
                    "of %(series)s series readings up to %(until)s are kept as "
                    "5-minute summaries alone: those are not in the file"
                )
                % {
                    "series": f"{thinned.series:,}",
                    "until": moments.write(thinned.until_us),
                }
            )

    def _tell_missing(self, missing: list[Missing]) -> None:
        """Raise CommandError if there are blocks that nobody can read."""
        for each in missing[:20]:
            self.stderr.write(
                _("not readable: series %(series)s from %(first)s to %(last)s")
                % {
                    "series": each.series,
                    "first": moments.write(each.start_us),
                    "last": moments.write(each.end_us),
                }
            )
        if missing:
            raise CommandError(
                _(
                    "expected to read every block, but %(count)d are damaged; "
                    "the file has all the others"
                )
                % {"count": len(missing)}
            )


class _Counted:
    """Pages that pass, counted."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._ids: set[int] = set()
        self.readings = 0

    @property
    def series(self) -> int:
        return len(self._ids)

    def of(self, pages: Iterable[Page]) -> Iterator[Page]:
        for page in pages:
            yield page
            self.readings += len(page.times_us)
            self._ids.add(page.series.id)
            self._count.at(self.readings, self.readings)


def _encoded(format_: str, pages: Iterator[Page]) -> Iterator[bytes]:
    if format_ == "parquet":
        yield from parquet_rows.encode(pages)
        return
    yield csv_rows.HEADER
    for page in pages:
        yield from csv_rows.encode(page)


def _format(path: str, given: str | None) -> str:
    found = given or Path(path).suffix.removeprefix(".").lower()
    if path == "-" and not given:
        found = "csv"
    if found not in ("csv", "parquet"):
        raise CommandError(
            _("FILE: expected a name ending with .csv or .parquet, or -; got “%(got)s”")
            % {"got": path[:80]},
            returncode=2,
        )
    if found == "parquet":
        try:
            parquet_rows.require()
        except parquet_rows.Missing as error:
            raise CommandError(str(error), returncode=2) from None
    return found


def _range(from_: str | None, to: str | None) -> tuple[int, int]:
    now = clock.now_us()
    from_us = _moment("--from", from_, now, 0)
    to_us = _moment("--to", to, now, LATEST_US)
    if from_us >= to_us:
        raise CommandError(
            _("expected --from before --to, got %(first)s and %(last)s")
            % {"first": from_, "last": to},
            returncode=2,
        )
    return from_us, to_us


def _moment(name: str, text: str | None, now_us: int, default_us: int) -> int:
    if text is None:
        return default_us
    try:
        moment = moments.parse_asked(text, now_us)
    except ValueError as error:
        raise CommandError(
            _("%(name)s: %(error)s, got “%(got)s”")
            % {"name": name, "error": error, "got": text[:80]},
            returncode=2,
        ) from None
    return min(max(moment, 0), LATEST_US)


def _check_all(option: str, given: list[str], rows: Any, field: str) -> None:
    known = set(rows.values_list(field, flat=True))
    for name in given:
        if name not in known:
            raise CommandError(
                _("%(option)s: expected one that this hub has, got “%(got)s”")
                % {"option": option, "got": name[:80]},
                returncode=2,
            )


@contextlib.contextmanager
def _opened(path: str, may_overwrite: bool) -> Iterator[BinaryIO]:
    """Where the bytes go; a file is there under its name only when it is whole."""
    if path == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Python would write what is left at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise
        return
    final = Path(path)
    if final.exists() and not may_overwrite:
        raise CommandError(
            _("FILE: expected a new name, got one that exists (--overwrite): %(got)s")
            % {"got": path},
            returncode=2,
        )
    partial = final.with_name(final.name + ".part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(final)
    except OSError as error:
        raise CommandError(
            _("expected to write %(file)s: %(error)s")
            % {"file": path, "error": error.strerror or error},
            returncode=2,
        ) from None
    finally:
        partial.unlink(missing_ok=True)
