"""Readings ↔ Apache Parquet: one reading a row, exact to the bit. Needs pyarrow.

Columns: device, metric, kind, unit; time, a timestamp of µs in UTC; value, a double
(booleans are 0 and 1), null in a row of kind text; text, null in all others.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from ...devices.models import Kind
from ...protocol.clock import INVALID_US
from ...protocol.limits import MAX_SAFE_INTEGER
from ..tick import Int64s
from . import moments
from .export import Page
from .incoming import BadFile, Key, Part, Slice, TooLong

NAMES = ("device", "metric", "kind", "unit")
NEEDED = ("metric", "time", "value")
COLUMNS = (*NAMES, "time", "value", "text")
# What a reading takes while it is looked at.
READING_BYTES = 20
GROUP_READINGS = 131_072
BATCH_ROWS = 10_000
# Fewer rows, where they are long: memory is bounded.
BATCH_BYTES = 4_000_000
# Of one name or text: a text has 256 characters. A file with longer ones is refused.
TEXT_BYTES = 16_384
BUFFER_BYTES = 65_536
EXTRA = "requirements-parquet.txt"
_UNIT_US = {"us": 1, "ms": 1_000, "s": 1_000_000}
# 9999-12-31T23:59:59Z: later ones cannot be written.
_FAR_US = 253_402_300_799_000_000


class Missing(Exception):
    """pyarrow is not installed: it is an extra."""

    def __init__(self) -> None:
        super().__init__(
            "expected pyarrow for Parquet, got none: "
            f"install it with pip install -r {EXTRA}"
        )


def require() -> tuple[Any, Any, Any]:
    """pyarrow, its compute and its parquet. Raises Missing."""
    try:
        # An extra, and 60 MB of memory: only for who asks for it.
        import pyarrow
        import pyarrow.compute  # Of the same extra.
        import pyarrow.parquet  # Of the same extra.
    except ImportError:
        raise Missing from None
    return pyarrow, pyarrow.compute, pyarrow.parquet


class _Sink:
    """A file that somebody else empties."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """There is nothing between this and its reader."""

    def close(self) -> None:
        """What was written stays."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def encode(pages: Iterable[Page]) -> Iterator[bytes]:
    """A file with these pages, a piece a row group. Raises Missing."""
    pa, _pc, pq = require()
    name = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            *((column, name) for column in NAMES),
            ("time", pa.timestamp("us", tz="UTC")),
            ("value", pa.float64()),
            ("text", pa.string()),
        ]
    )
    sink = _Sink()
    with pq.ParquetWriter(
        sink, schema, compression="zstd", use_dictionary=list(NAMES)
    ) as writer:
        gathered: list[Page] = []
        count = 0
        for page in pages:
            gathered.append(page)
            count += len(page.times_us)
            if count >= GROUP_READINGS:
                writer.write_table(_table(pa, schema, gathered), GROUP_READINGS)
                gathered, count = [], 0
                yield sink.take()
        if gathered:
            writer.write_table(_table(pa, schema, gathered), GROUP_READINGS)
    yield sink.take()


def _table(pa: Any, schema: Any, pages: Sequence[Page]) -> Any:
    lengths = [len(page.times_us) for page in pages]
    columns = [
        _named(pa, [getattr(page.series, column) for page in pages], lengths)
        for column in NAMES
    ]
    times_us = np.concatenate([page.times_us for page in pages])
    columns.append(pa.array(times_us).cast(schema.field("time").type))
    values, texts = [], []
    for page, length in zip(pages, lengths, strict=True):
        is_text = isinstance(page.values, list)
        nothing = pa.nulls(length, pa.float64() if is_text else pa.string())
        values.append(nothing if is_text else pa.array(page.values))
        texts.append(pa.array(page.values, pa.string()) if is_text else nothing)
    columns += [pa.chunked_array(values), pa.chunked_array(texts)]
    return pa.table(columns, schema=schema)


def _named(pa: Any, texts: Sequence[str], lengths: Sequence[int]) -> Any:
    """One text a page, as a column."""
    distinct = sorted(set(texts))
    codes = np.searchsorted(np.array(distinct, object), np.array(texts, object))
    indices = np.repeat(codes.astype(np.int32), lengths)
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(distinct))


def decode(
    file: BinaryIO, most_bytes: int | None = None
) -> Generator[Slice, None, None]:
    """What a file holds, some thousand rows at once; lines are rows, from 1.

    file: can seek. most_bytes: what it may open to. Raises BadFile, TooLong for one
    that opens to more, and Missing.
    """
    pa, pc, pq = require()
    try:
        opened = pq.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
        columns = _columns(pa, opened.schema_arrow)
        _check_size(opened.metadata, most_bytes)
        texts = [
            name
            for name in columns.values()
            if _is_text(pa, opened.schema_arrow.field(name).type)
        ]
        # Once each: a file of some kilobytes can have one long text in every row.
        opened = pq.ParquetFile(
            file,
            metadata=opened.metadata,
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            read_dictionary=texts,
        )
        line = 1
        for batch in opened.iter_batches(
            _batch_rows(opened.metadata),
            columns=list(columns.values()),
            use_threads=False,
        ):
            yield _Rows(pa, pc, batch, columns, line).slice()
            line += batch.num_rows
    # UnicodeDecodeError: a name or a text that is no UTF-8.
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        text = str(error).splitlines()[0][:200] if str(error) else "none"
        raise BadFile(f"expected a file of Apache Parquet: {text}") from None


def _columns(pa: Any, schema: Any) -> dict[str, str]:
    """Our name of each column that is of use, and the file's."""
    columns: dict[str, str] = {}
    for name in schema.names:
        ours = name.strip().casefold()
        if ours in columns:
            raise BadFile(f"expected each column once, got {ours} twice")
        if ours in COLUMNS:
            columns[ours] = name
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise BadFile(
            f"expected the columns {', '.join(NEEDED)}, "
            f"got none named {', '.join(missing)}"
        )
    time = schema.field(columns["time"]).type
    if not _is_text(pa, time) and not (pa.types.is_timestamp(time) and time.tz):
        raise BadFile(
            f"expected the column time as a timestamp with a zone, got {time}"
        )
    value = schema.field(columns["value"]).type
    is_known = (
        pa.types.is_floating(value)
        or pa.types.is_integer(value)
        or pa.types.is_boolean(value)
        or _is_text(pa, value)
    )
    if not is_known:
        raise BadFile(
            f"expected the column value as numbers, booleans or texts, got {value}"
        )
    for name in (*NAMES, "text"):
        if name in columns and not _is_text(pa, schema.field(columns[name]).type):
            came = schema.field(columns[name]).type
            raise BadFile(f"expected the column {name} as texts, got {came}")
    return columns


def _is_text(pa: Any, type_: Any) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _check_size(metadata: Any, most_bytes: int | None) -> None:
    if most_bytes is None:
        return
    size = metadata.num_rows * READING_BYTES
    size += sum(bytes_ for _rows, bytes_ in _groups(metadata))
    if size > most_bytes:
        raise TooLong(f"expected a file that opens to at most {most_bytes} bytes")


def _batch_rows(metadata: Any) -> int:
    """How many rows are about BATCH_BYTES, where they are longest."""
    per_row = [bytes_ // max(rows, 1) for rows, bytes_ in _groups(metadata)]
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, *per_row, 1)))


def _groups(metadata: Any) -> Iterator[tuple[int, int]]:
    """Rows of each row group, and what it opens to in bytes."""
    # Not of its columns: pyarrow ends the process where a damaged footer has them.
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        yield group.num_rows, group.total_byte_size


class _Rows:
    """Some thousand rows, by the series that they name."""

    def __init__(
        self, pa: Any, pc: Any, batch: Any, columns: dict[str, str], line: int
    ) -> None:
        self._pa, self._pc = pa, pc
        self._batch, self._names = batch, columns
        self._lines = np.arange(line, line + batch.num_rows)

    def slice(self) -> Slice:
        made = Slice()
        texts, times_us = self._times()
        numbers, cells, kind = self._values()
        has_text = np.array([cell is not None for cell in cells], np.bool_)
        for key, rows in self._groups(kind):
            for is_text in (False, True):
                some = rows[has_text[rows] == is_text]
                if not len(some):
                    continue
                here = some.tolist()
                made.parts.append(
                    Part(
                        key,
                        self._lines[some].tolist(),
                        times_us[some],
                        texts and [texts[at] for at in here],
                        [cells[at] or "" for at in here] if is_text else numbers[some],
                    )
                )
        return made

    def _column(self, name: str) -> Any:
        return self._batch.column(self._names[name])

    def _distinct(self, name: str) -> tuple[list[str], Int64s]:
        """The texts of a column, each once, and which of them each row has (or -1)."""
        column = self._column(name)
        if not self._pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        indices = self._pc.fill_null(column.indices.cast(self._pa.int64()), -1)
        used, codes = np.unique(
            indices.to_numpy(zero_copy_only=False), return_inverse=True
        )
        has_null = int(len(used) > 0 and used[0] < 0)
        texts = column.dictionary.take(self._pa.array(used[has_null:]))
        longest = self._pc.max(self._pc.binary_length(texts)).as_py() or 0
        if longest > TEXT_BYTES:
            raise BadFile(
                f"expected at most {TEXT_BYTES} bytes in a cell of the column {name}, "
                f"got {longest}"
            )
        return [text or "" for text in texts.to_pylist()], codes - has_null

    def _cells(self, name: str) -> list[str | None]:
        """The texts of a column, row by row; None for none."""
        texts, codes = self._distinct(name)
        cells = [*texts, None]
        return [cells[code] for code in codes.tolist()]

    def _times(self) -> tuple[list[str] | None, Int64s]:
        """Times, and what they were written as, where that is text."""
        pa, column = self._pa, self._column("time")
        if _is_text(pa, column.type):
            texts = [text or "" for text in self._cells("time")]
            return texts, moments.parse_all(texts, INVALID_US)
        plain = self._pc.fill_null(column.cast(pa.int64()), 0)
        times: Int64s = plain.to_numpy(zero_copy_only=False)
        if column.type.unit == "ns":
            times_us = times // 1000
        else:
            # What is too far for µs stays far: scaled, it could be any time.
            scale = _UNIT_US[column.type.unit]
            times_us = np.clip(times, -_FAR_US // scale, _FAR_US // scale) * scale
        is_none = column.is_null().to_numpy(zero_copy_only=False)
        return None, np.where(is_none, INVALID_US, times_us)

    def _values(self) -> tuple[Any, list[str | None], str]:
        """Numbers (NaN for none), texts (None for none), the kind that they show."""
        pa, column = self._pa, self._column("value")
        count, kind = len(column), ""
        texts: list[str | None] = [None] * count
        if "text" in self._names:
            texts = self._cells("text")
        if _is_text(pa, column.type):
            cells = self._cells("value")
            texts = [
                a if a is not None else b for a, b in zip(cells, texts, strict=True)
            ]
            return np.full(count, np.nan), texts, kind
        if pa.types.is_boolean(column.type):
            kind = Kind.BOOLEAN.value
        is_whole = pa.types.is_integer(column.type)
        doubles = self._pc.cast(column, pa.float64(), safe=False)
        numbers = self._pc.fill_null(doubles, np.nan).to_numpy(zero_copy_only=False)
        if is_whole:
            # Above it a whole number has lost its last digits.
            numbers = np.where(np.abs(numbers) > MAX_SAFE_INTEGER, np.nan, numbers)
        return numbers, texts, kind

    def _groups(self, kind: str) -> Iterator[tuple[Key, Int64s]]:
        """The rows of each series, in their order."""
        codes = np.zeros(self._batch.num_rows, np.int64)
        columns: list[list[str]] = []
        for name in NAMES:
            if name not in self._names:
                columns.append([])
                continue
            distinct, indices = self._distinct(name)
            # One more, and the first, for null.
            texts = ["", *(text.strip() for text in distinct)]
            columns.append(texts)
            codes = codes * len(texts) + indices + 1
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        for rows in np.split(order, starts[1:]) if len(order) else []:
            code = int(codes[rows[0]])
            found: list[str] = []
            for texts in reversed(columns):
                if texts:
                    code, at = divmod(code, len(texts))
                found.append(texts[at] if texts else "")
            device, metric, said, unit = reversed(found)
            yield Key(device, metric, said or kind, unit), rows
