"""A recorded data set: a CSV file as the readings of one device.

The file is read twice, never held: `survey` checks every line and decides what each
column is, `rows` gives the readings. Nothing is guessed in silence: the survey
says what it took for what.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from pathlib import Path
from typing import Final, Literal

from ..protocol.limits import MAX_SAFE_INTEGER, Limits
from ..protocol.messages import MetricHint, Value
from . import timecolumn
from .timecolumn import TimeKind

Kind = Literal["number", "boolean", "text"]
# Names by which a time column is found, in this order, if none is named.
TIME_NAMES: Final = (
    "time",
    "timestamp",
    "datetime",
    "date_time",
    "date",
    "ts",
    "observed_at",
    "elapsed",
    "seconds",
)
NOTHING: Final = frozenset({"", "nan", "na", "n/a", "null", "nil", "none"})
BOOLEANS: Final = {"true": True, "false": False}
TEXT_CHARACTERS: Final = Limits().text_characters
NAME_CHARACTERS: Final = 64

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_INTEGER = re.compile(r"[+-]?\d+\Z")
# “temperature (°C)”, “flow [l/min]”: a name with its unit.
_WITH_UNIT = re.compile(r"(.+?)\s*[(\[]([^)\]]{1,32})[)\]]\Z")


class BadRecording(ValueError):
    """The file cannot be replayed; one sentence with line, expected and got."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller knows better than the rules.

    columns: header → metric name (empty: made from the header); none: all columns.
    zone: that of dates without one.
    """

    time_column: str | None = None
    time_kind: TimeKind | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo = timezone.utc


@dataclass(frozen=True, slots=True)
class Column:
    """A column that becomes a metric. `why` says what made it a text."""

    index: int
    header: str
    metric: str
    unit: str
    kind: Kind
    why: str = ""

    @property
    def hint(self) -> MetricHint:
        label = self.header if self.header != self.metric else ""
        return MetricHint(unit=self.unit, label=label[:120], kind=self.kind)


@dataclass(frozen=True, slots=True)
class Recording:
    """A surveyed file. Times are µs; elapsed ones count from their own zero."""

    path: Path
    delimiter: str
    time_header: str
    time_index: int
    time_kind: TimeKind
    zone: tzinfo
    columns: tuple[Column, ...]
    dropped: tuple[str, ...]
    row_count: int
    first_us: int
    min_us: int
    max_us: int

    def rows(self) -> Iterator[tuple[int, list[Value]]]:
        """(time µs, one value a column) in the order of the file."""
        lines = _lines(self.path, self.delimiter)
        next(lines)
        for number, cells in lines:
            time_us = _time_us(self, number, cells)
            yield time_us, [_value(column, cells) for column in self.columns]

    @property
    def hints(self) -> dict[str, MetricHint]:
        return {column.metric: column.hint for column in self.columns}


def survey(path: Path, options: Options) -> Recording:
    """Read the whole file once and say what is in it. Raises BadRecording."""
    delimiter = _delimiter(path)
    lines = _lines(path, delimiter)
    header = [cell.strip() for cell in next(lines)[1]]
    time_index = _time_index(header, options.time_column)
    chosen = _chosen(header, time_index, options.columns)
    guesses = {index: _Guess() for index in chosen}
    kind = options.time_kind
    count, first, lowest, highest = 0, 0, 0, 0
    for number, cells in lines:
        try:
            if kind is None:
                kind = timecolumn.detect(cells[time_index])
            time_us = timecolumn.parse(kind, cells[time_index], options.zone)
        except ValueError as error:
            where = f"line {number}, column “{header[time_index]}”"
            raise BadRecording(f"{where}: {error}") from None
        if not count:
            first = lowest = highest = time_us
        lowest, highest = min(lowest, time_us), max(highest, time_us)
        count += 1
        for index, guess in guesses.items():
            guess.see(cells[index].strip(), number, header[index])
    if kind is None:
        raise BadRecording("expected rows below the header, got none")
    columns = _columns(header, chosen, guesses)
    if not columns:
        raise BadRecording("expected a column with values beside the time, got none")
    kept = {time_index} | {column.index for column in columns}
    return Recording(
        path=path,
        delimiter=delimiter,
        time_header=header[time_index],
        time_index=time_index,
        time_kind=kind,
        zone=options.zone,
        columns=columns,
        dropped=tuple(
            name or f"column {index + 1}, which has no name"
            for index, name in enumerate(header)
            if index not in kept
        ),
        row_count=count,
        first_us=first,
        min_us=lowest,
        max_us=highest,
    )


def metric_name(header: str) -> tuple[str, str]:
    """A header as (metric name, unit): “Air temp. (°C)” → (“Air_temp”, “°C”).

    What a metric's name may not hold becomes “_”; accents are dropped. The name is
    empty where nothing is left.
    """
    unit = ""
    match = _WITH_UNIT.match(header.strip())
    if match:
        header, unit = match[1], match[2].strip()
    plain = unicodedata.normalize("NFKD", header).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.:/-]+", "_", plain).strip("_.:/-")
    if name and not re.match(r"[A-Za-z_]", name):
        name = f"_{name}"
    return name[:NAME_CHARACTERS], unit


@dataclass(slots=True)
class _Guess:
    """What a column can still be, after all the cells so far."""

    can_be_number: bool = True
    can_be_boolean: bool = True
    is_empty: bool = True
    why: str = ""

    def see(self, cell: str, line: int, header: str) -> None:
        lower = cell.lower()
        if lower in NOTHING:
            return
        self.is_empty = False
        if lower not in BOOLEANS:
            self.can_be_boolean = False
        if not _NUMBER.match(cell):
            if self.can_be_number and not self.can_be_boolean:
                self.why = f"line {line} has “{cell[:30]}”"
            self.can_be_number = False
        elif self.can_be_number and not math.isfinite(float(cell)):
            raise BadRecording(
                f"line {line}, column “{header}”: expected a finite number, "
                f"got “{cell[:60]}”"
            )
        if self.kind == "text" and len(cell) > TEXT_CHARACTERS:
            raise BadRecording(
                f"line {line}, column “{header}”: expected a text of at most "
                f"{TEXT_CHARACTERS} characters, got {len(cell)}"
            )

    @property
    def kind(self) -> Kind:
        if self.can_be_boolean:
            return "boolean"
        return "number" if self.can_be_number else "text"


def _value(column: Column, cells: Sequence[str]) -> Value:
    cell = cells[column.index].strip()
    if cell.lower() in NOTHING:
        return None
    if column.kind == "boolean":
        return BOOLEANS[cell.lower()]
    if column.kind == "text":
        return cell
    if _INTEGER.match(cell) and abs(int(cell)) <= MAX_SAFE_INTEGER:
        return int(cell)
    return float(cell)


def _time_us(recording: Recording, line: int, cells: Sequence[str]) -> int:
    try:
        return timecolumn.parse(
            recording.time_kind, cells[recording.time_index], recording.zone
        )
    except ValueError as error:
        # The survey had read this line: the file changed since.
        raise BadRecording(f"line {line}: {error}") from None


def _columns(
    header: Sequence[str], chosen: Mapping[int, str], guesses: Mapping[int, _Guess]
) -> tuple[Column, ...]:
    columns: list[Column] = []
    taken: set[str] = set()
    for index, wanted in chosen.items():
        guess = guesses[index]
        if guess.is_empty:
            continue
        made, unit = metric_name(header[index])
        name = wanted or made or f"column_{index + 1}"
        base, copy = name, 2
        while name in taken:
            name, copy = f"{base[: NAME_CHARACTERS - 4]}_{copy}", copy + 1
        taken.add(name)
        why = guess.why if guess.kind == "text" else ""
        columns.append(Column(index, header[index], name, unit, guess.kind, why))
    return tuple(columns)


def _chosen(
    header: Sequence[str], time_index: int, columns: Mapping[str, str]
) -> dict[int, str]:
    """Index → wanted metric name, of the columns to send."""
    if not columns:
        # A column without a name is a row number, as pandas writes it.
        return {
            index: ""
            for index, name in enumerate(header)
            if name and index != time_index
        }
    return {_index(header, name): wanted for name, wanted in columns.items()}


def _time_index(header: Sequence[str], wanted: str | None) -> int:
    if wanted is not None:
        return _index(header, wanted)
    made = [metric_name(name)[0].lower() for name in header]
    for name in TIME_NAMES:
        if name in made:
            return made.index(name)
    raise BadRecording(
        f"line 1: expected a time column named {', '.join(TIME_NAMES)} or one named "
        f"by --time-column, got {_listed(header)}"
    )


def _index(header: Sequence[str], name: str) -> int:
    if name in header:
        return list(header).index(name)
    made = [metric_name(cell)[0] for cell in header]
    if name in made:
        return made.index(name)
    raise BadRecording(f"line 1: expected a column “{name}”, got {_listed(header)}")


def _listed(header: Sequence[str]) -> str:
    shown = ", ".join(f"“{name[:40]}”" for name in header[:12])
    return shown + (f" and {len(header) - 12} more" if len(header) > 12 else "")


def _delimiter(path: Path) -> str:
    """The one of comma, semicolon and tab that the header has most of."""
    with _open(path) as file:
        try:
            header = file.readline(65_536)
        except (UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
            raise BadRecording(_unreadable(1, error)) from None
    return max(",;\t", key=header.count)


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells), the header first; each with as many cells as it."""
    line = 0
    with _open(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        width: int | None = None
        try:
            for cells in reader:
                line = reader.line_num
                if not any(cells):
                    continue
                if width is None:
                    width = len(cells)
                if len(cells) != width:
                    raise BadRecording(
                        f"line {line}: expected {width} cells as in the header, "
                        f"got {len(cells)}"
                    )
                yield line, cells
        except (csv.Error, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
            raise BadRecording(_unreadable(line + 1, error)) from None
    if width is None:
        raise BadRecording("line 1: expected a header, got an empty file")


def _open(path: Path) -> io.TextIOWrapper:
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise BadRecording(
            f"expected a readable file, got “{path}”: {error.strerror}"
        ) from None
    opened = gzip.open if is_gzip else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


def _unreadable(line: int, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        return f"line {line} or after: expected UTF-8, got the byte 0x{byte:02x}"
    return f"line {line}: expected CSV, got what cannot be read: {str(error)[:100]}"
