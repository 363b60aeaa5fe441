"""Makes the series that devices ask for. Runs on the database thread.

Two processes may make the same one: the unique constraint lets one through and both
read it back.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from .entries import SeriesEntry, SeriesWanted
from .entry_rows import series_of
from .models import Kind, Metric, Series

UNIT_CHARACTERS = 32
LABEL_CHARACTERS = 120


def make_series(
    device_id: int, new: Sequence[SeriesWanted], fill: Sequence[SeriesWanted]
) -> dict[str, SeriesEntry]:
    """Make `new` where missing, fill what is empty of `fill`; all living series.

    A device's word goes before the catalogue (Metric), and the catalogue fills what
    the device left open. What somebody wrote stays as it is.
    """
    with transaction.atomic():
        if new:
            Series.objects.bulk_create(_rows(device_id, new), ignore_conflicts=True)
        for wanted in fill:
            for column, text in _told(wanted).items():
                rows = Series.objects.alive().filter(device_id=device_id)
                empty = rows.filter(name=wanted.name, **{column: ""})
                empty.update(**{column: text})
    return series_of([device_id])[device_id]


def has_to_fill(entry: SeriesEntry, wanted: SeriesWanted) -> bool:
    """Whether the device tells something that the series leaves open. Pure."""
    return any(not getattr(entry, column) for column in _told(wanted))


def _rows(device_id: int, new: Sequence[SeriesWanted]) -> list[Series]:
    catalogue = Metric.objects.in_bulk([w.name for w in new], field_name="name")
    return [_row(device_id, wanted, catalogue.get(wanted.name)) for wanted in new]


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
