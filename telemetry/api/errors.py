"""Every error as JSON, with a code for programs and a sentence for people."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec

import msgspec
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from .. import counters
from ..protocol.errors import (
    BadRequest,
    Busy,
    NotFound,
    ProtocolError,
    Unauthorized,
    Unsupported,
    quoted,
)

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], Coroutine[Any, Any, HttpResponseBase]]
RETRY_AFTER_SECONDS = 5


class NotAllowed(BadRequest):
    """Another method than the address has."""

    http_status = 405


class NotAcceptable(Unsupported):
    """None of the formats that the client takes is one that there is."""

    http_status = 406


def answering(method: str) -> Callable[[View[P]], View[P]]:
    """A view for one method, whose errors are answers. Never kept by a cache.

    No session may change anything here, so there is nothing to forge; and the check of
    it would answer another method before this does, as a page.
    """

    def decorate(view: View[P]) -> View[P]:
        @functools.wraps(view)
        async def answered(
            request: HttpRequest, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            try:
                if request.method != method:
                    raise NotAllowed(f"expected {method}, got {request.method}")
                response = await view(request, *args, **kwargs)
            except ProtocolError as error:
                response = answer_to(error)
                if isinstance(error, NotAllowed):
                    response["Allow"] = method
            except (DatabaseError, InterfaceError):
                response = answer_to(
                    Busy("expected to read, but the database is away; try again")
                )
            response["Cache-Control"] = "no-store"
            return response

        return csrf_exempt(answered)  # type: ignore[return-value]  # wraps names its argument

    return decorate


@csrf_exempt
def no_address(request: HttpRequest, address: str) -> HttpResponse:
    """What is not there, below the addresses for programs."""
    response = answer_to(
        NotFound(f"expected an address of the API, got {quoted(address)}")
    )
    response["Cache-Control"] = "no-store"
    return response


def answer_to(error: ProtocolError) -> HttpResponse:
    """An error as its answer."""
    counters.ERRORS.labels(code=error.code).inc()
    response = answer(
        {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
        },
        error.http_status,
    )
    if error.retryable:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, Unauthorized):
        response["WWW-Authenticate"] = "Bearer"
    return response


def answer(body: dict[str, Any], status: int = 200) -> HttpResponse:
    """A body of JSON."""
    content = msgspec.json.encode(body)
    return HttpResponse(content, content_type="application/json", status=status)
