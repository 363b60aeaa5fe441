"""The readings of a chart as a list, for its table and its file. Pure.

Each row is a reading, or a bucket of them, of one series: what the chart shows, in the
form in which the hub has it. By time, then in the order of the lines.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _

from ...devices.models import Kind
from ...history.queries.answer import Answer, SeriesBuckets
from ...history.tick import Floats, Int64s
from ..value_table import text_of

# What the numbers of a row are.
VALUE = ("value",)
SUMMARY = ("mean", "lowest", "highest", "readings")
# A value of this many decimals, above one and below, is read by people.
FEW_DECIMALS, MOST_DECIMALS = 2, 3
# So many bytes of a device's name are enough in a file's.
NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Line:
    """Whose a row is."""

    series: int
    slug: str
    device: str
    metric: str
    label: str
    unit: str
    kind: str
    decimals: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """All rows. numbers: one column for each of `columns`; line: index in `lines`."""

    lines: Sequence[Line]
    columns: tuple[str, ...]
    times_us: Int64s
    line: Int64s
    numbers: Floats

    def __len__(self) -> int:
        return len(self.times_us)


def listed(answer: Answer, lines: Sequence[Line]) -> Listed:
    """The rows of an answer."""
    columns = VALUE if answer.width_us is None else SUMMARY
    times: list[Int64s] = [np.zeros(0, np.int64)]
    places: list[Int64s] = [np.zeros(0, np.int64)]
    numbers: list[Floats] = [np.zeros((0, len(columns)))]
    for place, line in enumerate(lines):
        found = answer.series.get(line.series)
        if found is None:
            continue
        at_us, values = _rows(found, line.kind)
        times.append(at_us)
        places.append(np.full(len(at_us), place))
        numbers.append(values)
    all_times, all_places = np.concatenate(times), np.concatenate(places)
    order = np.lexsort((all_places, all_times))
    return Listed(
        lines,
        columns,
        all_times[order],
        all_places[order],
        np.concatenate(numbers)[order],
    )


def _rows(found: SeriesBuckets, kind: str) -> tuple[Int64s, Floats]:
    if found.raw is not None:
        times_us, values = found.raw
        return times_us, values.reshape(-1, 1)
    rows = found.summaries
    means = found.duty() if kind == Kind.BOOLEAN else rows.mean
    columns = (means, rows.minimum, rows.maximum, rows.count.astype(np.float64))
    return found.starts_us, np.column_stack(columns)


def column_words(columns: Sequence[str], kind: str) -> list[str]:
    """The heads of a table's columns."""
    words = {
        "value": _("Value"),
        "mean": _("Share of time on") if kind == Kind.BOOLEAN else _("Mean"),
        "lowest": _("Lowest"),
        "highest": _("Highest"),
        "readings": _("Readings"),
    }
    return [words[column] for column in columns]


def cell_texts(found: Listed, at: int, decimals: int) -> list[str]:
    """The numbers of a row as people read them."""
    line = found.lines[int(found.line[at])]
    texts = []
    for column, number in zip(found.columns, found.numbers[at].tolist(), strict=True):
        if column == "readings":
            texts.append(f"{int(number):,}")
        elif column == "mean" and line.kind == Kind.BOOLEAN:
            texts.append(_("%(n)s %%") % {"n": f"{100 * number:.1f}"})
        else:
            wanted = decimals if line.decimals is None else line.decimals
            texts.append(text_of(number, line.kind, wanted))
    return texts


def decimals_of(numbers: Floats) -> int:
    """How many decimals these values have, so that a column of them is even."""
    sizes = np.abs(numbers[np.isfinite(numbers)])
    sizes = sizes[sizes < 1e9]
    for decimals in range(MOST_DECIMALS):
        scaled = sizes * 10**decimals
        is_whole = np.abs(scaled - np.round(scaled)) < 1e-6 * np.maximum(1, scaled)
        is_enough = is_whole if decimals < FEW_DECIMALS else is_whole | (sizes >= 1)
        if is_enough.all():
            return decimals
    return MOST_DECIMALS


def csv_parts(found: Listed) -> Iterator[str]:
    """A file of all rows, a piece at a time. Times in UTC, so that every program reads
    them; a name never becomes a formula."""
    # The mark tells a spreadsheet how it is coded.
    head = ["time", "device", "name", "metric", "unit", *found.columns]
    yield f"\ufeff{_csv_rows([head])}"
    texts = np.datetime_as_string(found.times_us.astype("datetime64[us]"), unit="ms")
    names = [
        [_safe(each) for each in (line.slug, line.device, line.metric, line.unit)]
        for line in found.lines
    ]
    for start in range(0, len(found), 5_000):
        part = slice(start, start + 5_000)
        yield _csv_rows(
            [f"{time}Z", *names[line], *map(_number, numbers)]
            for time, line, numbers in zip(
                texts[part],
                found.line[part].tolist(),
                found.numbers[part].tolist(),
                strict=True,
            )
        )


def file_name(parts: Sequence[str], from_ms: int, to_ms: int) -> str:
    """Letters and digits of any language, the range in UTC."""
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", " ".join(parts)))
    stamps = [
        re.sub(r"[-:]", "", str(np.datetime64(ms // 1000, "s")))
        for ms in (from_ms, to_ms)
    ]
    return "-".join([words.strip("-")[:NAME_CHARACTERS] or "chart", *stamps]) + ".csv"


def _csv_rows(rows: object) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)  # type: ignore[arg-type]  # lists of texts
    return written.getvalue()


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _safe(text: str) -> str:
    return f"'{text}" if re.match(r"[=+\-@\t\r]", text) else text
