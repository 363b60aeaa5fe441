"""Readings of a file into the journal: another writer, beside those of the hub.

What it writes is folded and sealed as all else is. An exact repeat is the same
reading, so that a file may be imported twice. Everything here blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import InterfaceError, InternalError, OperationalError, connection

from ...devices import series as device_series
from ...devices.entries import SeriesEntry, SeriesWanted
from ...devices.entry_rows import series_of
from ...devices.models import Device
from ...protocol import clock, names
from ...protocol.errors import quoted
from .. import watermarks
from ..heads import Heads
from ..intervals import usual_intervals_us
from ..journal import Gathered, Row, open_writer
from ..models import TextReading
from .incoming import (
    BAD_REQUEST,
    UNKNOWN_DEVICE,
    UNKNOWN_METRIC,
    Accepted,
    BadFile,
    Bounds,
    Key,
    Part,
    Refusals,
    Slice,
    Target,
    check,
    refuse_all,
    wrong_name,
)

# As many as a commit of the hub: a few milliseconds.
ROW_READINGS = 20_000
# The sealer takes what is folded; a writer that does not fold counts as dead.
FOLD_READINGS = 1_000_000
FOLD_SECONDS = 30.0
# A database that is away or locked is asked again for so long.
PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.5
SLICE = 500


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Why the lines of a series are refused."""

    reason: str
    message: str


Find = Callable[[Part], Target | NotTaken]


def accepted(
    found: Slice, find: Find, bounds: Bounds, refusals: Refusals
) -> Iterable[Accepted]:
    """What of a slice can be stored; the rest is noted."""
    refusals.merge(found.refusals)
    for part in found.parts:
        target = find(part)
        if isinstance(target, NotTaken):
            refuse_all(part, refusals, target.reason, target.message)
            continue
        good = check(part, target, bounds, refusals)
        if len(good):
            yield good


def wrong_device(key: Key, slug: str) -> NotTaken | None:
    """Lines of another device than the one that they are imported for."""
    if key.device in ("", slug):
        return None
    message = f"expected the device {slug}, got {quoted(key.device)}"
    return NotTaken(BAD_REQUEST, message)


@dataclass
class Targets:
    """The series of a file's lines, made where there are none.

    slug: of the one device, None if the file names them. creates_devices: also for
    a slug that no device has.
    """

    slug: str | None
    creates_devices: bool
    most_series: int
    made_devices: list[str] = field(default_factory=list)
    made_series: int = 0
    # Slugs that no device has, as the file names them.
    unknown_devices: list[str] = field(default_factory=list)
    _found: dict[tuple[Key, str], Target | NotTaken] = field(default_factory=dict)
    _devices: dict[str, int | None] = field(default_factory=dict)

    def of(self, part: Part) -> Target | NotTaken:
        """Where the lines of a part go. Raises BadFile if nothing says to whom."""
        key = (part.key, part.kind)
        if key not in self._found:
            self._found[key] = self._find(*key)
        return self._found[key]

    def _find(self, key: Key, kind: str) -> Target | NotTaken:
        slug = self.slug or key.device
        if not slug:
            raise BadFile("expected a column device, or the device's slug; got neither")
        if (wrong := wrong_device(key, slug)) is not None:
            return wrong
        if (message := wrong_name(key)) is not None:
            return NotTaken(UNKNOWN_METRIC, message)
        if slug not in self._devices:
            self._devices[slug] = self._device(slug)
        device = self._devices[slug]
        if device is None:
            message = f"expected the slug of a device, got {quoted(slug)}"
            return NotTaken(UNKNOWN_DEVICE, message)
        return self._series(device, SeriesWanted(key.metric, kind, key.unit))

    def _device(self, slug: str) -> int | None:
        found = Device.objects.alive().filter(slug=slug).values_list("id", flat=True)
        device: int | None = found.first()
        if device is not None or not self.creates_devices or not names.SLUG.match(slug):
            if device is None:
                self.unknown_devices.append(slug)
            return device
        self.made_devices.append(slug)
        made: int = Device.objects.create(slug=slug, name=slug).pk
        return made

    def _series(self, device: int, wanted: SeriesWanted) -> Target | NotTaken:
        held = series_of([device])[device]
        entry: SeriesEntry | None = held.get(wanted.name)
        if entry is None and len(held) >= self.most_series:
            return NotTaken(
                UNKNOWN_METRIC,
                f"expected at most {self.most_series} series of a device, got "
                f"{quoted(wanted.name)} beyond them",
            )
        if entry is None:
            held = device_series.make_series(device_series.Wish(device, (wanted,)))
            entry = held[wanted.name]
            self.made_series += 1
        elif device_series.has_to_fill(entry, wanted):
            device_series.make_series(device_series.Wish(device, (), (wanted,)))
        return Target(entry.id, entry.kind)


class Importer:
    """A writer of its own, from its first commit to the end. For one thread."""

    def __init__(self, sessions_per_device: int) -> None:
        self._keep = sessions_per_device
        self._heads = Heads()
        self._writer = open_writer(clock.now_us()).id
        self._number = 0
        self._gathered = Gathered()
        self._unfolded = 0
        self._folded_at = time.monotonic()
        self.committed = 0

    def add(self, readings: Accepted) -> None:
        """Take in some thousand readings of one series; commits what fills a row."""
        if len(self._gathered) + len(readings) > ROW_READINGS:
            self.commit()
        gathered = self._gathered
        count = len(readings.times_us)
        if count:
            gathered.series.extend([readings.series] * count)
            gathered.times_us.frombytes(readings.times_us.tobytes())
            gathered.values.frombytes(readings.values.tobytes())
        gathered.texts.extend(new_texts(readings.texts))

    def commit(self) -> None:
        """Everything that was added is on disk on return."""
        gathered, self._gathered = self._gathered, Gathered()
        count = len(gathered)
        if not count:
            return
        row = Row(self._writer, self._number + 1, clock.now_us(), gathered)
        patiently(row.write)
        self._number = row.number
        columns = row.columns()
        tick = self._heads.advance(
            columns,
            gathered.texts,
            writer=row.writer,
            number=row.number,
            received_us=row.received_us,
        )
        # They all come at once: only their own times tell how often they were read.
        self._heads.suppose_periods(
            tick.series, usual_intervals_us(columns, tick.series)
        )
        self.committed += count
        self._unfolded += count
        is_late = time.monotonic() - self._folded_at >= FOLD_SECONDS
        if is_late or self._unfolded >= FOLD_READINGS:
            self.fold()

    def fold(self) -> None:
        """Move the last values of the series forward; the sealer may take the rows."""
        heads = self._heads.take_changed()
        for step in watermarks.fold_steps(
            {}, heads, self._writer, self._number, clock.now_us(), self._keep
        ):
            patiently(step)
        self._unfolded = 0
        self._folded_at = time.monotonic()

    def end(self) -> None:
        """Commit and fold the rest; this writer writes no more."""
        self.commit()
        self.fold()
        watermarks.end_writer(self._writer, clock.now_us())


def patiently(work: Callable[[], None]) -> None:
    """Do what may be repeated, again while the database is away or locked.

    Raises what the database said after PATIENCE_SECONDS.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            work()
        except (OperationalError, InterfaceError, InternalError):
            # Internal: PostgreSQL ended a transaction that had been stopped.
            if time.monotonic() >= until:
                raise
            connection.close()
            time.sleep(RETRY_SECONDS)
        else:
            return


def new_texts(texts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Those that are not stored yet, each once, all of one series.

    The sealer drops repeats of numbers; texts are rows, and stay as they are.
    """
    if not texts:
        return texts
    times = sorted({time_us for _, time_us, _ in texts})
    stored: set[tuple[int, str]] = set()
    for start in range(0, len(times), SLICE):
        rows = TextReading.objects.filter(
            series_id=texts[0][0], time_us__in=times[start : start + SLICE]
        )
        stored.update(rows.values_list("time_us", "value"))
    new = []
    for text in texts:
        if text[1:] not in stored:
            stored.add(text[1:])
            new.append(text)
    return new
