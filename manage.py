#!/usr/bin/env python
"""Django's command line, with configuration errors as one sentence."""

from __future__ import annotations

import os
import sys

# A module of these that is missing is a fault in the project.
OWN = ("hub_project", "telemetry", "tests", "benchmarks")


def main() -> None:
    try:
        run()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in OWN:
            raise
        print(
            f"expected the package {package}, but this Python ({sys.executable}) does "
            "not have it: run “make setup”, which installs what is needed, and use "
            ".venv/bin/python",
            file=sys.stderr,
        )
        sys.exit(2)


def run() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub_project.settings")
    # After the variable: these read nothing yet, but say what they need.
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from hub_project import env

    env.take_address(sys.argv[1:], os.environ)
    try:
        # The first touch reads the environment.
        settings.configured or settings.DEBUG  # noqa: B018
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
