"""What a hub's database holds, read past the hub; is it what was promised?"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from telemetry.history.journal import decode_columns
from telemetry.history.pack import unpack

METRIC = "count"
# Of what is wrong a message shows so much.
SHOWN = 20

# Rows of one statement.
Query = Callable[[str], Iterable[Sequence]]
Readings = defaultdict[int, list[tuple[int, int]]]


def stored_values(data_dir: Path) -> dict[str, list[int]]:
    """What the journal holds of each device, in order of arrival, repeats included.

    With blocks: what is in them, and what of the journal is not, in order.
    """
    with contextlib.closing(sqlite3.connect(data_dir / "hub.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        # One moment of the database for all that is read.
        database.execute("BEGIN")
        return _stored(lambda sql: database.execute(sql).fetchall())


def stored_on(url: str) -> dict[str, list[int]]:
    """The same of a PostgreSQL database."""
    import psycopg  # Only machines with PostgreSQL need it.

    with psycopg.connect(url, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return _stored(lambda sql: connection.execute(sql).fetchall())


def _stored(query: Query) -> dict[str, list[int]]:
    slugs = query(
        "SELECT s.id, d.slug FROM telemetry_series s"
        f" JOIN telemetry_device d ON d.id = s.device_id WHERE s.name = '{METRIC}'"
    )
    in_journal, in_blocks = _in_journal(query), _in_blocks(query)
    found: dict[str, list[int]] = {}
    for id_, slug in slugs:
        sealed = [value for _, value in in_blocks[id_]]
        # A pass that was killed leaves rows behind that are in blocks already.
        held = set(in_blocks[id_])
        rest = [reading[1] for reading in in_journal[id_] if reading not in held]
        if sealed or rest:
            found[slug] = sorted(sealed + rest) if sealed else rest
    return found


def _in_journal(query: Query) -> Readings:
    found: Readings = defaultdict(list)
    rows = query("SELECT columns FROM telemetry_journal ORDER BY writer_id, number")
    for (columns,) in rows:
        arrays = decode_columns(bytes(columns))
        for id_, time_us, value in zip(*(a.tolist() for a in arrays), strict=True):
            found[id_].append((time_us, int(value)))
    return found


def _in_blocks(query: Query) -> Readings:
    found: Readings = defaultdict(list)
    rows = query(
        "SELECT series_id, length, data FROM telemetry_block"
        " WHERE resolution_seconds = 0 ORDER BY start_us, part"
    )
    for id_, length, data in rows:
        times_us, values = unpack(bytes(data), length)
        readings = zip(times_us.tolist(), values.tolist(), strict=True)
        found[id_] += [(time_us, int(value)) for time_us, value in readings]
    return found


@dataclass(frozen=True, slots=True)
class Kept:
    """How many readings were acked, and how many of them are there how often."""

    acked: int
    stored: int
    lost: int = 0
    doubled: int = 0
    invented: int = 0
    wrongs: tuple[str, ...] = ()

    def assert_whole(self, what: str) -> None:
        """Fail the test unless each acked reading is stored, once; `what` happened."""
        assert not self.wrongs, (
            f"after {what}: of {self.acked} acked readings {self.lost} are lost and "
            f"{self.doubled} are stored twice, {self.invented} were never sent: "
            f"{'; '.join(self.wrongs[:SHOWN])}"
        )


def compare(
    stored: Mapping[str, Sequence[int]],
    acked: Mapping[str, int],
    sent: Mapping[str, int],
) -> Kept:
    """Acked ⊆ stored ⊆ sent, each once; all by device.

    Each device counts: acked and sent are how far it has got.
    """
    lost = doubled = invented = 0
    wrongs = []
    for slug, promised in acked.items():
        times = Counter(stored.get(slug, ()))
        missing = [value for value in range(promised) if value not in times]
        twice = [value for value, count in times.items() if count > 1]
        strange = [value for value in times if not 0 <= value < sent[slug]]
        lost += len(missing)
        doubled += len(twice)
        invented += len(strange)
        for name, values in (
            ("lost", missing),
            ("stored twice", twice),
            ("never sent", strange),
        ):
            if values:
                wrongs.append(f"{slug} {name}: {_ranges(values)}")
    return Kept(
        sum(acked.values()),
        sum(map(len, stored.values())),
        lost,
        doubled,
        invented,
        tuple(wrongs),
    )


def _ranges(values: Iterable[int]) -> str:
    """Numbers as a person reads them: 3-7, 12."""
    spans: list[list[int]] = []
    for value in sorted(values):
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    shown = [f"{a}-{b}" if a != b else str(a) for a, b in spans[:SHOWN]]
    return ", ".join(shown) + (", …" if len(spans) > SHOWN else "")
