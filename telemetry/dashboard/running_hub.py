"""What the pages need of the running hub, found in the request's ASGI scope.

Views are synchronous and run in a thread; what lives on the event loop is asked
there. Without a hub (a test client, a WSGI server) the pages show what the
database holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar, cast

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from ..devices.events import Events
from ..devices.presence import Presence
from ..devices.tallies import Tallies
from ..history.heads import Head, Heads
from ..history.models import SeriesHead
from ..history.tail import Tail

T = TypeVar("T")


class Hub(Protocol):
    """The part of `telemetry.hub.Hub` that pages read."""

    @property
    def presence(self) -> Presence: ...

    @property
    def events(self) -> Events: ...

    @property
    def tallies(self) -> Tallies: ...

    @property
    def heads(self) -> Heads: ...

    @property
    def tail(self) -> Tail: ...


def hub_of(request: HttpRequest) -> Hub | None:
    """The hub of this process, or None where there is none."""
    if not isinstance(request, ASGIRequest):
        return None
    return cast("Hub | None", request.scope.get("telemetry.hub"))


def last_values(request: HttpRequest, series_ids: Iterable[int]) -> dict[int, Head]:
    """The last reading of each series that has one: one moment's state."""
    ids = list(series_ids)
    hub = hub_of(request)
    if hub is not None:
        heads = hub.heads
        return on_loop(lambda: heads.current(ids))
    rows = SeriesHead.objects.filter(series_id__in=ids)
    return {row.series_id: _head(row) for row in rows}


def on_loop(call: Callable[[], T]) -> T:
    """Run `call` on the event loop that serves this request, and wait for it."""

    async def run() -> T:
        return call()

    return async_to_sync(run)()


def _head(row: SeriesHead) -> Head:
    value = row.text if row.value is None else row.value
    return Head(row.time_us, row.received_us, value)
