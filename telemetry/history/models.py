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
