"""Makes the series that devices ask for. Runs on the database thread.

Two processes may make the same one: the unique constraint lets one through and both
read it back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import NamedTuple

from django.db import (
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
    transaction,
)

from .entries import SeriesEntry, SeriesWanted
from .entry_rows import series_of
from .models import Kind, Metric, Series

UNIT_CHARACTERS = 32
LABEL_CHARACTERS = 120
# Devices of one transaction, which holds up the commits of ingest.
TOGETHER = 100
# The database is away, or about to be: what failed may be tried again.
AWAY = (OperationalError, InterfaceError, InternalError)


class Wish(NamedTuple):
    """What one device would like: series to make, and some to fill where empty."""

    device_id: int
    new: tuple[SeriesWanted, ...]
    fill: tuple[SeriesWanted, ...] = ()


# All living series of a device by name, or why the wish could not be met.
Made = dict[str, SeriesEntry] | DatabaseError


def make_series(wish: Wish) -> dict[str, SeriesEntry]:
    """Make what is missing, fill what is empty; all living series of the device.

    A device's word goes before the catalogue (Metric), and the catalogue fills what
    the device left open. What somebody wrote stays as it is.
    """
    return _make([wish])[wish.device_id]


def make_together(wished: Collection[Wish]) -> dict[Wish, Made]:
    """`make_series` for each: a fleet's first messages are a few transactions.

    A wish that cannot be met, such as that of a device that is no more, spoils no
    other one. Raises `AWAY`.
    """
    made: dict[Wish, Made] = {}
    # Sorted: two processes that make the same rows do so in the same order.
    ordered = sorted(wished, key=attrgetter("device_id"))
    for start in range(0, len(ordered), TOGETHER):
        made |= _make_part(ordered[start : start + TOGETHER])
    return made


def _make_part(wished: Sequence[Wish]) -> dict[Wish, Made]:
    try:
        series = _make(wished)
    except AWAY:
        raise
    except DatabaseError as error:
        if len(wished) == 1:
            return {wished[0]: error}
        alone = [_make_part([wish]) for wish in wished]
        return {wish: each for part in alone for wish, each in part.items()}
    return {wish: series[wish.device_id] for wish in wished}


def _make(wished: Sequence[Wish]) -> dict[int, dict[str, SeriesEntry]]:
    with transaction.atomic():
        new = {wanted.name for wish in wished for wanted in wish.new}
        if new:
            catalogue = Metric.objects.in_bulk(list(new), field_name="name")
            rows = [
                _row(wish.device_id, wanted, catalogue.get(wanted.name))
                for wish in wished
                for wanted in wish.new
            ]
            Series.objects.bulk_create(rows, ignore_conflicts=True)
        for wish in wished:
            for wanted in wish.fill:
                _fill(wish.device_id, wanted)
    return series_of({wish.device_id for wish in wished})


def _fill(device_id: int, wanted: SeriesWanted) -> None:
    for column, text in _told(wanted).items():
        rows = Series.objects.alive().filter(device_id=device_id, name=wanted.name)
        rows.filter(**{column: ""}).update(**{column: text})


def has_to_fill(entry: SeriesEntry, wanted: SeriesWanted) -> bool:
    """Whether the device tells something that the series leaves open. Pure."""
    return any(not getattr(entry, column) for column in _told(wanted))


def _row(device_id: int, wanted: SeriesWanted, metric: Metric | None) -> Series:
    told = _told(wanted)
    series = Series(device_id=device_id, name=wanted.name, **told)
    series.kind = wanted.kind or (metric.kind if metric else Kind.NUMBER)
    if metric is not None:
        series.unit = series.unit or metric.unit
        series.label = series.label or metric.label
        series.decimals = metric.decimals
    return series


def _told(wanted: SeriesWanted) -> dict[str, str]:
    """Unit and label, if the device gave them, as a column can hold them."""
    told = {
        "unit": clean(wanted.unit, UNIT_CHARACTERS),
        "label": clean(wanted.label, LABEL_CHARACTERS),
    }
    return {column: text for column, text in told.items() if text}


def clean(text: str, most_characters: int) -> str:
    """What a device said, as one line that a column of this length can hold."""
    # PostgreSQL refuses NUL, and a page has no use for control characters.
    printable = "".join(character for character in text if character.isprintable())
    return printable.strip()[:most_characters]
