"""The time zone in which one wants to read times: a form in the frame of all pages.

Kept in a person's preferences; of nobody in the session.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from ..devices.models import Preferences, validate_time_zone

SESSION_KEY = "time_zone"


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
    if request.user.is_authenticated:
        Preferences.objects.update_or_create(
            user=request.user, defaults={"time_zone": name}
        )
    else:
        request.session[SESSION_KEY] = name
    return HttpResponseRedirect(_came_from(request))


def _came_from(request: HttpRequest) -> str:
    """The address of the page with its view; the referrer is this hub's, or none."""
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, {request.get_host()}):
        return "/"
    parts = urlsplit(referrer)
    # Two slashes at the start would be another host.
    path = "/" + parts.path.lstrip("/")
    return f"{path}?{parts.query}" if parts.query else path
