"""Forms that are done once: a page with a secret that is loaded again makes no second.

A form carries a token, and the session the tokens of the last forms that were done.
"""

from __future__ import annotations

import secrets

from django.http import HttpRequest

FIELD = "once"
DONE = "telemetry_forms_done"
MOST_DONE = 20
TOKEN_CHARACTERS = 32


def new_token() -> str:
    """A token for one sending of one form."""
    return secrets.token_hex(TOKEN_CHARACTERS // 2)


def is_repeat(request: HttpRequest) -> bool:
    """Whether this very form was done before: the page was loaded again."""
    return request.POST.get(FIELD) in request.session.get(DONE, [])


def note_done(request: HttpRequest) -> None:
    """This form is done."""
    done = [*request.session.get(DONE, []), request.POST.get(FIELD, "")]
    request.session[DONE] = done[-MOST_DONE:]
