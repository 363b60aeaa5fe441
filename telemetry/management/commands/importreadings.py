"""`manage.py importreadings FILE.csv|.parquet|-`: readings of a file into the hub."""

from __future__ import annotations

import contextlib
import gzip
import sys
import time
import zlib
from argparse import ArgumentParser
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, InternalError, OperationalError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import conf
from ...history import lease, seal, space
from ...history.heads import read_raw_from
from ...history.journal import READING_BYTES
from ...history.room import Room
from ...history.transfer import csv_rows, parquet_rows
from ...history.transfer.importing import Importer, Targets, accepted
from ...history.transfer.incoming import BadFile, Bounds, Refusals, Slice
from ...protocol import clock, names
from .. import setup
from ..counting import Count, counting

# How often the room on disk is measured, and asked for again where there is none.
ROOM_READINGS = 500_000
WAIT_SECONDS = 1.0
WRONG = 2
# Devices that a sentence names.
FEW = 5
# Freed pages that go back to the disk at once: about 10 ms.
PAGES = 1_000


class Command(BaseCommand):
    help = (
        "Import readings from CSV (also .gz) or Parquet: metric, time, value, and "
        "maybe device, kind, unit. What is stored already stays as it is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("file", metavar="FILE", help="FILE.csv, FILE.csv.gz, FILE.parquet, or -")
        add("--device", metavar="SLUG", help="of all lines; else a column names it")
        add(
            "--create-devices",
            action="store_true",
            help="make the devices that this hub does not have",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["device"]
        if slug is not None and not names.SLUG.match(slug):
            raise CommandError(
                _("--device: expected a slug such as bike-1, got “%(got)s”")
                % {"got": slug[:80]},
                returncode=WRONG,
            )
        setup.check_is_migrated()
        limits = conf.limits()
        targets = Targets(slug, options["create_devices"], limits.series_per_device)
        refusals = Refusals()
        with _opened(options["file"]) as (file, decode, progress):
            importing = _Importing(self, targets, refusals)
            try:
                with (
                    counting(self.stderr, progress.total) as count,
                    contextlib.closing(decode(file)) as slices,
                ):
                    importing.run(slices, progress.done, count)
            except (BadFile, parquet_rows.Missing) as error:
                self._tell(importing)
                raise CommandError(
                    f"{options['file']}: {error}", returncode=WRONG
                ) from None
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                self._tell(importing)
                raise CommandError(
                    _("%(file)s: expected a whole gzip file: %(error)s")
                    % {"file": options["file"], "error": error},
                    returncode=WRONG,
                ) from None
            except (OperationalError, InterfaceError, InternalError) as error:
                raise CommandError(
                    _(
                        "the database takes nothing any more: %(error)s; what is "
                        "imported stays, so import the file again"
                    )
                    % {"error": error}
                ) from None
            except KeyboardInterrupt:
                self._tell(importing)
                raise CommandError(
                    _("interrupted: what is imported stays; import the file again")
                ) from None
        self._tell(importing)
        if refusals.count:
            raise CommandError(
                ngettext(
                    "expected to store every line, refused %(count)s",
                    "expected to store every line, refused %(count)s",
                    refusals.count,
                )
                % {"count": f"{refusals.count:,}"}
            )

    def _tell(self, importing: _Importing) -> None:
        targets, refusals = importing.targets, importing.refusals
        for each in refusals.listed:
            self.stderr.write(
                _("line %(line)d: %(reason)s: %(message)s")
                % {"line": each.line, "reason": each.reason, "message": each.message}
            )
        if rest := refusals.count - len(refusals.listed):
            self.stderr.write(
                ngettext("and %(count)s more", "and %(count)s more", rest)
                % {"count": f"{rest:,}"}
            )
        if (unknown := targets.unknown_devices) and not targets.creates_devices:
            text = ngettext(
                "this hub has no device %(slugs)s: make it, or give --create-devices",
                "this hub does not have %(count)s devices (%(slugs)s): make them, or "
                "give --create-devices",
                len(unknown),
            )
            named = ", ".join(slug[:80] for slug in unknown[:FEW])
            slugs = f"{named}, …" if len(unknown) > FEW else named
            self.stderr.write(text % {"count": f"{len(unknown):,}", "slugs": slugs})
        for slug in targets.made_devices[:20]:
            self.stderr.write(_("created the device %(slug)s") % {"slug": slug})
        if targets.made_series:
            self.stderr.write(
                _("created series: %(count)s") % {"count": f"{targets.made_series:,}"}
            )
        self.stdout.write(
            _("imported %(readings)s readings, refused %(refused)s")
            % {
                "readings": f"{importing.accepted:,}",
                "refused": f"{refusals.count:,}",
            }
        )


class _Importing:
    """One run: the file's slices through a writer of its own, with room on disk."""

    def __init__(
        self, command: BaseCommand, targets: Targets, refusals: Refusals
    ) -> None:
        self.targets = targets
        self.refusals = refusals
        self.accepted = 0
        self._command = command
        self._measured = 0
        self._limits = conf.limits()
        self._room = Room(
            int(conf.value("JOURNAL_BYTES")), int(conf.value("DISK_RESERVE_BYTES"))
        )
        self._raw_from = read_raw_from()

    def run(
        self, slices: Iterator[Slice], done: Callable[[], int], count: Count
    ) -> None:
        """Import everything; what was accepted is on disk and folded on return."""
        # Its first slice shows whether it is a file of this kind at all.
        first = next(slices, None)
        importer = Importer(self._limits.sessions_per_device)
        try:
            while first is not None:
                self._wait_for_room(importer)
                for readings in accepted(
                    first, self.targets.of, self._bounds(), self.refusals
                ):
                    importer.add(readings)
                    self.accepted += len(readings)
                count.at(done(), self.accepted)
                first = next(slices, None)
        finally:
            importer.end()
            seal_all()

    def _bounds(self) -> Bounds:
        latest_us = clock.now_us() + self._limits.future_seconds * 1_000_000
        return Bounds(latest_us, self._raw_from, self._limits.text_characters)

    def _wait_for_room(self, importer: Importer) -> None:
        """Wait while the journal or the disk is full. Raises CommandError."""
        if self._measured and self.accepted - self._measured < ROOM_READINGS:
            return
        self._measured = max(self.accepted, 1)
        self._room.measure()
        if self._room.journal_bytes >= int(conf.value("SEAL_READINGS")) * READING_BYTES:
            # The journal of a hub that does not run must not grow for the whole file.
            importer.commit()
            importer.fold()
            seal_all()
        if self._why_full() is None:
            return
        importer.commit()
        importer.fold()
        self._command.stderr.write(
            _("waits for room: %(why)s") % {"why": self._why_full()}
        )
        while self._why_full() is not None:
            # Where no hub runs, nobody else does it.
            if not seal_all():
                time.sleep(WAIT_SECONDS)
            elif (why := self._why_full()) is not None:
                raise CommandError(
                    _("expected room for more readings, but %(why)s") % {"why": why}
                )
        self._raw_from = read_raw_from()

    def _why_full(self) -> str | None:
        self._room.measure()
        return self._room.why_full


def seal_all() -> bool:
    """Seal what is folded, unless another process keeps the history just now."""
    with lease.claimed() as held:
        if held is None:
            return False
        try:
            # An import that was killed has left rows that nobody folds.
            seal.fold_dead(held, clock.now_us(), conf.limits().sessions_per_device)
            while seal.seal_pass(held, int(conf.value("SEAL_READINGS"))).rows:
                # What the journal took: the next pass's part of it needs it again.
                held.touch()
            # Below 0: it has grown meanwhile.
            while space.give_back(PAGES) > 0:
                held.touch()
        except lease.LeaseLost:
            return False
    return True


class _Progress:
    """How many bytes of a file were read."""

    def __init__(self, raw: BinaryIO | None, total: int) -> None:
        self._raw = raw
        self.total = total

    def done(self) -> int:
        return self._raw.tell() if self._raw is not None else 0


Decode = Callable[[BinaryIO], Generator[Slice, None, None]]


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[BinaryIO, Decode, _Progress]]:
    """The file, what reads it, and how far that is."""
    if path == "-":
        yield sys.stdin.buffer, csv_rows.decode, _Progress(None, 0)
        return
    name = Path(path).name.lower()
    if not name.endswith((".csv", ".csv.gz", ".parquet")):
        raise CommandError(
            _("FILE: expected a name ending with .csv, .csv.gz or .parquet, or -; ")
            + _("got “%(got)s”") % {"got": path[:80]},
            returncode=WRONG,
        )
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise CommandError(
            _("expected to read %(file)s: %(error)s")
            % {"file": path, "error": error.strerror},
            returncode=WRONG,
        ) from None
    with raw:
        progress = _Progress(raw, Path(path).stat().st_size)
        if name.endswith(".parquet"):
            yield raw, parquet_rows.decode, progress
        elif name.endswith(".gz"):
            with gzip.open(raw) as opened:
                yield cast(BinaryIO, opened), csv_rows.decode, progress
        else:
            yield raw, csv_rows.decode, progress
