"""`manage.py runserver`: Daphne, for development, with the hub's own limits."""

from __future__ import annotations

import functools

from daphne.management.commands.runserver import Command as DaphneCommand
from daphne.server import Server
from django.conf import settings


class Command(DaphneCommand):
    # Daphne closes every socket after a day of wall-clock time, and so at once
    # when the clock jumps; -1: never.
    server_cls = staticmethod(functools.partial(Server, websocket_timeout=-1))

    @property
    def default_addr(self) -> str:
        return str(settings.HUB_HOST)

    @property
    def default_port(self) -> str:
        return str(settings.HUB_PORT)
