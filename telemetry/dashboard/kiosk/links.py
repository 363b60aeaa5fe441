"""Screens on walls: a link of its own opens the pages of some groups, and no login.

The link (`/k/<token>`) is swapped for a cookie at once, so that its secret stays in no
address, history or log. A screen whose link has ended says so, and looks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from ...devices import kiosk_cookie, once, tokens
from ...devices.access import visible_groups
from ...devices.access_token import AccessToken, TokenKind
from ...devices.models import DeviceGroup
from ..watchers import watcher
from .form import KioskForm
from .version import page_version

# What browsers keep a cookie for at most; each opening of the link sets it anew.
COOKIE_DAYS = 400
CARRIED = ("rotate", "from", "to", "m", "by")
MOST_CARRIED_CHARACTERS = 200


@require_safe
@never_cache
@sensitive_variables("token", "claim")
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Swap the link for a cookie, and go to the first of its groups."""
    claim = tokens.claim_of(token, TokenKind.KIOSK)
    found = tokens.find_one(claim)
    start = start_of(found, request.GET) if found else None
    if found is None or start is None:
        return ended(request)
    response = redirect(start)
    response.set_cookie(
        settings.KIOSK_COOKIE_NAME,
        kiosk_cookie.write(found),
        max_age=_cookie_age(found),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return _unnamed(response)


@require_safe
@never_cache
def data(request: HttpRequest) -> HttpResponse:
    """What a screen asks now and then: is it let in, to what, and is its page old."""
    seer = watcher(request)
    groups = visible_groups(seer).values_list("slug", flat=True)
    if not isinstance(seer, AccessToken) and not seer.is_authenticated:
        return JsonResponse({"error": _("expected the link of a screen")}, status=404)
    return JsonResponse({"version": page_version(), "groups": list(groups)})


def start_of(token: AccessToken, asked: Mapping[str, str]) -> str | None:
    """Where a screen begins: its first group; None where it has none any more.

    asked: the link's own query; what says how to show a group is carried on.
    """
    slug = visible_groups(token).values_list("slug", flat=True).first()
    if slug is None:
        return None
    query = {"kiosk": "1"}
    # What they mean, and whether they mean anything, is the page's own business.
    for name in CARRIED:
        if name in asked:
            query[name] = asked[name][:MOST_CARRIED_CHARACTERS]
    return f"{reverse('group', args=[slug])}?{urlencode(query)}"


def ended(request: HttpRequest) -> HttpResponse:
    """The page of a link that is wrong, has expired or was revoked: one for all."""
    response = render(request, "telemetry/kiosk_ended.html", status=404)
    response["Cache-Control"] = "no-store"
    return _unnamed(response)


# --- making links ---------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def link_form(request: HttpRequest, slug: str) -> HttpResponse:
    """Make a link for a screen that shows this group, or end one of one's own."""
    group = get_object_or_404(visible_groups(request.user), slug=slug)
    if not request.user.has_perm("telemetry.add_accesstoken"):
        raise PermissionDenied
    own = _own_links(request, group)
    if request.method == "POST" and "end" in request.POST:
        return _end(request, group, own)
    if request.method == "POST" and once.is_repeat(request):
        messages.warning(request, _("That link was made and shown before."))
        return redirect("kiosk-form", slug=slug)
    others = visible_groups(request.user).exclude(pk=group.pk)
    form = KioskForm(request.POST or None, others=others, initial={"name": group.name})
    if request.method == "POST" and form.is_valid():
        return _made(request, group, form)
    context = {
        "group": group,
        "form": form,
        "links": own,
        "now": timezone.now(),
        "token": once.new_token(),
    }
    return render(request, "telemetry/kiosk_form.html", context)


@sensitive_variables("secret", "link")
def _made(request: HttpRequest, group: DeviceGroup, form: KioskForm) -> HttpResponse:
    others = list(form.cleaned_data.get("groups", []))
    token, secret = tokens.make(
        _user(request),
        TokenKind.KIOSK,
        form.cleaned_data["name"],
        groups=[group, *others],
        expires_at=form.expires_at(timezone.now()),
    )
    once.note_done(request)
    rotate = form.cleaned_data["rotate"] if others else None
    link = link_of(secret) + (f"?rotate={rotate}" if rotate else "")
    context = {"group": group, "kiosk_link": link, "made": token, "rotate": rotate}
    response = render(request, "telemetry/kiosk_link.html", context)
    response["Cache-Control"] = "no-store"
    return response


@sensitive_variables("secret")
def link_of(secret: str) -> str:
    """The link that opens a screen."""
    return settings.HUB_URL + reverse("kiosk", args=[secret])


def _end(
    request: HttpRequest, group: DeviceGroup, own: list[AccessToken]
) -> HttpResponse:
    for token in own:
        if str(token.pk) == request.POST["end"] and tokens.revoke(token):
            text = _("“%(name)s” has ended: its screens go dark within seconds.")
            messages.success(request, text % {"name": token.name})
    return redirect("kiosk-form", slug=group.slug)


def _own_links(request: HttpRequest, group: DeviceGroup) -> list[AccessToken]:
    """One's own links that show this group and have not ended."""
    now = timezone.now()
    links = AccessToken.objects.filter(
        user=request.user.pk, kind=TokenKind.KIOSK, revoked_at=None, groups=group
    )
    return [token for token in links if token.is_usable(now)]


def _user(request: HttpRequest) -> User:
    # `login_required` has seen to it.
    assert isinstance(request.user, User)  # noqa: S101
    return request.user


def _cookie_age(token: AccessToken) -> timedelta:
    longest = timedelta(days=COOKIE_DAYS)
    if token.expires_at is None:
        return longest
    left: datetime = token.expires_at
    return min(longest, left - timezone.now())


def _unnamed(response: HttpResponse) -> HttpResponse:
    """Its address is a secret: no other request may name it as where it came from."""
    response["Referrer-Policy"] = "no-referrer"
    return response
