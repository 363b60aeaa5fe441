"""`manage.py restore FILE`: a backup into an empty database."""

from __future__ import annotations

import sqlite3
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils.translation import gettext as _

from ...history.backup import archive, postgresql, sqlite_file, taking
from ...history.backup.archive import Manifest, NoBackup
from ...history.backup.postgresql import Failed
from ...history.backup.programs import (
    NoProgram,
    OpenSecret,
    major,
    server_version,
)
from .. import setup

WRONG = 2
KINDS = {archive.SQLITE: "SQLite", archive.POSTGRESQL: "PostgreSQL"}


class Command(BaseCommand):
    help = (
        "Fill an empty database from a file that `backup` made, and bring it up to "
        "this version. The database of a hub that runs is not empty."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="made by `manage.py backup`")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["file"])
        try:
            manifest = archive.read(path)
            _check_kind(manifest)
            _check_version(manifest)
            settings.HUB_DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
            with setup.turn(is_patient=False):
                _check_is_empty()
                archive.verify(path, manifest)
                _restore(path, manifest)
                call_command("migrate", interactive=False, verbosity=0)
        except NoBackup as error:
            raise _refused(path, error) from None
        except OSError as error:
            raise CommandError(
                _("expected to read %(file)s and to write the database: %(error)s")
                % {"file": path, "error": error.strerror or error},
                returncode=WRONG,
            ) from None
        except (NoProgram, OpenSecret, taking.NoRoom) as error:
            raise CommandError(str(error), returncode=WRONG) from None
        except (Failed, sqlite3.Error, DatabaseError, InterfaceError) as error:
            raise CommandError(
                _("the database could not be restored: %(error)s")
                % {"error": (str(error).strip().splitlines() or ["?"])[0]}
            ) from None
        self._tell(manifest)

    def _tell(self, manifest: Manifest) -> None:
        self.stdout.write(
            _(
                "restored %(readings)s readings of %(devices)s devices as of %(made)s; "
                "start the hub with “manage.py serve --setup”; everybody has to log "
                "in again"
            )
            % {
                "readings": f"{manifest.counts.readings:,}",
                "devices": f"{manifest.counts.devices:,}",
                "made": manifest.made_at,
            }
        )


def _refused(path: Path, error: NoBackup) -> CommandError:
    return CommandError(
        _("FILE: expected a whole backup, got %(got)s in %(file)s")
        % {"got": error, "file": path},
        returncode=WRONG,
    )


def _check_kind(manifest: Manifest) -> None:
    if manifest.database != connection.vendor:
        raise CommandError(
            _("DATABASE_URL: expected %(wanted)s for this backup, got %(got)s")
            % {
                "wanted": KINDS[manifest.database],
                "got": KINDS.get(connection.vendor, connection.vendor),
            },
            returncode=WRONG,
        )


def _check_version(manifest: Manifest) -> None:
    known = MigrationLoader(None).disk_migrations or {}
    names = {f"{app}.{name}" for app, name in known}
    newer = [each for each in manifest.migrations if each not in names]
    if newer:
        raise CommandError(
            _(
                "expected a backup of this version or an older one, got one of "
                "%(version)s, which has %(migration)s: install that version"
            )
            % {"version": manifest.hub_version, "migration": newer[0]},
            returncode=WRONG,
        )


def _check_is_empty() -> None:
    if connection.vendor == "sqlite":
        target = Path(connection.settings_dict["NAME"])
        is_used = sqlite_file.is_used(target)
    else:
        is_used = postgresql.is_used()
    if is_used:
        raise CommandError(
            _(
                "expected an empty database, got one with tables, maybe of a hub that "
                "runs: name another in DATABASE_URL or HUB_DATA_DIR"
            ),
            returncode=WRONG,
        )


def _restore(path: Path, manifest: Manifest) -> None:
    if manifest.database == archive.SQLITE:
        target = Path(connection.settings_dict["NAME"])
        taking.check_room(target.parent, manifest.bytes)
        sqlite_file.restore(path, manifest.bytes, target)
        return
    wanted, got = major(manifest.database_version), major(server_version())
    if got < wanted:
        raise CommandError(
            _("expected a PostgreSQL %(wanted)d or newer, got %(got)d")
            % {"wanted": wanted, "got": got},
            returncode=WRONG,
        )
    postgresql.restore(path, manifest.bytes, manifest.database_version)
