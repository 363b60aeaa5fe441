"""Each request in its user's time zone and language (Preferences), else UTC.

A request without cookies (a device's HTTP door, a probe) costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.decorators import sync_and_async_middleware

from ...devices import zones
from ...devices.models import Preferences
from ..watchers import kiosk_of
from .time_zone import zone_of_nobody

Sync = Callable[[HttpRequest], HttpResponseBase]
Async = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def preferences_middleware(get_response: Sync | Async) -> Sync | Async:
    """Activate what the user prefers while the request is answered.

    Sets `request.preferences` (None: nobody is signed in, or nothing was chosen).
    Must come after SessionMiddleware, LocaleMiddleware and kiosk_middleware.
    """
    if iscoroutinefunction(get_response):
        inner = cast(Async, get_response)

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            preferences = None
            if kiosk_of(request) or not request.COOKIES.keys().isdisjoint(
                (settings.SESSION_COOKIE_NAME, settings.ZONE_COOKIE_NAME)
            ):
                preferences = await sync_to_async(_preferences)(request)
            with _preferring(request, preferences):
                return await inner(request)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        with _preferring(request, _preferences(request)):
            return cast(Sync, get_response)(request)

    return answer


def _preferences(request: HttpRequest) -> Preferences | None:
    kiosk = kiosk_of(request)
    # A screen shows times as the one does whose link it has.
    user_id = kiosk.user_id if kiosk else request.session.get(SESSION_KEY)
    if user_id is None:
        # Of nobody there is no row, but their browser may keep a zone.
        zone = zone_of_nobody(request)
        return Preferences(time_zone=zone) if zone else None
    return Preferences.objects.filter(user_id=user_id).first()


@contextmanager
def _preferring(
    request: HttpRequest, preferences: Preferences | None
) -> Iterator[None]:
    request.preferences = preferences  # type: ignore[attr-defined]
    zone = zones.chosen(preferences.time_zone if preferences else None)
    language = (preferences and preferences.language) or translation.get_language()
    with timezone.override(zone), translation.override(language):
        yield
