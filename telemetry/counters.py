"""What the hub counts about itself, as prometheus-client objects.

Labels are bounded: reasons, codes and kinds from the protocol's catalogue, never
a device's name or anything a client sent.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Ingest.
READINGS = Counter("telemetry_readings_total", "Readings that were committed.")
COMMITS = Counter("telemetry_commits_total", "Durable commits of the journal.")
COMMIT_FAILURES = Counter(
    "telemetry_commit_failures_total", "Commits that the database refused."
)
COMMIT_SECONDS = Histogram(
    "telemetry_commit_seconds",
    "How long a commit took.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
HELD_BYTES = Gauge("telemetry_held_bytes", "Readings that wait for their commit.")
ACKS = Counter("telemetry_acks_total", "Acknowledgements sent to devices.")
REJECTED = Counter(
    "telemetry_rejected_total", "Values and batches that were refused.", ["reason"]
)
SUPERSEDED = Counter(
    "telemetry_superseded_total",
    "Batches left to another process, to which their device had gone.",
)
SEQ_HOLES = Counter(
    "telemetry_seq_holes_total", "Batches that devices lost before sending them."
)

CORRUPT_ROWS = Counter(
    "telemetry_corrupt_rows_total", "Journal rows that could not be read back."
)
SEALED = Counter("telemetry_sealed_total", "Readings that went from journal to blocks.")
UNSEALED = Gauge("telemetry_unsealed", "Readings in the journal, as last counted.")
CORRUPT_BLOCKS = Counter(
    "telemetry_corrupt_blocks_total", "Blocks of readings that could not be read back."
)

# Sockets.
SLOW_READERS = Counter(
    "telemetry_slow_readers_total", "Sockets dropped because their peer did not read."
)
SOCKETS = Gauge("telemetry_sockets", "Open sockets.", ["kind"])
CLOSED = Counter("telemetry_closed_total", "Sockets that the hub closed.", ["code"])
ERRORS = Counter("telemetry_errors_total", "Error messages sent to clients.", ["code"])
ECHOED = Counter("telemetry_echoed_total", "Messages that link checks sent back.")
AUTH_FAILURES = Counter(
    "telemetry_auth_failures_total", "Credentials that were missing or wrong."
)

HEADS_REFUSED = Counter(
    "telemetry_heads_refused_total", "Requests refused because of too large headers."
)

EVENTS_LOST = Counter(
    "telemetry_events_lost_total",
    "Events of devices that were not noted, because too many waited.",
)

CSP_REPORTS = Counter(
    "telemetry_csp_reports_total", "Browsers' reports that a page broke the policy."
)

# The switchboard.
BUS_PUBLISHED = Counter(
    "telemetry_bus_published_total", "Messages for other processes of the hub."
)
BUS_LOST = Counter(
    "telemetry_bus_lost_total", "Messages that the channel layer did not take."
)
BUS_FAILURES = Counter(
    "telemetry_bus_failures_total", "Calls that the channel layer failed."
)

BUS_MISSED = Counter(
    "telemetry_bus_missed_total",
    "Messages of other processes that did not arrive, as their numbers say.",
)
BUS_HEALED = Counter(
    "telemetry_bus_healed_total",
    "Watched groups and devices read again, because messages may be missing.",
)

# The hub.
LOG_RECORDS_LEFT_OUT = Counter(
    "telemetry_log_records_left_out_total",
    "Log records left out, because the same line had spoken often enough.",
)
