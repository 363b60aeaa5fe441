"""Readings ↔ lines of CSV: one reading a line, exact to the bit.

    device,metric,kind,unit,time,value
    boiler-7,temp,number,°C,2026-11-22T16:05:00.000000Z,21.5

Numbers are the shortest text that reads back the same bits, booleans `true` and
`false`; texts are always in quotes, so that an empty one is seen. Lines end with LF.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

from ...devices.models import Kind
from ...protocol.clock import INVALID_US
from ...protocol.errors import quoted
from . import moments
from .export import Named, Page
from .incoming import BadFile, Key, Part, Slice

COLUMNS = ("device", "metric", "kind", "unit", "time", "value")
NEEDED = ("metric", "time", "value")
HEADER = (",".join(COLUMNS) + "\n").encode()
# A megabyte of text.
SLICE_READINGS = 16_384
# Lines that are read before they are stored.
BATCH_LINES = 10_000
# Fewer, where they are long: memory is bounded.
BATCH_CHARACTERS = 4_000_000
# Of one record, all its lines together: a text has 256. Longer ones are refused
# before they are looked at.
RECORD_CHARACTERS = 16_384
_SPECIAL = frozenset(',"\r\n')


def encode(page: Page) -> Iterator[bytes]:
    """A page's readings as lines, about a megabyte at once."""
    start = _start(page.series)
    for at in range(0, len(page.times_us), SLICE_READINGS):
        part = slice(at, at + SLICE_READINGS)
        cells = _cells(page.series.kind, page.values[part])
        times = moments.write_all(page.times_us[part])
        yield "".join(
            [f"{start}{time},{cell}\n" for time, cell in zip(times, cells, strict=True)]
        ).encode()


def _start(series: Named) -> str:
    names = (series.device, series.metric, series.kind, series.unit)
    return "".join(
        f"{_quoted(name) if _SPECIAL & set(name) else name}," for name in names
    )


def _cells(kind: str, values: Any) -> list[str]:
    if kind == Kind.TEXT:
        return [_quoted(value) for value in values]
    if kind == Kind.BOOLEAN:
        return ["true" if value else "false" for value in values.tolist()]
    return list(map(repr, values.tolist()))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def decode(file: BinaryIO) -> Generator[Slice, None, None]:
    """What a file holds, some thousand lines at once.

    file: UTF-8, with a header; its columns in any order, others are left out. Raises
    BadFile for a file that is none of this kind.
    """
    # Bytes that are no UTF-8 end up in one cell, which is then refused.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        records = _Records(text)
        columns = _columns(_first(records))
        width = max(columns.values()) + 1
        while True:
            made = _Lines(columns, width)
            is_last = made.fill(records)
            yield made.slice()
            if is_last:
                return
    finally:
        # The file is its owner's to close.
        text.detach()


class _Records:
    """The records of a text. One that is too long raises csv.Error; the next line
    after it begins another.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._in_record = 0
        # The last line of the last record, from 1; and how much is read.
        self.line = 0
        self.characters = 0
        self._reader = csv.reader(iter(self._line, ""))

    def next(self) -> list[str] | None:
        """The next one; None: there are no more."""
        self._in_record = 0
        return next(self._reader, None)

    def _line(self) -> str:
        # A cell in quotes may go over as many lines as it likes.
        room = RECORD_CHARACTERS - self._in_record
        line = self._text.readline(room + 1)
        self.line += bool(line)
        if len(line) > room:
            self._skip_rest_of(line)
            raise csv.Error(f"more than {RECORD_CHARACTERS} characters in a record")
        self._in_record += len(line)
        self.characters += len(line)
        return line

    def _skip_rest_of(self, line: str) -> None:
        self.characters += len(line)
        while line and line[-1] not in "\r\n":
            line = self._text.readline(RECORD_CHARACTERS)
            self.characters += len(line)


def _first(records: _Records) -> list[str]:
    try:
        header = records.next()
    except csv.Error as error:
        raise BadFile(f"expected a header of CSV, got {error}") from None
    if header is None:
        raise BadFile(f"expected a header such as {','.join(COLUMNS)}, got nothing")
    return header


def _columns(header: list[str]) -> dict[str, int]:
    """Where each known column is."""
    names = [name.strip().casefold() for name in header]
    columns = {name: names.index(name) for name in COLUMNS if name in names}
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise BadFile(
            f"expected a header with the columns {', '.join(NEEDED)}, "
            f"got none named {', '.join(missing)}"
        )
    double = [name for name in columns if names.count(name) > 1]
    if double:
        raise BadFile(f"expected each column once, got {', '.join(double)} twice")
    return columns


class _Lines:
    """Some thousand lines, by the series that they name."""

    def __init__(self, columns: dict[str, int], width: int) -> None:
        self._width = width
        self._names = [columns.get(name) for name in ("device", "metric")]
        self._hints = [columns.get(name) for name in ("kind", "unit")]
        self._time, self._value = columns["time"], columns["value"]
        self._made = Slice()
        self._cells: dict[Key, tuple[list[int], list[str], list[str]]] = {}

    def fill(self, records: _Records) -> bool:
        """Take lines in; True: there are no more."""
        most = records.characters + BATCH_CHARACTERS
        for _ in range(BATCH_LINES):
            if records.characters >= most:
                return False
            try:
                row = records.next()
            except csv.Error as error:
                self._made.refuse(records.line, f"expected a line of CSV: {error}")
                continue
            if row is None:
                return True
            if len(row) < self._width:
                # An empty line is none.
                if row:
                    self._made.refuse(
                        records.line,
                        f"expected {self._width} cells or more, got {len(row)}: "
                        + quoted(row[0]),
                    )
                continue
            self._add(row, records.line)
        return False

    def _add(self, row: list[str], line: int) -> None:
        device, metric, kind, unit = (
            "" if at is None else row[at].strip() for at in (*self._names, *self._hints)
        )
        key = Key(device, metric, kind, unit)
        cells = self._cells.get(key)
        if cells is None:
            cells = self._cells[key] = ([], [], [])
        lines, times, values = cells
        lines.append(line)
        times.append(row[self._time])
        values.append(row[self._value])

    def slice(self) -> Slice:
        for key, (lines, times, values) in self._cells.items():
            times_us = moments.parse_all(times, INVALID_US)
            self._made.parts.append(Part(key, lines, times_us, times, values))
        return self._made
