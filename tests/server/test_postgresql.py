"""The tests of everything that touches the database, once more on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

# The tests that start hubs of their own do so on SQLite; test_backends starts one
# on PostgreSQL.
PLACES = (
    "tests/test_migrations.py",
    "tests/test_hub.py",
    "tests/test_jobs.py",
    "tests/test_checks.py",
    "tests/devices",
    "tests/history",
    "tests/ingest/test_pipeline.py",
    "tests/ops",
)


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_rooms_pass_on_postgresql(postgres_url):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "not slow"),
            *("-p", "no:cacheprovider", "-n", "auto", "--dist", "loadfile", *PLACES),
        ],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        timeout=1_480,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
