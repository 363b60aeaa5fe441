"""Readings as they arrived, who wrote them, and how far each device's session got.

Nothing here has a database constraint on a series or a device: readings outlive
both until a job removes them.
"""

from __future__ import annotations

from django.db import models


class Writer(models.Model):
    """One start of one process. Never reused, so that (writer, number) never is."""

    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    # Set once nothing of it is unfolded and it will write no more.
    ended_at = models.DateTimeField(null=True, db_index=True)
    # Journal rows up to this number are in blocks.
    sealed_to = models.BigIntegerField(default=0)
    # Journal rows up to this number are in DeviceSession and SeriesHead.
    folded_to = models.BigIntegerField(default=0)


class Journal(models.Model):
    """One commit: all that the devices of a process sent in a few milliseconds."""

    pk = models.CompositePrimaryKey("writer_id", "number")
    writer_id = models.BigIntegerField()
    # Counts from 1 without a gap, within the writer.
    number = models.BigIntegerField()
    received_at = models.DateTimeField(db_index=True)
    count = models.IntegerField()
    # Before `columns`: a walk over the marks then never reads the readings.
    marks = models.BinaryField()
    columns = models.BinaryField()


class DeviceSession(models.Model):
    """How far one device's session has got, on disk."""

    device_id = models.BigIntegerField()
    session = models.CharField(max_length=32)
    last_seq = models.BigIntegerField()
    # Clock uptime: hub time minus uptime, µs; null for clock utc.
    offset_us = models.BigIntegerField(null=True)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device_id", "session"], name="device_session_once"
            )
        ]


class DeviceOwner(models.Model):
    """Which writer's commits may hold numbered batches of a device: one at a time.

    A `hello` moves it; a commit holds its writer's lock, reads the rows of its devices
    and leaves out what is another's (owners.py). Rows of writers that have ended mean
    nothing.
    """

    device_id = models.BigIntegerField(primary_key=True)
    writer_id = models.BigIntegerField()


class SeriesHead(models.Model):
    """The last value of a series: written by the hub, moved only forward."""

    series_id = models.BigIntegerField(primary_key=True)
    # The device's time, and what orders: min(time, arrival). µs since the epoch.
    time_us = models.BigIntegerField()
    effective_us = models.BigIntegerField()
    received_us = models.BigIntegerField()
    value = models.FloatField(null=True)
    # Of a series of kind text, whose `value` is null.
    text = models.CharField(max_length=256, blank=True)
    # Readings before this are thinned out; null: all are raw.
    raw_from_us = models.BigIntegerField(null=True)
    # How far apart its readings are, estimated; null: not known yet.
    period_us = models.BigIntegerField(null=True)


class TextReading(models.Model):
    """One reading of a series of kind text; low rate, so a row each."""

    series_id = models.BigIntegerField()
    time_us = models.BigIntegerField()
    received_us = models.BigIntegerField()
    value = models.CharField(max_length=256)

    class Meta:
        indexes = [
            models.Index(fields=["series_id", "time_us"], name="text_by_series_time")
        ]


class Block(models.Model):
    """Up to 16,384 readings of one series by time, compressed; or rows of a tier.

    The summary is over all its readings; see `summary.py`. Blocks of one series and
    resolution may touch and, where a block could not be read, overlap.
    """

    series_id = models.IntegerField()
    # What one row covers, in seconds; 0: raw readings.
    resolution_seconds = models.IntegerField(default=0)
    # The times of the first and the last reading, µs since the epoch.
    start_us = models.BigIntegerField()
    # Tells blocks apart that start at one time (a stuck clock).
    part = models.IntegerField(default=0)
    end_us = models.BigIntegerField()
    # How many rows `data` holds; of raw readings the same as `count`.
    length = models.IntegerField()
    count = models.BigIntegerField()
    minimum = models.FloatField()
    maximum = models.FloatField()
    sum = models.FloatField()
    first = models.FloatField()
    last = models.FloatField()
    increase = models.FloatField()
    # Value times seconds, each value held until the next.
    integral = models.FloatField()
    # Among the last ones of its series: new readings may be merged into it.
    is_open = models.BooleanField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["series_id", "resolution_seconds", "start_us", "part"],
                name="block_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["series_id", "resolution_seconds"],
                condition=models.Q(is_open=True),
                name="block_open",
            )
        ]


class Lease(models.Model):
    """Who may change blocks now. `token` grows with every claim and fences it."""

    name = models.CharField(max_length=32, primary_key=True)
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField()


class Fault(models.Model):
    """Something in the history that a person has to know of: a block that cannot
    be read, a series that could not be sealed as usual."""

    series_id = models.IntegerField()
    resolution_seconds = models.IntegerField(default=0)
    start_us = models.BigIntegerField()
    end_us = models.BigIntegerField()
    # What was expected and what was found.
    reason = models.CharField(max_length=256)
    noticed_at = models.DateTimeField()
    # A person has seen it. The row stays: readers look for damaged blocks by it.
    dismissed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["series_id", "resolution_seconds", "start_us", "end_us"],
                name="fault_once",
            )
        ]
