"""Readings as JSON: times in milliseconds, columns of one length a series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..devices.models import Kind
from ..history.queries.answer import Missing, SeriesBuckets
from ..history.queries.texts import Timeline
from ..history.tick import Floats, Int64s
from ..history.transfer.export import Named
from ..protocol import clock


@dataclass
class Found:
    """What goes into one answer; by series id.

    width_us: None for the readings themselves, and for buckets of the calendar, of
    which calendar and zone tell. resolution_seconds: of the coarsest that is stored
    of the range, 0 where all readings are. raw_from_us: of readings, from when on they
    are all there; None if the whole range is.
    """

    from_us: int
    to_us: int
    width_us: int | None
    resolution_seconds: int
    buckets: dict[int, SeriesBuckets] = field(default_factory=dict)
    readings: dict[int, list[tuple[Int64s, Floats]]] = field(default_factory=dict)
    timelines: dict[int, Timeline] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    raw_from_us: int | None = None
    calendar: str | None = None
    zone: str = ""


def body(found: Found, wanted: Iterable[Named], shows_rate: bool) -> dict[str, Any]:
    """The answer to a request; a series without readings has empty columns."""
    named = {"calendar": found.calendar, "zone": found.zone}
    whole = {
        "from": clock.to_ms(found.from_us),
        "to": clock.to_ms(found.to_us),
        "width_ms": None if found.width_us is None else clock.to_ms(found.width_us),
        **(named if found.calendar is not None else {}),
        "resolution_seconds": found.resolution_seconds,
        "series": [_series(found, series, shows_rate) for series in wanted],
        "missing": [
            {
                "series": each.series,
                "from": clock.to_ms(each.start_us),
                "to": clock.to_ms(each.end_us),
                "resolution_seconds": each.resolution_seconds,
            }
            # A block that two pages share is met twice.
            for each in dict.fromkeys(found.missing)
        ],
    }
    if found.width_us is None and found.calendar is None:
        us = found.raw_from_us
        whole["raw_from"] = None if us is None else clock.to_ms(us)
    return whole


def _series(found: Found, series: Named, shows_rate: bool) -> dict[str, Any]:
    named = {
        "id": series.id,
        "device": series.device,
        "metric": series.metric,
        "kind": series.kind,
        "unit": series.unit,
    }
    if series.kind == Kind.TEXT:
        timeline = found.timelines[series.id]
        last_us = timeline.last_us
        return named | {
            "states": [
                [clock.to_ms(from_us), clock.to_ms(to_us), text]
                for from_us, to_us, text in timeline.states
            ],
            "last": None if last_us is None else clock.to_ms(last_us),
        }
    is_boolean = series.kind == Kind.BOOLEAN
    if series.id not in found.buckets:
        return named | _readings(found.readings.get(series.id, []), is_boolean)
    return named | _buckets(found.buckets[series.id], is_boolean, shows_rate)


def _readings(parts: list[tuple[Int64s, Floats]], is_boolean: bool) -> dict[str, Any]:
    times: list[float] = []
    values: list[Any] = []
    for times_us, some in parts:
        times += _ms(times_us)
        values += (some != 0).tolist() if is_boolean else some.tolist()
    return {"times": times, "values": values}


def _buckets(
    found: SeriesBuckets, is_boolean: bool, shows_rate: bool
) -> dict[str, Any]:
    rows = found.summaries
    before = found.before
    columns: dict[str, Any] = {
        "times": _ms(found.starts_us),
        "count": rows.count.tolist(),
        "min": rows.minimum.tolist(),
        "max": rows.maximum.tolist(),
        "mean": rows.mean.tolist(),
        "sum": rows.sum.tolist(),
        "first": rows.first.tolist(),
        "last": rows.last.tolist(),
        "before": None if before is None else [clock.to_ms(before[0]), before[1]],
    }
    if is_boolean:
        columns["duty"] = found.duty().tolist()
    elif shows_rate:
        # NaN, where nothing is known, is null in JSON.
        columns["rate"] = found.rate().tolist()
    return columns


def _ms(times_us: Int64s) -> list[Any]:
    """Milliseconds, as integers where all are whole."""
    if (times_us % 1000).any():
        fractions: list[Any] = (times_us / 1000).tolist()
        return fractions
    whole: list[Any] = (times_us // 1000).tolist()
    return whole
