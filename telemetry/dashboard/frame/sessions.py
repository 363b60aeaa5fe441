"""Django's sessions, but for cookies that can name none: those are as signed out.

PostgreSQL refuses to look for a text with a NUL, which whoever writes a cookie by hand
can put there: the answer would be an error of the hub.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest


class HubSessionMiddleware(SessionMiddleware):
    """In the place of SessionMiddleware."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        # As live/people.py does for sockets. Django makes keys of a-z and 0-9.
        if not (key.isascii() and key.isalnum()):
            request.session = self.SessionStore(None)
