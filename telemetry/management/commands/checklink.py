"""`manage.py checklink`: how good the link to a hub is, from this machine."""

from __future__ import annotations

import asyncio
import json
import os
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from ...fleet.link_check import LinkError, Result, check_link, echo_url
from ...fleet.link_figures import Figures, Kind
from ...protocol import names

WRONG_CALL = 2
# The hub closes a check after a minute; the data rate takes some seconds of it.
LEAST_SECONDS, MOST_SECONDS = 1.0, 40.0


class Command(BaseCommand):
    help = "Measure the link from this machine to a hub: round trips and data rate."
    # It needs no database and no settings of a hub.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("url", metavar="URL", help="the hub, such as https://hub.example.org")
        add(
            "--key",
            help="a device's key (better in the variable HUB_KEY: arguments can be "
            "seen by others)",
        )
        add("--seconds", type=float, default=10.0, help="of round trips (10)")
        add("--json", action="store_true", help="one JSON object, for programs")
        add("--ca", help="for wss: a PEM file with the hub's own certificate")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["key"] or os.environ.get("HUB_KEY", "")
        try:
            url = echo_url(options["url"])
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_CALL) from None
        check_arguments(key, options["seconds"], options["ca"])
        if self.stderr.isatty():
            self.stderr.write(
                _("measuring for %(seconds)g s…") % {"seconds": options["seconds"]}
            )
        try:
            result = asyncio.run(
                check_link(url, key, options["seconds"], ca_file=options["ca"])
            )
        except LinkError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError(_("interrupted before there was a result")) from None
        lines = [as_json(result)] if options["json"] else sentences(result)
        for line in lines:
            self.stdout.write(line)
        if result.ended is not None:
            raise CommandError(result.ended)


def check_arguments(key: str, seconds: float, ca_file: str | None) -> None:
    """Raise CommandError for what cannot be right. The key is never shown."""
    if not key:
        raise CommandError(
            _("expected a device's key in --key or in the variable HUB_KEY, got none"),
            returncode=WRONG_CALL,
        )
    if not names.KEY.fullmatch(key):
        raise CommandError(
            _("expected a key such as hub_xxxxxxxx_…, as createdevice prints it"),
            returncode=WRONG_CALL,
        )
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise CommandError(
            _("--seconds: expected %(least)g to %(most)g, got %(got)g")
            % {"least": LEAST_SECONDS, "most": MOST_SECONDS, "got": seconds},
            returncode=WRONG_CALL,
        )
    if ca_file is not None and not os.access(ca_file, os.R_OK):
        raise CommandError(
            _("--ca: expected a readable PEM file, got “%(got)s”")
            % {"got": ca_file[:200]},
            returncode=WRONG_CALL,
        )


def as_json(result: Result) -> str:
    """The result for programs."""
    found = asdict(result.figures) if result.figures else {}
    fields = {
        "url": result.url,
        "connect_ms": result.connect_ms,
        **found,
        "bits_per_second": result.bits_per_second,
        "ended": result.ended,
    }
    return json.dumps(
        {
            name: round(each, 3) if isinstance(each, float) else each
            for name, each in fields.items()
        }
    )


def sentences(result: Result) -> list[str]:
    """The result for people, and what is normal."""
    found = result.figures
    lines = [
        _("connection   %(ms)s ms until %(url)s was open")
        % {"ms": digits(result.connect_ms), "url": result.url}
    ]
    if found is not None:
        lines.append(
            _(
                "round trip   p50 %(p50)s ms, p99 %(p99)s ms, jitter %(jitter)s ms "
                "(%(count)d of them)"
            )
            % {
                "p50": digits(found.p50_ms),
                "p99": digits(found.p99_ms),
                "jitter": digits(found.jitter_ms),
                "count": found.round_trips,
            }
        )
    if result.bits_per_second is not None:
        lines.append(
            _("data rate    %(rate)s, both ways at once")
            % {"rate": rate(result.bits_per_second)}
        )
    if found is not None:
        lines += ["", verdict(found), normal()]
    return lines


def digits(number: float) -> str:
    """A number as it is read: 0.38, 4.1, 38, 1,204."""
    if number < 1:
        return f"{number:.2f}"
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"


def rate(bits_per_second: float) -> str:
    """A data rate with its unit."""
    if bits_per_second < 1e6:
        return f"{digits(bits_per_second / 1e3)} kbit/s"
    return f"{digits(bits_per_second / 1e6)} Mbit/s"


def verdict(found: Figures) -> str:
    """What kind of link it looks like, and whether it is steady."""
    kinds = {
        Kind.LOCAL: _("These round trips are those of a local network."),
        Kind.INTERNET: _(
            "These round trips are those of a good way over the internet."
        ),
        Kind.MOBILE: _(
            "These round trips are those of mobile radio, or of a long way."
        ),
        Kind.SLOW: _(
            "These round trips are slow even for mobile radio: something on the way is "
            "overloaded, or it is a satellite."
        ),
    }
    unsteady = _(
        "They are not steady: some take far longer than most, as with weak radio or "
        "a line that others fill."
    )
    return kinds[found.kind] + ("" if found.is_steady else f" {unsteady}")


def normal() -> str:
    """What is normal where."""
    return _(
        "Normal round trips (p50): 0.2 to 5 ms in a local network, 10 to 100 ms over "
        "the internet, 40 to 250 ms over mobile radio; jitter a tenth to a third of it."
    )
