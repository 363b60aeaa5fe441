"""Reading history for a page, and what is answered where that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import JsonResponse
from django.utils.translation import gettext as _

from ...history.queries import turns
from ...history.queries.ladder import BadRange, TooMuch


class Refused(Exception):
    """The request cannot be answered: a sentence why, and the status that says so."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status

    def answer(self) -> JsonResponse:
        """For a script."""
        headers = {"Retry-After": "5"} if self.status == 503 else None
        return JsonResponse({"error": str(self)}, status=self.status, headers=headers)


@contextmanager
def reading() -> Iterator[None]:
    """A turn to read history: few read at once. Blocks. Raises Refused."""
    try:
        with turns.turn():
            yield
    except TooMuch as error:
        raise Refused(str(error), 413) from error
    except BadRange as error:
        raise Refused(str(error), 400) from error
    except turns.Busy as error:
        text = _("expected an idle reader, but others are loading history: try again")
        raise Refused(text, 503) from error
