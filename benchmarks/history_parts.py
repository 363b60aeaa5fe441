"""The parts of the history benchmark: each runs its work and says what came of it.

What runs inside the database's process is in the modules `history_<part>`, started by
name: they need Django, and figures of memory need a process of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from . import history_ingest, results, shapes
from .databases import SQLITE, Database, Databases
from .processes import Hub, hub

MB = 1_000_000


@dataclass(frozen=True)
class Plan:
    """How much each part does."""

    # Seal: (new readings a series, series, passes, passes before those).
    steady: tuple[tuple[int, int, int, int], ...] = (
        (20, 2_000, 30, 4),
        (64, 2_000, 12, 3),
        (200, 2_000, 5, 2),
    )
    slow_fleet: int = 100_000
    slow_passes: int = 2
    backlog: int = 6_000_000
    # Size: which shapes, of one series and of short ones; readings of a shape (30 days
    # at 1 Hz), of a real set; short series; bloat on PostgreSQL.
    shapes: tuple[int, ...] = (0, 1, 2, 3, 4)
    short_shapes: tuple[int, ...] = (0, 1)
    shape_readings: int = 2_592_000
    real_readings: int = 1_000_000
    short_series: int = 3_000
    bloat_series: int = 1_000
    bloat_passes: int = 60
    # Query: 1 is 30 days, a day and a year; new processes, warm questions in each.
    scale: float = 1.0
    processes: int = 3
    warm: int = 9
    # Ingest.
    devices: int = 1_000
    burst_seconds: float = 10.0
    half_seconds: float = 15.0
    sustained_seconds: float = 60.0
    rate: int = 150_000
    # Rows of an ordinary model: a series' at 1 Hz, and of many in turn.
    rows: int = 518_400
    arriving: int = 100_000


def for_postgresql(plan: Plan) -> Plan:
    """Less of what shows the same as on SQLite: packed bytes, a fleet's CPU."""
    return dataclasses.replace(
        plan,
        shapes=plan.shapes[:2],
        short_shapes=plan.short_shapes[:1],
        slow_passes=1,
    )


QUICK = Plan(
    shapes=(0, 1),
    short_shapes=(0,),
    steady=((20, 50, 2, 1), (64, 50, 2, 1)),
    slow_fleet=200,
    slow_passes=1,
    backlog=50_000,
    shape_readings=20_000,
    real_readings=10_000,
    short_series=20,
    bloat_series=20,
    bloat_passes=4,
    scale=0.005,
    processes=1,
    warm=2,
    devices=20,
    burst_seconds=2.0,
    half_seconds=2.0,
    sustained_seconds=3.0,
    rate=10_000,
    rows=5_000,
    arriving=5_000,
)


@dataclass(frozen=True)
class Line:
    """One figure of the table, its goal, and whether it is reached."""

    what: str
    figure: str
    goal: str = ""
    is_reached: bool = True


@dataclass
class Report:
    """What a part found on one kind of database."""

    kind: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_sqlite(self) -> bool:
        return self.kind == SQLITE

    def add(
        self, what: str, figure: str, goal: str = "", is_reached: bool = True
    ) -> None:
        self.lines.append(Line(what, figure, goal, is_reached))


# --- seal -----------------------------------------------------------------------

SEAL_GOALS = {20: 150_000, 64: 400_000}
SECONDS_BETWEEN = 10
SLOW_NEW = 10


def seal(made: Databases, plan: Plan) -> Report:
    """Readings a second of sealing alone, by new readings a series and pass."""
    report = Report(made.kind)
    for new, series, passes, warmup in plan.steady:
        found = _sealed(
            made,
            "steady",
            series=series,
            new=new,
            passes=passes,
            warmup=warmup,
            step_us=1_000_000,
            most_before=2_048,
        )
        report.figures[f"steady {new}"] = found
        goal = SEAL_GOALS.get(new)
        per_second = found["readings"] / found["seconds"]
        report.add(
            f"{new} new readings a series, {series:,} series",
            f"{per_second:,.0f}/s (CPU alone {_by_cpu(found):,.0f}/s)",
            f"{goal:,}/s" if goal else "",
            goal is None or per_second >= goal,
        )
    _slow_fleet(made, plan, report)
    found = _sealed(made, "backlog", series=1_000, readings=plan.backlog)
    report.figures["backlog"] = found
    report.add(
        f"backlog of {plan.backlog / MB:g} M readings, 1,000 series",
        f"{found['readings'] / found['seconds']:,.0f}/s, peak RSS "
        f"{found['peak_rss_bytes'] / MB:,.0f} MB",
        "500 MB",
        found["peak_rss_bytes"] <= 500 * MB,
    )
    return report


def _slow_fleet(made: Databases, plan: Plan, report: Report) -> None:
    """The share of a core that sealing takes of a large fleet that sends rarely."""
    count = plan.slow_fleet
    found = _sealed(
        made,
        "steady",
        series=count,
        new=SLOW_NEW,
        passes=plan.slow_passes,
        warmup=0,
        step_us=SECONDS_BETWEEN * 1_000_000,
        most_before=20,
    )
    report.figures["slow fleet"] = found
    cpu_seconds = found["cpu_seconds"] / plan.slow_passes
    between = SLOW_NEW * SECONDS_BETWEEN
    share = cpu_seconds / between
    report.add(
        f"{count:,} series, a reading every {SECONDS_BETWEEN} s",
        f"{cpu_seconds:.1f} s of CPU every {between} s: {share:.1%} of a core",
        "10 % of a core",
        share <= 0.1,
    )
    report.notes.append(
        f"{count:,} series with a reading every {SECONDS_BETWEEN} s send {SLOW_NEW} "
        f"each, {count * SLOW_NEW:,} together, in {between} s: one pass."
    )


def _sealed(made: Databases, kind: str, **of: Any) -> dict[str, Any]:
    with made.fresh() as database:
        return database.run("history_seal", {"kind": kind, "of": of})


def _by_cpu(found: dict[str, Any]) -> float:
    return float(found["readings"] / max(found["cpu_seconds"], 1e-9))


# --- size -----------------------------------------------------------------------

SIZE_GOALS = {0: 1.0, 1: 3.0}
REAL_GOAL = 3.0
BLOAT_GOAL = 2.0


def size(made: Databases, plan: Plan) -> Report:
    """Bytes a reading of whole databases."""
    report = Report(made.kind)
    for at in plan.shapes:
        found = _stored(made, "shape", shape=at, readings=plan.shape_readings)
        _add_size(report, f"{shapes.SHAPES[at].name}, 1 Hz", found, SIZE_GOALS.get(at))
    for name, series in shapes.real_sets().items():
        found = _stored(made, "real", name=name, readings=plan.real_readings)
        _add_size(report, name, found, REAL_GOAL)
        packed = zip(series, found["packed_a_series"], strict=True)
        if len(series) > 1:
            report.notes.append(
                f"{name}, packed: {', '.join(f'{a} {b:.2f}' for a, b in packed)}."
            )
    for at in plan.short_shapes:
        found = _stored(made, "short", shape=at, series=plan.short_series)
        what = f"{plan.short_series:,} short series, {shapes.SHAPES[at].name}"
        _add_size(report, what, found, None)
    if not report.is_sqlite:
        _add_bloat(made, plan, report)
    report.notes.append(
        f"Each shape has {plan.shape_readings:,} readings of one series; real sets are "
        f"repeated, later each time, to {plan.real_readings:,}; short series have 500 "
        "to 4,000 readings. Figures: the whole database, in brackets without what an "
        "empty one takes (an empty PostgreSQL is 9 MB, and is left out where it is "
        "judged), then the packed readings alone."
    )
    return report


def _stored(made: Databases, kind: str, **of: Any) -> dict[str, Any]:
    with made.fresh() as database:
        return database.run("history_size", {"kind": kind, "of": of})


def _add_size(
    report: Report, what: str, found: dict[str, Any], goal: float | None
) -> None:
    report.figures[what] = found
    count = found["readings"]
    whole = found["whole_bytes"] / count
    added = (found["whole_bytes"] - found["empty_bytes"]) / count
    packed = found["packed_bytes"] / count
    judged = whole if report.is_sqlite else added
    report.add(
        what,
        f"{whole:.2f} ({added:.2f}, packed {packed:.2f})",
        f"{goal:g} byte" if goal else "",
        goal is None or judged <= goal,
    )


def _add_bloat(made: Databases, plan: Plan, report: Report) -> None:
    found = _stored(
        made,
        "bloat",
        series=plan.bloat_series,
        new=64,
        passes=plan.bloat_passes,
    )
    report.figures["bloat"] = found
    factor = found["after_bytes"] / found["full_vacuum_bytes"]
    most = found["most_bytes"] / found["full_vacuum_bytes"]
    report.add(
        f"bloat after {plan.bloat_passes} passes",
        f"{factor:.2f} (at most {most:.2f}) of what VACUUM FULL leaves",
        f"{BLOAT_GOAL:g} x",
        factor <= BLOAT_GOAL,
    )


# --- query ----------------------------------------------------------------------

# What, in words, and the goals cold and warm in ms.
QUESTIONS = {
    "month": ("30 days at 1 Hz → 1,000 points", 100, 40),
    "day": ("a day at 1 Hz of ten series", 60, 60),
    "year": ("a year at 0.1 Hz", 100, 100),
    "heads": ("last values of 10,000 series", 100, 100),
}
RSS_GOAL = 300 * MB


def query(made: Databases, plan: Plan) -> Report:
    """Milliseconds of ranges and last values, cold, in a new process, and warm."""
    report = Report(made.kind)
    peak = 0
    with made.fresh() as database:
        filled = database.run("history_query", {"kind": "fill", "scale": plan.scale})
        for what, (words, cold_goal, warm_goal) in QUESTIONS.items():
            of = {"what": what, "scale": plan.scale, "ids": filled["ids"]}
            found = _asked(database, of, plan)
            report.figures[what] = found
            peak = max(peak, found["peak_rss_bytes"])
            shown = f"{words} ({found['readings']:,} read)"
            for name, goal in (("cold", cold_goal), ("new", None), ("warm", warm_goal)):
                value = found[f"{name}_ms"]
                report.add(
                    f"{shown}, {WHEN[name]}",
                    f"{value:.0f} ms",
                    f"{goal} ms" if goal else "",
                    goal is None or value <= goal,
                )
    report.add(
        "memory of the asking process, at most",
        f"{peak / MB:,.0f} MB",
        f"{RSS_GOAL // MB} MB",
        peak <= RSS_GOAL,
    )
    report.notes.append(
        "Cold: a new process, and the files out of the system's page cache (PostgreSQL "
        "restarted). New process: the files are in the page cache. Opening the "
        f"database is in both. Medians of {plan.processes} processes, warm of "
        f"{plan.warm} questions in each."
    )
    return report


WHEN = {"cold": "cold", "new": "new process", "warm": "warm"}


def _asked(database: Database, of: dict[str, Any], plan: Plan) -> dict[str, Any]:
    cold, new, warm = [], [], []
    found: dict[str, Any] = {}
    job = {"kind": "ask", "of": {**of, "times": 1}}
    for _ in range(plan.processes):
        database.cool()
        cold.append(database.run("history_query", job)["ms"][0])
        job_warm = {"kind": "ask", "of": {**of, "times": 1 + plan.warm}}
        found = database.run("history_query", job_warm)
        new.append(found["ms"][0])
        warm += found["ms"][1:]
    return {
        "cold_ms": median(cold),
        "new_ms": median(new),
        "warm_ms": median(warm),
        "readings": found["readings"],
        "peak_rss_bytes": found["peak_rss_bytes"],
    }


# --- ingest ---------------------------------------------------------------------


def ingest(made: Databases, plan: Plan) -> Report:
    """A hub that takes readings in and seals them at the same time."""
    seconds = {
        "burst": plan.burst_seconds,
        "half": plan.half_seconds,
        "sustained": plan.sustained_seconds,
    }
    with _hub(made) as (running, database):
        found = history_ingest.measure(
            running, database, plan.devices, seconds, plan.rate
        )
    report = Report(made.kind)
    burst, half, sustained = found.burst, found.half, found.sustained
    burst_rate = burst.readings_per_second
    report.add(
        f"burst, {burst.batch} readings a frame, {plan.burst_seconds:.0f} s",
        f"{burst_rate:,.0f}/s, ack p99 {burst.p99_ms:.0f} ms",
        "400,000/s",
        burst_rate >= 400_000,
    )
    report.add(
        "half of that, ack p99 while sealing",
        f"{half.p99_ms:.0f} ms (p50 {half.p50_ms:.0f} ms)",
        "150 ms",
        half.p99_ms <= 150,
    )
    watched = found.watched["sustained"]
    kept_up = sustained.readings_per_second >= 0.98 * plan.rate
    report.add(
        f"{plan.rate:,}/s for {plan.sustained_seconds / 60:g} min",
        f"{sustained.readings_per_second:,.0f}/s, journal "
        f"{'**grows**' if watched.has_grown else 'does not grow'}, "
        f"ack p99 {sustained.p99_ms:.0f} ms",
        "150,000/s",
        kept_up and not watched.has_grown,
    )
    peak = max(each.peak_rss_bytes for each in found.watched.values())
    report.figures = {
        "loads": {each.name: vars(each) for each in (burst, half, sustained)},
        "acked": found.acked,
        "stored": found.stored,
        "peak_rss_bytes": peak,
        "sustained": watched.rows(60),
    }
    report.add(
        "memory of the hub, at most",
        f"{peak / MB:,.0f} MB",
        f"{RSS_GOAL // MB} MB",
        peak <= RSS_GOAL,
    )
    report.add("hub's CPU at that rate", f"{sustained.server_cpu:.0%} of a core")
    report.notes += _ingest_notes(found, made.kind)
    return report


def _ingest_notes(found: history_ingest.Found, kind: str) -> list[str]:
    notes = [
        f"{kind}: acked in all {found.acked:,}, stored {found.stored:,}."
        + ("" if found.stored >= found.acked else " **Acked readings are missing.**")
    ]
    loads = (found.burst, found.half, found.sustained)
    troubles = sorted({trouble for each in loads for trouble in each.troubles})
    if troubles:
        notes.append(f"**Troubles**: {'; '.join(troubles)[:500]}")
    rows = found.watched["sustained"].rows()
    if rows:
        notes.append(
            f"\nThe sustained load on {kind}, over time:\n\n"
            + results.table(history_ingest.HEADER, rows)
        )
    return notes


@contextmanager
def _hub(made: Databases) -> Iterator[tuple[Hub, Database]]:
    settings = {"TELEMETRY_DEVICE_RATE": "0"}
    if made.kind == SQLITE:
        with hub(**settings) as running:
            yield running, Database(SQLITE, running.data_dir)
        return
    with made.fresh() as database:
        assert database.url is not None
        with hub(**settings, DATABASE_URL=database.url) as running:
            yield running, database


# --- rows -----------------------------------------------------------------------


def rows(made: Databases, plan: Plan) -> Report:
    """The same readings as rows of an ordinary model."""
    report = Report(made.kind)
    job = {"rows": plan.rows, "arriving": plan.arriving, "times": 3}
    with made.fresh() as database:
        found = database.run("history_rows", job)
    report.figures.update(found)
    days = plan.rows / 86_400
    report.add("bytes a reading", f"{found['bytes_a_reading']:.0f}")
    report.add(
        "inserted by bulk_create of 1,000", f"{found['inserted_per_second']:,.0f}/s"
    )
    sql, fetched = median(found["sql_ms"]), median(found["fetch_ms"])
    report.add(f"{days:.1f} days at 1 Hz → 1,000 buckets, in SQL", f"{sql:,.0f} ms")
    report.add("the same by fetching the rows", f"{fetched:,.0f} ms")
    times = 30 / days
    report.notes.append(
        f"{plan.rows:,} rows of one series; 30 days are {times:.1f} times as many. The "
        f"model: series, time, value, an index on (series, time). Inserted were "
        f"{plan.arriving:,} of 100 series in turn."
    )
    return report


PARTS: dict[str, tuple[str, Callable[[Databases, Plan], Report]]] = {
    "seal": ("sealing alone, journal → blocks", seal),
    "size": ("bytes a reading on disk after sealing", size),
    "query": ("ranges to buckets, and last values", query),
    "ingest": ("ingest while sealing, 1,000 devices", ingest),
    "rows": ("for comparison, an ordinary model's rows", rows),
}
