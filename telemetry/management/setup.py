"""What a start needs before the hub: directory, tables, static files, a first admin.

Each step looks first and does nothing if it is done, so that a second start is
quick; a lock makes two starts at once take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.storage import Storage, storages
from django.core.management import CommandError, call_command
from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SqliteConnection
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

ADMIN_NAME = "admin"


def set_up() -> str | None:
    """Make everything ready; returns the first admin's password if it made one."""
    settings.HUB_DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    with turn():
        if needs_migration():
            call_command("migrate", interactive=False, verbosity=0)
        collect_static_files()
        return make_first_admin()


def needs_migration() -> bool:
    """Whether the database lacks a migration that the code has."""
    executor = MigrationExecutor(connections["default"])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def check_is_migrated() -> None:
    """For a command that needs the tables and makes none. Raises CommandError."""
    try:
        # Looking would make the file, and root's would be closed to the hub.
        is_ready = not _lacks_file() and not needs_migration()
    except (DatabaseError, InterfaceError, MigrationSchemaMissing) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CommandError(
            _("DATABASE_URL: expected a database that can be used, got: %(got)s")
            % {"got": lines[0][:300]},
            returncode=2,
        ) from error
    if not is_ready:
        raise CommandError(
            _(
                "the database lacks its tables, or some of them (%(got)s): run “make "
                "run”, or “manage.py migrate”, first, or name the hub's own in "
                "HUB_DATA_DIR or DATABASE_URL"
            )
            % {"got": connections["default"].settings_dict["NAME"]},
            returncode=2,
        )


def _lacks_file() -> bool:
    connection = connections["default"]
    if not isinstance(connection, SqliteConnection) or connection.is_in_memory_db():
        return False
    return not Path(connection.settings_dict["NAME"]).exists()


def needs_static_files() -> bool:
    """Whether pages lack their static files: never collected, or changed since."""
    return not settings.DEBUG and _read_stamp() != static_stamp()


def collect_static_files() -> None:
    """Collect, hash and compress the static files if their sources changed."""
    if not needs_static_files():
        return
    stamp = static_stamp()
    call_command("collectstatic", interactive=False, verbosity=0)
    _stamp_path().write_text(stamp, encoding="ascii")
    if isinstance(storage := _storage(), ManifestStaticFilesStorage):
        # It read the list of names when there was none.
        files, digest = storage.load_manifest()
        storage.hashed_files = files  # type: ignore[assignment] # the stub is wrong
        storage.manifest_hash = digest


def _storage() -> Storage:
    return storages[STATICFILES_STORAGE_ALIAS]


def static_stamp() -> str:
    """A digest of every source file's name, size and time, and of the way they go."""
    digest = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        # The same files that collectstatic leaves out by default.
        for name, storage in sorted(
            finder.list(["CVS", ".*", "*~"]), key=lambda each: each[0]
        ):
            status = os.stat(storage.path(name))
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _stamp_path() -> Path:
    return Path(settings.HUB_DATA_DIR) / "static.stamp"


def _read_stamp() -> str:
    try:
        return _stamp_path().read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def make_first_admin() -> str | None:
    """If there is no user at all, make one; returns the random password."""
    users = get_user_model()._default_manager
    if users.exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(username=ADMIN_NAME, password=password)
    return password


@contextlib.contextmanager
def turn(*, is_patient: bool = True) -> Iterator[None]:
    """One process at a time makes the database.

    Raises CommandError if not patient, and for root in another user's directory.
    """
    _check_owner(Path(settings.HUB_DATA_DIR))
    with (Path(settings.HUB_DATA_DIR) / "setup.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise CommandError(
                _("expected nobody else to make the database, but another process is"),
                returncode=2,
            ) from error
        yield


def _check_owner(directory: Path) -> None:
    """Root's files there would be closed to the hub, which runs as the owner."""
    owner = directory.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise CommandError(
            _(
                "HUB_DATA_DIR: expected root's own directory, or to run as the user to "
                "whom it belongs (%(owner)d), got root in %(directory)s"
            )
            % {"owner": owner, "directory": directory},
            returncode=2,
        )
