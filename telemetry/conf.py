"""The hub's settings: one table, each also an environment variable `TELEMETRY_<name>`.

A value is Django's setting of that full name if there is one, else the
environment's, else the default. It is read at first use and kept.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .protocol.limits import Limits

PREFIX = "TELEMETRY_"
Value = int | float


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table. minimum and maximum are allowed values."""

    name: str
    default: Value
    unit: str
    minimum: Value
    maximum: Value
    help: str
    reason: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name

    @property
    def type(self) -> type[int] | type[float]:
        return int if isinstance(self.default, int) else float

    @property
    def expected(self) -> str:
        """What a value has to be, in words: the start of every error."""
        kind = "a whole number" if self.type is int else "a number"
        unit = f" ({self.unit})" if self.unit else ""
        return f"{kind} from {self.minimum:,} to {self.maximum:,}{unit}"


DEFAULTS = Limits()
MINUTE = 60
DAY = 86_400
MIB = 1_048_576


def _limit(
    name: str, unit: str, minimum: Value, maximum: Value, help: str, reason: str
) -> Setting:
    """A line whose default is the wire contract's own."""
    default: Value = getattr(DEFAULTS, name.lower())
    return Setting(name, default, unit, minimum, maximum, help, reason)


# fmt: off
SETTINGS: tuple[Setting, ...] = (
    # One message.
    _limit("MESSAGE_BYTES", "bytes", 1_024, 131_072,
           "The longest message of a device.",
           "64 KiB decodes in about a millisecond; the server's own limit is 128 KiB."),
    _limit("HELLO_BYTES", "bytes", 1_024, 131_072,
           "The longest `hello` of a device.",
           "256 metrics with unit and label fit."),
    _limit("BATCH_ROWS", "rows", 1, 20_000,
           "Rows of one batch.", "A commit holds 20,000 readings."),
    _limit("BATCH_COLUMNS", "columns", 1, 256,
           "Columns of one batch.", "A device has 256 series at most."),
    _limit("JSON_DEPTH", "levels", 4, 8,
           "How deep a message may nest.", "No message of ours is deeper than 4."),
    _limit("TEXT_CHARACTERS", "characters", 1, 256,
           "The longest text value.", "The column in the database holds 256."),
    # One device.
    _limit("SERIES_PER_DEVICE", "series", 1, 2_000,
           "Series of one device.",
           "A counter in a metric's name must not make a million of them."),
    _limit("NEW_SERIES_FREE", "series", 0, 2_000,
           "Series a device may make without waiting.", "A normal device has fewer."),
    _limit("NEW_SERIES_PER_MINUTE", "series a minute", 1, 2_000,
           "Series a device may make a minute after those.", "Slow enough to be seen."),
    _limit("CONNECTS_PER_MINUTE", "connects a minute", 1, 6_000,
           "Connections of one device a minute.",
           "A device that flaps must not keep the database busy."),
    _limit("WINDOW", "batches", 1, 64,
           "Batches a device may send ahead of their acknowledgement.",
           "8 keep a link of 100 ms busy at 80 batches a second."),
    _limit("DEVICE_RATE", "readings/s", 0, 10_000_000,
           "Readings a second of one device; 0 = no limit.",
           "One device gone wrong must not fill the disk."),
    _limit("DEVICE_BURST", "readings", 0, 100_000_000,
           "Readings that may come at once; unset: ten times the rate.",
           "A device that was offline sends what it kept."),
    _limit("SESSIONS_PER_DEVICE", "sessions", 1, 64,
           "Sessions of a device whose progress is kept.",
           "A device that restarts often must not lose the one it resumes."),
    # Times.
    _limit("FUTURE_SECONDS", "s", 0, 10 * DAY,
           "How far ahead of the hub a reading's time may be.",
           "A day covers a wrong time zone; more is a broken clock."),
    _limit("CREDENTIAL_SECONDS", "s", 1, 60,
           "How long a new socket may take to show its key.",
           "A socket without a key costs memory."),
    _limit("HEARTBEAT_SECONDS", "s", 1, 600,
           "How often a device says something; after 2.5 times this it counts as gone.",
           "Proxies cut what is silent for 60 s."),
    _limit("AUTH_FAILURES_PER_MINUTE", "failures a minute", 1, 10_000,
           "Wrong keys of one address a minute, before it is refused for a minute.",
           "Slows guessing; a right key never waits."),
    # HTTP.
    _limit("HTTP_BODY_BYTES", "bytes", 1_024, 64 * MIB,
           "The longest body of a request with readings.", "Django's own default."),
    _limit("HTTP_READINGS", "readings", 1, 1_000_000,
           "Readings of one request.", "Half of a commit."),
    Setting("CSP_REPORT_BYTES", 16_384, "bytes", 1_024, 65_536,
            "The longest report of a browser that a page broke the policy.",
            "A report is about a kilobyte, with a long address several."),
    Setting("CSP_REPORTS_A_MINUTE", 60, "reports a minute", 1, 6_000,
            "Such reports that a process reads a minute.",
            "Anybody may send them; one is enough to know."),
    Setting("API_READINGS", 200_000, "readings", 1, 10_000_000,
            "Readings, or buckets of all series, of one JSON answer.",
            "A few megabytes; CSV and Parquet are streamed, and have no bound."),
    Setting("API_POINTS", 10_000, "points", 1, 10_000,
            "Points a series that one request may ask for.",
            "More than a screen has pixels; 27 years of days."),
    Setting("API_SERIES", 1_000, "series", 1, 100_000,
            "Series of one JSON answer.", "A device has 256 at most."),
    Setting("API_STREAMS", 8, "streams", 1, 1_000,
            "Downloads of CSV and Parquet that a process serves at once, two a sender.",
            "Each holds one page of readings, about 20 MB."),
    Setting("API_READS", 32, "requests", 1, 1_000,
            "Requests for readings that a process answers at once, four a sender.",
            "Two read at a time; each of those that wait takes a thread."),
    Setting("IMPORT_BYTES", 256 * MIB, "bytes", 1_024, 65_536 * MIB,
            "The longest body of an import, and what it may open to.",
            "About four million lines of CSV; it waits in a temporary file."),
    Setting("IMPORTS", 4, "imports", 1, 1_000,
            "Imports over HTTP that a process takes at once, one a device.",
            "Ingest goes on beside them."),
    # Browsers.
    _limit("LIVE_TOPICS", "groups", 1, 1_024,
           "Device groups (and devices) one page may follow.", "A wall of them."),
    _limit("LIVE_METRICS", "metrics", 1, 256,
           "Metrics one subscription may name.", "A page shows fewer."),
    _limit("LIVE_SNAPSHOT_ROWS", "rows", 10, 10_000,
           "Rows of one page of a snapshot.", "About 50 KB, a few milliseconds."),
    _limit("LIVE_MESSAGE_BYTES", "bytes", 1_024, 131_072,
           "The longest message of a browser.", "64 names of 64 characters fit."),
    _limit("LIVE_ACK_SECONDS", "s", 1, 600,
           "How long a page may leave every frame unacknowledged.",
           "A sleeping tab must not hold frames."),
    # The link check.
    Setting("ECHO_BYTES", 65_536, "bytes", 65_536, 131_072,
            "The longest message that a link check sends back.",
            "As long as a device's; the server's own limit is 128 KiB."),
    Setting("ECHO_RATE", 20, "messages/s", 20, 1_000,
            "Messages that a link check sends back a second, and at once.",
            "Ten a second measure round trips, 17 at once the data rate."),
    Setting("ECHO_SECONDS", 60.0, "s", 1, 600,
            "After so long a link check is closed.",
            "A check takes some seconds; nobody needs an open echo."),
    Setting("ECHO_SOCKETS", 32, "link checks", 1, 10_000,
            "Link checks that a process runs at once, four a sender.",
            "Each may move 1.3 MB a second both ways."),
    # The hub itself.
    Setting("RELOAD_SECONDS", 1.0, "s", 0.05, 5,
            "How often a process looks for edited devices, groups, rights and keys.",
            "An edit reaches open sockets within 5 s."),
    Setting("PRESENCE_SECONDS", 5.0, "s", 0.1, 10,
            "How often presence (online, last seen) is written to the database.",
            "One batch instead of a row a message; other processes wait 15 s for it."),
    Setting("EVENTS_PER_MINUTE", 10, "events a minute", 1, 600,
            "Rows that a device's connects, disconnects and firmwares write a minute, "
            "and in ever longer times, up to 16 min, while there are more.",
            "A device that flaps for weeks must not fill the database."),
    Setting("EVENTS_HELD", 20_000, "events", 100, 1_000_000,
            "Events that wait while the database is away; later ones are lost.",
            "A fleet that comes back: about half a kilobyte each."),
    Setting("QUALITY_SECONDS", 60.0, "s", 0.1, 600,
            "How often the statistics of the devices' links are written.",
            "A row a device; a hub that is killed loses what it has not written."),
    Setting("QUALITY_HELD", 100_000, "device hours", 100, 10_000_000,
            "Statistics that wait while the database is away; older ones are lost.",
            "10 hours of 10,000 devices."),
    Setting("EVENT_DAYS", 90, "days", 1, 36_500,
            "How long the events of devices are kept.", "A season."),
    Setting("QUALITY_DAYS", 30, "days", 1, 36_500,
            "How long the hourly statistics of the devices' links are kept.",
            "720 rows a device."),
    Setting("GATHER_MS", 2.0, "ms", 0, 20,
            "How long a quiet hub waits for more readings before it commits.",
            "Frames of the same moment share one disk sync."),
    Setting("COMMIT_READINGS", 20_000, "readings", 1_000, 1_000_000,
            "Readings of one commit; one longer message still goes whole.",
            "Keeps a commit, and so an acknowledgement, in the milliseconds."),
    Setting("HELD_BYTES", 64 * MIB, "bytes", MIB, 4_096 * MIB,
            "Readings that wait for their commit; beyond it sockets are not read.",
            "Bounds the memory of a hub whose database is away."),
    Setting("JOURNAL_BYTES", 2_048 * MIB, "bytes", 64 * MIB, 1_048_576 * MIB,
            "Readings that are in no block yet; beyond it devices are asked to wait.",
            "100 million readings: minutes of the fastest fleet without a sealer."),
    Setting("DISK_RESERVE_BYTES", 256 * MIB, "bytes", 0, 1_048_576 * MIB,
            "What the disk of a SQLite file keeps free; below it devices are asked "
            "to wait.",
            "Deleting needs space as well: a full disk could not be emptied."),
    Setting("RAW_DAYS", 30, "days", 1, 36_500,
            "How long readings are kept as they came, where no group says otherwise.",
            "A month at full detail; then rows of 5 minutes take a tenth or less."),
    Setting("TIER_DAYS", 1_826, "days", 1, 36_500,
            "How long rows of 5 minutes are kept, where no group says otherwise.",
            "Five years: the same month can be compared."),
    Setting("DISK_BUDGET_BYTES", 0, "bytes", 0, 1_048_576 * MIB,
            "What the database may take; beyond it the oldest readings are thinned "
            "out and then deleted, whatever their days. 0 = no limit.",
            "Only who installs the hub knows what else the disk is for."),
    Setting("TAIL_READINGS", 5_000_000, "readings", 10_000, 1_000_000_000,
            "Newest readings that are kept in memory; older ones are read from disk.",
            "20 bytes each: 100 MB at most, some passes of the sealer."),
    Setting("SEAL_READINGS", 1_000_000, "readings", 1_000, 20_000_000,
            "So many readings in the journal begin a pass of the sealer, and are one.",
            "Longer parts compress better; a pass takes about 40 bytes a reading."),
    Setting("SEAL_SECONDS", 3_600.0, "s", 1, 86_400,
            "After so long readings are sealed, however few; every 30 s at most.",
            "A slow fleet's journal stays short. A pass takes what is folded."),
    Setting("READ_READINGS", 50_000_000, "readings", 100_000, 1_000_000_000,
            "Readings that one request for a page's history may make the hub read.",
            "An hour of 1,000 series at 10 Hz is 36 million."),
    Setting("DRAIN_SECONDS", 20.0, "s", 0.1, 600,
            "How long a hub that stops has for the last commits, and of it 3 s (or a "
            "quarter) for what it writes after them; what hangs is ended 4 s later.",
            "Shorter than a service manager's patience."),
    Setting("DRAIN_WAIT_SECONDS", 1.0, "s", 0, 60,
            "How long a worker that is to stop says so on `/readyz`, and still works.",
            "A load balancer that looks every second or two sends nobody more."),
    Setting("STATEMENT_SECONDS", 30.0, "s", 1, 3_600,
            "How long PostgreSQL may take for one statement; then the hub gives up the "
            "connection and makes another. Sealing and retention have 60 times this.",
            "Three times as long as a process that is stopped can hold a lock, and "
            "half of what proxies wait for an answer."),
    Setting("LIVE_CHECK_SECONDS", 3.0, "s", 0.05, 30,
            "How often the sessions and rights of all open pages are looked at again.",
            "A log-out or a removed right reaches open pages within 5 s."),
    Setting("LIVE_RING_BYTES", 8 * MIB, "bytes", 65_536, 1_024 * MIB,
            "What is remembered of one watched group for slow and returning pages.",
            "20 s of 1,000 series at 10 Hz; who is further behind starts afresh."),
)
# fmt: on

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


@functools.cache
def value(name: str) -> Value:
    """The value of TELEMETRY_`name`.

    Raises ImproperlyConfigured with one sentence if it is wrong, and KeyError if
    the table has no such line.
    """
    setting = BY_NAME[name]
    given = getattr(settings, setting.variable, os.environ.get(setting.variable))
    if given is None or given == "":
        return _default(setting)
    return parse(setting, given)


@functools.cache
def limits() -> Limits:
    """The limits of the wire contract, with the settings applied."""
    read: dict[str, Value] = {
        field.name: value(field.name.upper()) for field in dataclasses.fields(Limits)
    }
    build: Callable[..., Limits] = Limits
    return build(**read)


def reset() -> None:
    """Forget what was read, for tests that change settings."""
    value.cache_clear()
    limits.cache_clear()


def parse(setting: Setting, given: object) -> Value:
    """`given` (text from the environment, or a Python number) as the setting's type."""
    number = _number(setting, given)
    if number is None or not setting.minimum <= number <= setting.maximum:
        raise ImproperlyConfigured(
            f"{setting.variable}: expected {setting.expected}, "
            f"got {str(given)[:100]!r}."
        )
    return number


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise ImproperlyConfigured for the first wrong TELEMETRY_ value or name."""
    for variable, given in environ.items():
        if variable.startswith(PREFIX):
            check_name(variable)
            if given:
                parse(BY_NAME[variable.removeprefix(PREFIX)], given)


def check_name(variable: str) -> None:
    """Raise ImproperlyConfigured if no setting has this name: it would do nothing."""
    name = variable.removeprefix(PREFIX)
    if name in BY_NAME:
        return
    near = difflib.get_close_matches(name, BY_NAME, n=1)
    hint = (
        f"did you mean {PREFIX}{near[0]}?"
        if near
        else "see docs/reference/settings.md."
    )
    raise ImproperlyConfigured(
        f"{variable}: expected the name of a setting, got an unknown one; {hint}"
    )


def _default(setting: Setting) -> Value:
    if setting.name == "DEVICE_BURST":
        return 10 * int(value("DEVICE_RATE"))
    return setting.default


def _number(setting: Setting, given: object) -> Value | None:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        number = setting.type(given)
    except (ValueError, OverflowError):
        return None
    if isinstance(given, float) and number != given:
        return None  # 1.5 for a whole number.
    return number if math.isfinite(number) else None
