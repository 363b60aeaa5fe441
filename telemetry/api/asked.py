"""What a request for readings asks for, from its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, QueryDict

from .. import conf
from ..devices import zones
from ..history.queries.calendar_buckets import UNITS
from ..history.transfer import moments
from ..protocol.errors import BadRequest, quoted
from ..protocol.limits import MIN_TIME_US
from .errors import NotAcceptable

JSON, CSV, PARQUET = "json", "csv", "parquet"
MEDIA_TYPES = {
    "application/json": JSON,
    "text/csv": CSV,
    "application/vnd.apache.parquet": PARQUET,
}
HOUR_US = 3_600_000_000
# 2100-01-01T00:00:00Z: readings are from the year 2000 to a few days ahead.
LATEST_US = 4_102_444_800_000_000
REPEATABLE = ("device", "metric")
ONCE = ("from", "to", "points", "calendar", "zone", "show", "format")


@dataclass(frozen=True, slots=True)
class Asked:
    """from ≤ time < to, in µs. points and calendar None: the readings themselves.

    zone: of the calendar's days; None for that of who asks.
    """

    from_us: int
    to_us: int
    points: int | None
    calendar: str | None
    zone: ZoneInfo | None
    shows_rate: bool
    format: str
    devices: list[str]
    metrics: list[str]


def asked_of(request: HttpRequest, now_us: int, *, names_series: bool) -> Asked:
    """The parameters, checked. Raises BadRequest and NotAcceptable.

    names_series: the address has the series, so that no parameter names one.
    """
    try:
        query = request.GET
    except TooManyFieldsSent:
        most = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
        raise BadRequest(f"expected at most {most} parameters, got more") from None
    _check_names(query, ONCE if names_series else (*ONCE, *REPEATABLE))
    from_us = _moment(query, "from", now_us - HOUR_US, now_us)
    to_us = _moment(query, "to", now_us, now_us)
    if from_us >= to_us:
        raise BadRequest(
            "expected from before to, got "
            f"{moments.write(from_us)} and {moments.write(to_us)}"
        )
    format_ = _format(request)
    points = _points(query)
    shows_rate = _shows_rate(query)
    calendar = _calendar(query)
    if points is not None and calendar is not None:
        raise BadRequest("expected points or calendar, got both")
    if format_ != JSON and (points is not None or calendar is not None):
        name = "calendar" if points is None else "points"
        raise BadRequest(
            f"expected no {name} with {format_}, which has the readings themselves"
        )
    if shows_rate and points is None and calendar is None:
        raise BadRequest("expected points or calendar with show=rate, got neither")
    zone = _zone(query)
    if zone is not None and calendar is None:
        raise BadRequest("expected calendar with zone, got none")
    return Asked(
        from_us,
        to_us,
        points,
        calendar,
        zone,
        shows_rate,
        format_,
        query.getlist("device"),
        query.getlist("metric"),
    )


def _check_names(query: QueryDict, known: tuple[str, ...]) -> None:
    for name in query:
        if name not in known:
            raise BadRequest(
                f"expected the parameters {', '.join(known)}, got {quoted(name)}"
            )
        if name in ONCE and len(query.getlist(name)) > 1:
            raise BadRequest(f"expected {name} once, got it several times")


def _moment(query: QueryDict, name: str, default_us: int, now_us: int) -> int:
    text = query.get(name)
    if text is None:
        return default_us
    try:
        moment = moments.parse_asked(text, now_us)
    except ValueError as error:
        raise BadRequest(f"{name}: {error}; got {quoted(text)}") from None
    if not MIN_TIME_US <= moment <= LATEST_US:
        raise BadRequest(
            f"{name}: expected a time from the year 2000 to 2100, got {quoted(text)}"
        )
    return moment


def _points(query: QueryDict) -> int | None:
    text = query.get("points")
    if text is None:
        return None
    most = int(conf.value("API_POINTS"))
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    if not is_number or not 1 <= int(text) <= most:
        raise BadRequest(
            f"points: expected a whole number from 1 to {most}, got {quoted(text)}"
        )
    return int(text)


def _calendar(query: QueryDict) -> str | None:
    text = query.get("calendar")
    if text not in (None, *UNITS):
        raise BadRequest(f"calendar: expected day, week or month, got {quoted(text)}")
    return text


def _zone(query: QueryDict) -> ZoneInfo | None:
    text = query.get("zone")
    if text is None:
        return None
    zone = zones.named(text)
    if zone is None:
        raise BadRequest(
            f"zone: expected a time zone such as Europe/Berlin, got {quoted(text)}"
        )
    return zone


def _shows_rate(query: QueryDict) -> bool:
    text = query.get("show")
    if text not in (None, "rate"):
        raise BadRequest(f"show: expected rate, or no show; got {quoted(text)}")
    return text is not None


def _format(request: HttpRequest) -> str:
    text = request.GET.get("format")
    if text is not None:
        if text not in MEDIA_TYPES.values():
            raise BadRequest(
                f"format: expected json, csv or parquet, got {quoted(text)}"
            )
        return text
    preferred = request.get_preferred_type(list(MEDIA_TYPES))
    if preferred is None:
        accepted = quoted(request.headers.get("Accept", ""))
        raise NotAcceptable(
            f"expected one of {', '.join(MEDIA_TYPES)} in Accept, got {accepted}"
        )
    return MEDIA_TYPES[preferred]
