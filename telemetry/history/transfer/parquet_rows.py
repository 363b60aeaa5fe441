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
BUFFER_BYTES = 65_536
EXTRA = "requirements-parquet.txt"


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
        _check_size(opened.metadata, set(columns.values()), most_bytes)
        line = 1
        for batch in opened.iter_batches(
            BATCH_ROWS, columns=list(columns.values()), use_threads=False
        ):
            yield _Rows(pa, pc, batch, columns, line).slice()
            line += batch.num_rows
    except (pa.ArrowException, OSError) as error:
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


def _check_size(metadata: Any, columns: set[str], most_bytes: int | None) -> None:
    if most_bytes is None:
        return
    size = metadata.num_rows * READING_BYTES
    for at in range(metadata.num_row_groups):
        group = metadata.row_group(at)
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in columns:
                size += column.total_uncompressed_size
    if size > most_bytes:
        raise TooLong(f"expected a file that opens to at most {most_bytes} bytes")


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
        column = self._batch.column(self._names[name])
        if self._pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        return column

    def _times(self) -> tuple[list[str] | None, Int64s]:
        """Times, and what they were written as, where that is text."""
        pa, column = self._pa, self._column("time")
        if _is_text(pa, column.type):
            texts = [text or "" for text in column.to_pylist()]
            return texts, moments.parse_all(texts, INVALID_US)
        exact = self._pc.cast(column, pa.timestamp("us", tz="UTC"), safe=False)
        plain = self._pc.fill_null(exact.cast(pa.int64()), INVALID_US)
        times_us: Int64s = plain.to_numpy(zero_copy_only=False)
        return None, times_us

    def _values(self) -> tuple[Any, list[str | None], str]:
        """Numbers (NaN for none), texts (None for none), the kind that they show."""
        pa, column = self._pa, self._column("value")
        count, kind = len(column), ""
        texts: list[str | None] = [None] * count
        if "text" in self._names:
            texts = self._column("text").to_pylist()
        if _is_text(pa, column.type):
            cells = column.to_pylist()
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
            encoded = self._column(name).dictionary_encode()
            texts = [(text or "").strip() for text in encoded.dictionary.to_pylist()]
            # One more for null.
            columns.append([*texts, ""])
            indices = self._pc.fill_null(encoded.indices, len(texts))
            codes = codes * (len(texts) + 1) + indices.to_numpy(zero_copy_only=False)
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
