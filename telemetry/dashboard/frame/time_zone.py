"""The time zone in which one wants to read times: a form in the frame of all pages.

Kept in a person's preferences; of nobody in a signed cookie, so that strangers write
nothing into the database.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from ...devices.models import Preferences, validate_time_zone

SALT = "telemetry.time_zone"
# What browsers keep a cookie for at most.
COOKIE_DAYS = 400


@require_POST
@never_cache
def choose(request: HttpRequest) -> HttpResponse:
    """Keep the zone and go back to the page that one came from."""
    name = request.POST.get("zone", "").strip()
    try:
        validate_time_zone(name)
    except ValidationError as error:
        context = {"problem": error.messages[0][:200], "back": _came_from(request)}
        return render(request, "telemetry/bad_zone.html", context, status=400)
    response = HttpResponseRedirect(_came_from(request))
    if request.user.is_authenticated:
        Preferences.objects.update_or_create(
            user=request.user, defaults={"time_zone": name}
        )
    else:
        response.set_signed_cookie(
            settings.ZONE_COOKIE_NAME,
            name,
            salt=SALT,
            max_age=COOKIE_DAYS * 86_400,
            httponly=True,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return response


def zone_of_nobody(request: HttpRequest) -> str | None:
    """The zone that the browser of somebody not signed in keeps. No I/O."""
    return request.get_signed_cookie(settings.ZONE_COOKIE_NAME, None, salt=SALT)


def _came_from(request: HttpRequest) -> str:
    """The address of the page with its view; the referrer is this hub's, or none."""
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, {request.get_host()}):
        return "/"
    parts = urlsplit(referrer)
    # Two slashes at the start would be another host.
    path = "/" + parts.path.lstrip("/")
    if path == request.path:
        # Of the page that refused a zone; it answers to forms alone.
        return "/"
    return f"{path}?{parts.query}" if parts.query else path
