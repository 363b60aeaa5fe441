"""`GET /api/v1/readings` and `/api/v1/series/<id>/readings`: readings, or buckets.

JSON is bounded; CSV and Parquet have the readings themselves, streamed.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from .. import conf
from ..devices import zones
from ..devices.models import Kind
from ..history.blocks import TIER_SECONDS
from ..history.queries import turns
from ..history.queries.answer import Answer, Missing
from ..history.queries.buckets import read_buckets, read_edges
from ..history.queries.calendar_buckets import calendar_edges
from ..history.queries.ladder import BadRange, TooMuch
from ..history.queries.texts import Timeline, read_timelines
from ..history.tail import Tail
from ..history.transfer import csv_rows, export, moments, parquet_rows
from ..history.transfer.export import Named
from ..protocol import clock
from ..protocol.errors import BadRequest, Busy, NotFound, TooLarge, quoted
from . import answers
from .answers import Found
from .asked import CSV, JSON, MEDIA_TYPES, PARQUET, Asked, asked_of
from .askers import Asker, asker_of, tail_of
from .errors import NotAcceptable, answering
from .streams import Stream, download
from .turns import Turns

# Each takes a thread, also while it waits for its turn to read.
READS = Turns("API_READS", "requests for readings")
# Of one device or person: the others are answered, too.
READS_EACH = 4


@answering("GET")
async def of_series(request: HttpRequest, id: str) -> HttpResponseBase:
    """The readings of one series."""
    asker = await asker_of(request)
    asked = asked_of(request, clock.now_us(), names_series=True)
    with READS.take(asker.who, READS_EACH):
        wanted = await sync_to_async(_one)(asker, id)
        return await _answer(asker, wanted, asked, tail_of(request))


@answering("GET")
async def of_devices(request: HttpRequest) -> HttpResponseBase:
    """The readings of some devices' metrics."""
    asker = await asker_of(request)
    asked = asked_of(request, clock.now_us(), names_series=False)
    with READS.take(asker.who, READS_EACH):
        wanted = await sync_to_async(_named)(asker, asked)
        return await _answer(asker, wanted, asked, tail_of(request))


def _one(asker: Asker, id: str) -> list[Named]:
    is_number = id.isascii() and id.isdigit() and len(id) < 10
    found = export.named(asker.series().filter(pk=int(id))) if is_number else []
    if not found:
        raise NotFound(
            f"expected the id of a series that you may see, got {quoted(id)}"
        )
    return found


def _named(asker: Asker, asked: Asked) -> list[Named]:
    """The series of all devices and metrics that are asked for."""
    devices = asked.devices
    if not devices:
        if asker.device is None:
            raise BadRequest("expected the slug of a device in device, got none")
        devices = [asker.device.slug]
    most = int(conf.value("API_SERIES"))
    if len(devices) > most or len(asked.metrics) > most:
        raise BadRequest(f"expected at most {most} devices and metrics, got more")
    visible = asker.devices().filter(slug__in=_askable(devices))
    known = set(visible.values_list("slug", flat=True))
    for slug in devices:
        if slug not in known:
            raise NotFound(
                f"expected the slug of a device that you may see, got {quoted(slug)}"
            )
    series = asker.series().filter(device__slug__in=devices)
    if asked.metrics:
        series = series.filter(name__in=_askable(asked.metrics))
    found = export.named(series)
    metrics = {each.metric for each in found}
    for name in asked.metrics:
        if name not in metrics:
            raise NotFound(f"expected a metric of these devices, got {quoted(name)}")
    return found


def _askable(names: list[str]) -> list[str]:
    """Those that may be something's name: PostgreSQL refuses to look for a NUL."""
    return [name for name in names if "\0" not in name]


async def _answer(
    asker: Asker, wanted: list[Named], asked: Asked, tail: Tail | None
) -> HttpResponseBase:
    if asked.format == JSON:
        if asked.calendar is not None and asked.zone is None:
            asked = replace(asked, zone=await sync_to_async(asker.zone)())
        content = await sync_to_async(_json)(wanted, asked, tail)
        return HttpResponse(content, content_type="application/json")
    if asked.format == PARQUET:
        try:
            await sync_to_async(parquet_rows.require)()
        except parquet_rows.Missing as error:
            raise NotAcceptable(str(error)) from None
    media_type = next(
        each for each, name in MEDIA_TYPES.items() if name == asked.format
    )
    if asked.format == CSV:
        media_type += "; charset=utf-8"
    raw_from_us = await sync_to_async(export.raw_from_us)(
        wanted, asked.from_us, asked.to_us
    )
    stream = Stream(_pieces(wanted, asked, tail), asker.who)
    response = download(stream, media_type, f"readings.{asked.format}")
    if raw_from_us is not None:
        response["Telemetry-Raw-From"] = moments.write(raw_from_us)
    return response


def _pieces(
    wanted: list[Named], asked: Asked, tail: Tail | None
) -> Generator[bytes, None, None]:
    pages = export.pages(wanted, asked.from_us, asked.to_us, tail)
    if asked.format == PARQUET:
        yield from parquet_rows.encode(pages)
        return
    yield csv_rows.HEADER
    for page in pages:
        yield from csv_rows.encode(page)


def _json(wanted: list[Named], asked: Asked, tail: Tail | None) -> bytes:
    most = int(conf.value("API_SERIES"))
    if len(wanted) > most:
        raise TooLarge(f"expected at most {most} series, got {len(wanted)}")
    try:
        with turns.turn():
            found = _found(wanted, asked, tail)
            body: dict[str, Any] = answers.body(found, wanted, asked.shows_rate)
    except turns.Busy:
        raise Busy(
            "expected an idle reader, but others are reading; try again"
        ) from None
    return msgspec.json.encode(body)


def _found(wanted: list[Named], asked: Asked, tail: Tail | None) -> Found:
    most = int(conf.value("API_READINGS"))
    numbers = [each for each in wanted if each.kind != Kind.TEXT]
    try:
        if asked.calendar is not None:
            found = _by_calendar(numbers, asked, asked.calendar, tail, most)
        elif asked.points is not None:
            found = _bucketed(numbers, asked, asked.points, tail, most)
        else:
            found = _raw(numbers, asked, tail, most)
        found.timelines = _timelines(wanted, asked, most)
    except TooMuch as error:
        raise TooLarge(str(error)) from None
    except BadRange as error:
        raise BadRequest(str(error)) from None
    return found


def _raw(numbers: list[Named], asked: Asked, tail: Tail | None, most: int) -> Found:
    missing: list[Missing] = []
    found = Found(asked.from_us, asked.to_us, None, 0, missing=missing)
    count = 0
    for page in export.pages(
        numbers, asked.from_us, asked.to_us, tail, most, missing=missing
    ):
        count += len(page.times_us)
        if count > most:
            raise TooLarge(
                f"expected at most {most} readings in the range, got more: ask for "
                "buckets with points, or for CSV or Parquet, which have no bound"
            )
        parts = found.readings.setdefault(page.series.id, [])
        if not isinstance(page.values, list):
            parts.append((page.times_us, page.values))
    found.raw_from_us = export.raw_from_us(numbers, asked.from_us, asked.to_us)
    if found.raw_from_us is not None:
        found.resolution_seconds = TIER_SECONDS
    return found


def _bucketed(
    numbers: list[Named], asked: Asked, points: int, tail: Tail | None, most: int
) -> Found:
    _check_points(points, numbers, most)
    answer = read_buckets(
        [each.id for each in numbers],
        asked.from_us,
        asked.to_us,
        points,
        tail=tail,
        most_readings=int(conf.value("READ_READINGS")),
        raw_if_few=False,
        with_area=_with_area(numbers, asked),
    )
    return _found_in(answer)


def _by_calendar(
    numbers: list[Named], asked: Asked, unit: str, tail: Tail | None, most: int
) -> Found:
    zone = asked.zone or zones.UTC
    edges_us = calendar_edges(asked.from_us, asked.to_us, unit, zone)
    _check_points(len(edges_us) - 1, numbers, most)
    answer = read_edges(
        [each.id for each in numbers],
        edges_us,
        tail=tail,
        most_readings=int(conf.value("READ_READINGS")),
        with_area=_with_area(numbers, asked),
    )
    found = _found_in(answer)
    found.calendar, found.zone = unit, zone.key
    return found


def _check_points(points: int, numbers: list[Named], most: int) -> None:
    if points * len(numbers) > most:
        raise TooLarge(
            f"expected at most {most} points of all series, "
            f"got {points} of each of {len(numbers)}"
        )


def _with_area(numbers: list[Named], asked: Asked) -> list[int]:
    """Of which duty or rate is answered: the others take half the time."""
    return [
        each.id for each in numbers if asked.shows_rate or each.kind == Kind.BOOLEAN
    ]


def _found_in(answer: Answer) -> Found:
    return Found(
        answer.from_us,
        answer.to_us,
        answer.width_us,
        answer.resolution_seconds,
        answer.series,
        missing=answer.missing,
    )


def _timelines(wanted: list[Named], asked: Asked, most: int) -> dict[int, Timeline]:
    ids = [each.id for each in wanted if each.kind == Kind.TEXT]
    return read_timelines(
        ids, asked.from_us, asked.to_us, held_to_us=clock.now_us(), most_states=most
    )
