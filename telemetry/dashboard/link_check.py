"""The page `/link`: how good the link between this browser and the hub is.

It only says where to measure; the browser does, on `/ws/echo`.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

# How long round trips may be measured.
SECONDS = (3, 10, 30)
USUAL_SECONDS = 10


@require_safe
@never_cache
@login_required
def link_check(request: HttpRequest) -> HttpResponse:
    """What is measured, and what is normal; a script starts it."""
    context = {
        "hub_url": settings.HUB_URL,
        "seconds": SECONDS,
        "usual_seconds": USUAL_SECONDS,
        "config": {"echo": "/ws/echo", "words": _words()},
    }
    return render(request, "telemetry/link_check.html", context)


def _words() -> dict[str, str]:
    """What the script says: of a phase, of a kind of link, of how a check ended."""
    return {
        "connecting": gettext("Connecting…"),
        "round-trips": gettext("Measuring round trips…"),
        "data": gettext("Measuring the data rate…"),
        "local": gettext("These round trips are those of a local network."),
        "internet": gettext(
            "These round trips are those of a good way over the internet."
        ),
        "mobile": gettext(
            "These round trips are those of mobile radio, or of a long way."
        ),
        "slow": gettext(
            "These round trips are slow even for mobile radio: something on the way is "
            "overloaded, or it is a satellite."
        ),
        "unsteady": gettext(
            "They are not steady: some take far longer than most, as with weak radio "
            "or a line that others fill."
        ),
        "0": gettext(
            "Something on the way changed a message: it did not come back as it was."
        ),
        "1000": gettext("The hub ended the check before it was done."),
        "1006": gettext(
            "The connection was lost or could not be made: the hub is away, or "
            "something on the way lets no WebSocket through."
        ),
        "4401": gettext("Signed out: sign in again, then measure."),
        "4403": gettext(
            "This page's address is not the hub's own (HUB_URL), so it may not measure."
        ),
        "closed": gettext("The hub closed the check (%(code)s): %(reason)s"),
    }
