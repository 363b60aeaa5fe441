"""The migrations say what the models say."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection


@pytest.mark.django_db
def test_models_have_no_change_without_a_migration():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_packed_columns_are_stored_as_they_are():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite compresses nothing by itself")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attrelid::regclass::text, attname, attstorage FROM pg_attribute"
            " WHERE atttypid = 'bytea'::regtype AND attrelid IN"
            " ('telemetry_journal'::regclass, 'telemetry_block'::regclass)"
        )
        found = set(cursor.fetchall())
    assert found == {
        ("telemetry_journal", "columns", "e"),
        ("telemetry_journal", "marks", "e"),
        ("telemetry_block", "data", "e"),
    }
