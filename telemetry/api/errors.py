"""Every error as JSON, with a code for programs and a sentence for people."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec

import msgspec
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from .. import counters
from ..protocol.errors import (
    BadRequest,
    Busy,
    ProtocolError,
    Unauthorized,
    Unsupported,
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
    """A view for one method, whose errors are answers. Never kept by a cache."""

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

        return answered  # type: ignore[return-value]  # wraps names its argument

    return decorate


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
