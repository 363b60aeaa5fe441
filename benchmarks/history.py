"""History: sealing, bytes a reading, ranges, ingest while sealing, and plain rows.

    python -m benchmarks.history [--part NAME …] [--database sqlite|postgresql]
                                 [--quick | --long] [--record] [--json FILE]

On SQLite and on PostgreSQL (if it is installed), each in a new directory. What is
short of its goal is printed bold.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any

from . import results
from .databases import POSTGRESQL, SQLITE, Databases, databases, has_postgresql
from .history_parts import PARTS, QUICK, Plan, Report, for_postgresql

LONG = Plan(
    steady=((20, 2_000, 60, 5), (64, 2_000, 40, 4), (200, 2_000, 12, 2)),
    backlog=100_000_000,
    sustained_seconds=600.0,
)
NAMES = {SQLITE: "SQLite", POSTGRESQL: "PostgreSQL"}


def table(reports: dict[str, Report]) -> str:
    """Figures by what they are of, a column for each kind of database."""
    whats: dict[str, str] = {}
    for report in reports.values():
        for line in report.lines:
            whats.setdefault(line.what, line.goal)
    rows = []
    for what, goal in whats.items():
        cells = []
        for report in reports.values():
            found = [line for line in report.lines if line.what == what]
            cells += [
                line.figure if line.is_reached else f"**{line.figure}**"
                for line in found
            ] or [""]
        rows.append((what, *cells, goal))
    return results.table(("what", *(NAMES[kind] for kind in reports), "goal"), rows)


def measure(part: str, made: Sequence[Databases], plan: Plan) -> dict[str, Report]:
    """Run one part on each kind of database."""
    run = PARTS[part][1]
    reports: dict[str, Report] = {}
    for each in made:
        began = time.monotonic()
        own = plan if each.kind == SQLITE else for_postgresql(plan)
        reports[each.kind] = run(each, own)
        seconds = time.monotonic() - began
        print(f"{part} on {NAMES[each.kind]}: {seconds:.0f} s", file=sys.stderr)
    return reports


def body(reports: dict[str, Report]) -> str:
    """The table of a part, and what is to be known of it."""
    notes = [note for report in reports.values() for note in report.notes]
    # What is true of both is said once.
    text = "\n".join(dict.fromkeys(notes))
    return f"{table(reports)}\n\n{text}".rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--part", action="append", choices=PARTS, help="again for more; all if unset")
    add("--database", choices=NAMES, help="both, if PostgreSQL is installed")
    add("--quick", action="store_true", help="seconds a part: whether it works")
    add("--long", action="store_true", help="backlog of 100 M readings, 10 minutes")
    add("--minutes", type=float, help="of the sustained load")
    add("--rate", type=int, help="of the sustained load, readings/s (150,000)")
    add("--record", action="store_true", help="append to RESULTS.md")
    add("--json", help="write the figures to this file")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else LONG if options.long else Plan()
    if options.minutes is not None:
        plan = dataclasses.replace(plan, sustained_seconds=options.minutes * 60)
    if options.rate is not None:
        plan = dataclasses.replace(plan, rate=options.rate)
    kinds = [options.database] if options.database else [SQLITE]
    if not options.database and has_postgresql():
        kinds.append(POSTGRESQL)
    figures: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(databases(kind)) for kind in kinds]
        for part in options.part or PARTS:
            reports = measure(part, made, plan)
            figures[part] = {kind: each.figures for kind, each in reports.items()}
            results.publish(
                f"History: {PARTS[part][0]}",
                body(reports),
                figures,
                record=options.record,
                json_file=options.json,
            )


if __name__ == "__main__":
    main()
