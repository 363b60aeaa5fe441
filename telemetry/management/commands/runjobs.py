"""`manage.py runjobs`: what the hub does beside its readings, as a process."""

from __future__ import annotations

import argparse
import logging
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection
from django.utils.translation import gettext as _

from hub_project.child_line import ChildLine
from telemetry.jobs import Jobs

from .. import waiting

logger = logging.getLogger(__name__)

# A step of a job is some milliseconds; reading and compressing before it a few
# hundred. What does not end in this time is done again by the next.
STOP_SECONDS = 3.0


class Command(BaseCommand):
    help = "Do what the hub does beside its readings: seal, thin out, clear away."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--line-fd", type=int, help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        number = options["line_fd"]
        end = waiting.End(None if number is None else ChildLine(number))
        if not waiting.for_database(end):
            return
        # The jobs have connections of their own.
        connection.close()
        jobs = Jobs()
        jobs.start()
        end.say_ready()
        if number is None:
            self.stdout.write(_("The jobs run. Stop them with Ctrl+C."))
            self.stdout.flush()
        while not end.within(waiting.LOOK_SECONDS):
            pass
        if not jobs.stop(STOP_SECONDS):
            logger.warning("a job did not end in time; the next process repeats it")
