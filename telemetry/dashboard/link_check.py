"""The page `/link`: how good the link between this browser and the hub is.

It only says where to measure; the browser does, on `/ws/echo`.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
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
        "config": {"echo": "/ws/echo"},
    }
    return render(request, "telemetry/link_check.html", context)
