"""Recognises the screens on walls, and keeps login pages off them.

A request without a screen's cookie costs nothing. Somebody who is signed in stays who
they are: a link that they tried out changes nothing for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils.decorators import sync_and_async_middleware

from ...devices import kiosk_cookie, tokens
from .links import ended, start_of

Sync = Callable[[HttpRequest], HttpResponseBase]
Async = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
# A screen looks and changes nothing.
READING = frozenset({"GET", "HEAD"})


@sync_and_async_middleware
def kiosk_middleware(get_response: Sync | Async) -> Sync | Async:
    """Set `request.kiosk`: the link of the screen that asks, or None.

    Must come after AuthenticationMiddleware.
    """
    if iscoroutinefunction(get_response):
        inner = cast(Async, get_response)

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            if not _is_screen(request):
                return await inner(request)
            await sync_to_async(_recognise)(request)
            response = await inner(request)
            return await sync_to_async(_without_dead_ends)(request, response)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        if not _is_screen(request):
            return cast(Sync, get_response)(request)
        _recognise(request)
        response = cast(Sync, get_response)(request)
        return _without_dead_ends(request, response)

    return answer


def _is_screen(request: HttpRequest) -> bool:
    request.kiosk = None  # type: ignore[attr-defined]
    return settings.KIOSK_COOKIE_NAME in request.COOKIES and request.method in READING


def _recognise(request: HttpRequest) -> None:
    if not request.user.is_authenticated:
        claim = kiosk_cookie.read(request.COOKIES[settings.KIOSK_COOKIE_NAME])
        request.kiosk = tokens.find_one(claim)  # type: ignore[attr-defined]


def _without_dead_ends(
    request: HttpRequest, response: HttpResponseBase
) -> HttpResponseBase:
    """Where nobody is there to sign in, or to go back, the screen goes on by itself."""
    kiosk = request.kiosk  # type: ignore[attr-defined]
    is_login = response.status_code == 302 and response["Location"].startswith(
        resolve_url(settings.LOGIN_URL)
    )
    is_lost = response.status_code == 404 and "kiosk" in request.GET
    if request.user.is_authenticated or not (is_login or is_lost):
        return response
    if kiosk is None:
        # A person whose link has ended may still sign in everywhere else.
        return ended(request) if "kiosk" in request.GET else response
    start = start_of(kiosk, request.GET)
    return ended(request) if start is None else redirect(start)
