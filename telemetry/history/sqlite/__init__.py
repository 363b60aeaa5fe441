"""How a SQLite connection of the hub begins, and so how its file is made.

Only constants: the project's settings read them before there is any Django app.
"""

from __future__ import annotations

# The order matters: page_size and auto_vacuum are silently ignored once the file
# has been switched to WAL.
PRAGMAS = (
    # 4 KiB with blocks of up to 16,384 readings: 0.66 byte a reading, measured.
    "PRAGMA page_size = 4096",
    # Freed pages go back to the disk in small steps, by a job.
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    # An acknowledgement means on disk: NORMAL would lose commits in a power cut.
    "PRAGMA synchronous = FULL",
    # Debian's default is on: deleting a sealed journal then costs 60 times as much.
    "PRAGMA secure_delete = OFF",
    # After a burst the WAL file shrinks again (bytes).
    "PRAGMA journal_size_limit = 67108864",
    # 16 MiB of pages a connection.
    "PRAGMA cache_size = -16384",
)

OPTIONS = {
    "init_command": "; ".join(PRAGMAS),
    # A transaction that reads first and then writes would fail at once with
    # "database is locked" when another has written in between; this one waits.
    "transaction_mode": "IMMEDIATE",
    # How long a write waits for another's transaction, in seconds.
    "timeout": 10,
}
