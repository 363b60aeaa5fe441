"""`manage.py serve`: the hub on uvicorn, and with --setup all that a start needs.

With --workers it is the parent of several such processes, each started with --worker.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.utils.translation import gettext as _

from hub_project import env, memory, server
from hub_project.child_line import ChildLine
from hub_project.socket_protocol import UNIX_CLIENT
from hub_project.worker import WorkerServer

from ... import conf
from .. import demo_process, setup, waiting, workers

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Run the hub: web pages, devices and live sockets in one process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        env.add_address_arguments(parser)
        parser.add_argument(
            "--setup",
            action="store_true",
            help="first make the database, the static files and the first admin",
        )
        parser.add_argument(
            "--demo",
            action="store_true",
            help="also run a simulated fleet that connects over real WebSockets",
        )
        parser.add_argument(
            "--workers",
            metavar="N",
            help="run so many processes, and their jobs; needs PostgreSQL and Redis",
        )
        # How a worker is started by its parent.
        for name in ("--worker", "--line-fd"):
            parser.add_argument(name, type=int, help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        _allow_open_files()
        if options["worker"] is not None:
            self._work(options)
            return
        count = options["workers"]
        if count is not None:
            count = workers.checked(count)
        with self._listen() as listener:
            if count is None:
                self._serve(listener, options)
            else:
                self._supervise(listener, count, options)

    def _supervise(
        self, listener: socket.socket, count: int, options: dict[str, Any]
    ) -> None:
        """Be the parent of `count` workers, until a signal ends all."""
        # There is nothing to replace yet, and its default is to end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        password = self._prepare(options)
        _check_certificate()
        fleet = demo_process.Demo() if options["demo"] else None

        def on_started() -> None:
            self._welcome(password, fleet)
            if fleet is not None:
                fleet.start()

        supervisor = workers.supervisor(listener, count, on_started)
        connections.close_all()  # The parent needs none.
        memory.settle()
        try:
            code = asyncio.run(supervisor.run())
        finally:
            if fleet is not None:
                fleet.stop()
        if supervisor.is_started:
            self._say_stopped()
        if code:
            sys.exit(code)

    def _work(self, options: dict[str, Any]) -> None:
        """Be one of several workers, as the parent wants it."""
        line = ChildLine(options["line_fd"])
        # It was there for the parent: if it is away now, it will be back.
        end = waiting.End(line)
        if not waiting.for_database(end) or end.leave():
            return
        # Only now, as in `_serve`.
        from hub_project.asgi import application

        application.has_jobs = False
        # Over its own unix socket there is only the proxy.
        proxies = [*settings.HUB_TRUSTED_PROXIES, UNIX_CLIENT]
        trust = {"proxy_headers": True, "forwarded_allow_ips": proxies}
        config = server.server_config(application, **self._server_options(), **trust)
        WorkerServer(
            config,
            application,
            line,
            workers.socket_path(options["worker"]),
            conf.value("DRAIN_WAIT_SECONDS"),
            **self._end(),
        ).run(sockets=[])
        waiting.no_longer()

    def _serve(self, listener: socket.socket, options: dict[str, Any]) -> None:
        password = self._prepare(options)
        # Only now: it loads every room, and the hub must not meet an old database.
        from hub_project.asgi import application

        _check_certificate()
        config = server.server_config(
            application, **self._server_options(), **self._trust()
        )
        fleet = demo_process.Demo() if options["demo"] else None

        def on_started() -> None:
            self._welcome(password, fleet)
            if fleet is not None:
                fleet.start()

        hub_server = server.HubServer(
            config, application.drain, on_started, **self._end()
        )
        try:
            hub_server.run(sockets=[listener])
        finally:
            if fleet is not None:
                fleet.stop()
        if hub_server.started:
            self._say_stopped()
            waiting.no_longer()

    def _prepare(self, options: dict[str, Any]) -> str | None:
        """What a start needs; the first admin's password if it was made now."""
        with _needing_database():
            if options["setup"]:
                return setup.set_up()
            self._check_set_up()
        return None

    def _listen(self) -> socket.socket:
        host, port = settings.HUB_HOST, settings.HUB_PORT
        try:
            return server.listen(host, port)
        except OSError as error:
            wrong = _(
                "HUB_HOST and HUB_PORT: expected an address of this machine with "
                "a free port, got %(host)s and %(port)s (%(reason)s)."
            ) % {"host": host, "port": port, "reason": error.strerror or error}
            if error.errno == errno.EADDRINUSE:
                other = port + 1 if port < 65_535 else port - 1
                wrong += " " + _("Choose another port: HUB_PORT=%(port)d.") % {
                    "port": other
                }
            raise CommandError(wrong, returncode=2) from error

    def _check_set_up(self) -> None:
        """Without --setup: say what is missing instead of failing page by page."""
        self._check_tables()
        if setup.needs_static_files():
            logger.warning(
                "static files have changed: run “manage.py serve --setup” once, "
                "or “manage.py collectstatic”"
            )

    def _check_tables(self) -> None:
        if setup.needs_migration():
            raise CommandError(
                _("The database is not migrated: run “manage.py migrate”."),
                returncode=2,
            )

    def _server_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"host": settings.HUB_HOST, "port": settings.HUB_PORT}
        if settings.HUB_TLS_CERT:
            options["ssl_certfile"] = settings.HUB_TLS_CERT
            options["ssl_keyfile"] = settings.HUB_TLS_KEY
        return options

    def _end(self) -> dict[str, Any]:
        return {"drain_seconds": conf.value("DRAIN_SECONDS"), "is_process": True}

    def _trust(self) -> dict[str, Any]:
        proxies = list(settings.HUB_TRUSTED_PROXIES)
        return {"proxy_headers": bool(proxies), "forwarded_allow_ips": proxies}

    def _say_stopped(self) -> None:
        self.stdout.write(_("The hub has stopped."))
        self.stdout.flush()

    def _welcome(self, password: str | None, fleet: demo_process.Demo | None) -> None:
        """Where to go next, in plain words."""
        url = settings.HUB_URL
        say = self.stdout.write
        say(_("The hub is ready: %(url)s") % {"url": self.style.SUCCESS(url)})
        others = [each for each in settings.HUB_ORIGINS if each != url]
        if settings.HUB_HOST in env.EVERYWHERE:
            say(_("It also answers at: %(urls)s") % {"urls": ", ".join(others)})
        if password is not None:
            say("")
            say(_("Your first account (shown only now; write it down):"))
            say(f"    {_('user')}: {setup.ADMIN_NAME}   {_('password')}: {password}")
        # Under systemd nobody is at a terminal, and a command typed in the program's
        # directory would lack this hub's environment.
        if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
            say("")
            if fleet is not None:
                say(_("A simulated fleet is connecting. Log in and watch it move:"))
                say(f"    {url}{fleet.page}")
            else:
                self._next_steps(url)
            say("")
            say(_("Stop the hub with Ctrl+C."))
        self.stdout.flush()

    def _next_steps(self, url: str) -> None:
        say = self.stdout.write
        say(_("What next:"))
        say(_("  1. Log in: %(url)s") % {"url": f"{url}/"})
        say(_("  2. Make a device and get its key, in a second terminal:"))
        say("     .venv/bin/python manage.py createdevice boiler --group cellar")
        say(_("  3. Send its first reading (with the key in place of KEY):"))
        say(f"     curl {url}/api/v1/ingest \\")
        say('       -H "Authorization: Bearer KEY" \\')
        say('       -H "Content-Type: application/json" \\')
        say("""       -d '{"values": {"temp": 21.5}}'""")
        sockets = "ws" + url.removeprefix("http")
        say(_("     or connect it for good: %(url)s") % {"url": f"{sockets}/ws/device"})
        say(_("  4. Watch it: %(url)s") % {"url": f"{url}/g/cellar"})
        say(_("Or see a simulated fleet move first: make demo"))


def _allow_open_files() -> None:
    """As many as this process may have: a shell gives 1,024, one a connection."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check_certificate() -> None:
    """Say what is wrong with it now, instead of at the first connection."""
    if not settings.HUB_TLS_CERT:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.HUB_TLS_CERT, settings.HUB_TLS_KEY)
    except ssl.SSLError as error:
        raise CommandError(
            _(
                "HUB_TLS_CERT and HUB_TLS_KEY: expected a PEM certificate and the "
                "key that belongs to it, got %(cert)s and %(key)s (%(reason)s)."
            )
            % {
                "cert": settings.HUB_TLS_CERT,
                "key": settings.HUB_TLS_KEY,
                "reason": error.reason or error,
            },
            returncode=2,
        ) from error


@contextlib.contextmanager
def _needing_database() -> Iterator[None]:
    """One sentence instead of a traceback (`--traceback` shows it)."""
    try:
        yield
    except (DatabaseError, InterfaceError, MigrationSchemaMissing) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CommandError(
            _("DATABASE_URL: expected a database that the hub can use, got: %(got)s")
            % {"got": lines[0][:300]},
            returncode=2,
        ) from error
