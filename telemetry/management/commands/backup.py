"""`manage.py backup FILE|DIRECTORY`: all that the hub keeps, while it runs."""

from __future__ import annotations

import re
import signal
import sqlite3
from argparse import ArgumentParser
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from ... import conf
from ...history.backup import taking
from ...history.backup.postgresql import Failed
from ...history.backup.programs import NoProgram, OpenSecret
from .. import setup

WRONG = 2
MOST_KEPT = 10_000


class Command(BaseCommand):
    help = (
        "Write one file with all that the hub keeps, while it runs. Every reading that "
        "was acknowledged before is in it. Into a directory: hub-TIME.backup."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("target", metavar="FILE|DIRECTORY", help="a new file, or where to make one")
        add("--force", action="store_true", help="replace a file that exists")
        add(
            "--keep",
            type=int,
            metavar="N",
            help="in a directory: then delete all but the newest N backups",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        keep = options["keep"]
        target = Path(options["target"])
        self._check(target, keep, options["force"])
        setup.check_is_migrated()
        final = target
        if target.is_dir():
            final = taking.free_name(target, datetime.now(timezone.utc))
        # A service manager's word: what is half done goes away.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            made = taking.take(
                final.absolute(), hub_version(), int(conf.value("DISK_RESERVE_BYTES"))
            )
        except taking.NoRoom as error:
            raise CommandError(str(error), returncode=WRONG) from None
        except (NoProgram, OpenSecret, taking.Busy) as error:
            raise CommandError(str(error), returncode=WRONG) from None
        except (Failed, sqlite3.Error, DatabaseError, InterfaceError) as error:
            raise CommandError(
                _("the database could not be backed up: %(error)s")
                % {"error": str(error).strip().splitlines()[0]}
            ) from None
        except OSError as error:
            raise CommandError(
                _("expected to write %(file)s: %(error)s")
                % {"file": final, "error": error.strerror or error}
            ) from None
        except KeyboardInterrupt:
            raise CommandError(_("interrupted: there is no backup")) from None
        finally:
            signal.signal(signal.SIGTERM, before)
        self.stdout.write(
            _("%(file)s: %(size)s, %(readings)s readings of %(devices)s devices")
            % {
                "file": final,
                "size": filesizeformat(made.bytes).replace("\xa0", " "),
                "readings": f"{made.counts.readings:,}",
                "devices": f"{made.counts.devices:,}",
            }
        )
        if keep is not None:
            for path in taking.prune(target, keep):
                self.stdout.write(_("deleted %(file)s") % {"file": path})

    def _check(self, target: Path, keep: int | None, may_replace: bool) -> None:
        if keep is not None and not 1 <= keep <= MOST_KEPT:
            raise CommandError(
                _("--keep: expected a number from 1 to %(most)d, got %(got)d")
                % {"most": MOST_KEPT, "got": keep},
                returncode=WRONG,
            )
        if target.is_dir():
            return
        if keep is not None:
            raise CommandError(
                _("--keep: expected a directory, got “%(got)s”") % {"got": target},
                returncode=WRONG,
            )
        if not target.parent.is_dir():
            raise CommandError(
                _("FILE: expected a directory that exists, got “%(got)s”")
                % {"got": target.parent},
                returncode=WRONG,
            )
        if target.exists() and not may_replace:
            raise CommandError(
                _("FILE: expected a new name, got one that exists (--force): %(got)s")
                % {"got": target},
                returncode=WRONG,
            )


def hub_version() -> str:
    """The first version in the list of changes is the hub's own."""
    changes = settings.BASE_DIR / "CHANGELOG.md"
    found = re.search(r"^## (\S+)", changes.read_text("utf-8"), re.MULTILINE)
    return found[1] if found else "0"
