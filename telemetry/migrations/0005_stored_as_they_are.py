"""Columns that are packed already: PostgreSQL need not try to compress them again."""

from django.db import migrations

COLUMNS = (
    ("telemetry_journal", "columns"),
    ("telemetry_journal", "marks"),
    ("telemetry_block", "data"),
)


def set_storage(schema_editor, storage):
    if schema_editor.connection.vendor == "postgresql":
        for table, column in COLUMNS:
            schema_editor.execute(
                f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE {storage}"
            )


def store_plain(apps, schema_editor):
    set_storage(schema_editor, "EXTERNAL")


def store_usual(apps, schema_editor):
    set_storage(schema_editor, "EXTENDED")


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0004_workers")]
    operations = [migrations.RunPython(store_plain, store_usual)]
