"""The tests of what touches the database in its own way, again on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .processes import ROOT

if os.environ.get("DATABASE_URL"):
    pytest.skip("on that database already", allow_module_level=True)

SAME_TESTS = (
    "tests/history",
    "tests/ingest/test_pipeline.py",
    "tests/test_migrations.py",
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_history_and_pipeline_keep_their_promises_on_postgresql(postgres_url: str):
    # A process of its own: a test run has one default database, and --reuse-db as
    # the server is thrown away as a whole.
    options = ["-q", "-x", "-m", "django_db", "--reuse-db"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *SAME_TESTS],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": postgres_url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
