"""Who looks at a page: somebody who is signed in, or a screen on a wall.

A screen has a link of its own (kiosk.py) instead of a session: `request.kiosk`. Views
that it may open are marked with `watchers_only`; for all others it is nobody.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ..devices.access import Seer
from ..devices.access_token import AccessToken

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def kiosk_of(request: HttpRequest) -> AccessToken | None:
    """The link of the screen that asks; None: it is no screen."""
    # A request that no middleware has seen has none.
    return getattr(request, "kiosk", None)


def watcher(request: HttpRequest) -> Seer:
    """Whose rights decide what the page shows."""
    return kiosk_of(request) or request.user


def watchers_only(view: View[P]) -> View[P]:
    """Like `login_required`, but a screen is let in as well."""
    for_people: View[P] = login_required(view)

    @functools.wraps(view)
    def answered(
        request: HttpRequest, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        chosen = view if kiosk_of(request) else for_people
        return chosen(request, *args, **kwargs)

    return answered  # type: ignore[return-value]  # wraps names its argument
