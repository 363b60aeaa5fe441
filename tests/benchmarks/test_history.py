"""Each part of the history benchmark runs, small, and says what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.databases import POSTGRESQL, SQLITE, has_postgresql
from benchmarks.history import body
from benchmarks.history_parts import Report
from tests.processes import ROOT, missing

PARTS = ("seal", "size", "query", "ingest", "rows")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", [SQLITE, POSTGRESQL])
def test_a_part_runs(kind: str, part: str, tmp_path: Path):
    if kind == POSTGRESQL and not has_postgresql():
        missing("postgresql")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.history", "--quick"]
    command += ["--part", part, "--database", kind, "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-5_000:]
    assert done.stdout.count("\n| ") >= 3
    assert "missing" not in done.stdout
    assert json.loads(figures.read_text())[part][kind]


def test_the_table_has_a_column_a_database_and_marks_what_falls_short():
    sqlite, postgresql = Report(SQLITE), Report(POSTGRESQL)
    sqlite.add("speed", "5/s", "4/s")
    postgresql.add("speed", "3/s", "4/s", is_reached=False)
    postgresql.add("bloat", "1.5")
    sqlite.notes.append("of both")
    postgresql.notes.append("of both")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in body({SQLITE: sqlite, POSTGRESQL: postgresql}).splitlines()
        if line.startswith("| ")
    ]
    assert rows == [
        ["what", "SQLite", "PostgreSQL", "goal"],
        ["speed", "5/s", "**3/s**", "4/s"],
        ["bloat", "", "1.5", ""],
    ]
    assert body({SQLITE: sqlite, POSTGRESQL: postgresql}).count("of both") == 1
