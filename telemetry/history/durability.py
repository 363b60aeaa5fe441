"""What a PostgreSQL server is set to that an acknowledgement depends on."""

from __future__ import annotations

from django.db import connection

# Each as it comes, and must be: `synchronous_commit` the hub asks for itself.
NEEDED = ("fsync", "full_page_writes", "synchronous_commit")


def unsafe_settings() -> list[str]:
    """Names of those that are off; none elsewhere. Raises DatabaseError."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off'"
            " ORDER BY name",
            [list(NEEDED)],
        )
        return [name for (name,) in cursor.fetchall()]
