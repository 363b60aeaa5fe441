"""What the hub writes down about each device: what happened, and how its link does.

Written in batches by `events.py` and `quality.py`; nobody edits them. No foreign keys:
they are many, and a device's tombstone outlives them.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class EventKind(models.TextChoices):
    """What happened to a device."""

    CONNECTED = "connected", _("Connected")
    DISCONNECTED = "disconnected", _("Disconnected")
    KEY_USED = "key_used", _("Key used for the first time")
    CONFIG_CHANGED = "config_changed", _("Configuration changed")
    FIRMWARE = "firmware", _("Firmware changed")
    LATE = "late", _("Late")
    LEFT_OUT = "left_out", _("Left out")


class DeviceEvent(models.Model):
    """One thing that happened to a device, at the hub's time."""

    device_id = models.BigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=16, choices=EventKind.choices)
    # Of a socket that ended: why, as in the protocol. Of what was left out: how many.
    # Else 0.
    code = models.PositiveIntegerField(default=0)
    # What it is about: the key's prefix, the address, the names of changed fields.
    text = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["device_id", "-at"], name="event_by_device"),
            models.Index(fields=["at"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.device_id} {self.kind} {self.at:%Y-%m-%d %H:%M:%S}"


class DeviceHour(models.Model):
    """An hour of a device's link, added up."""

    device_id = models.BigIntegerField()
    # Hours since the epoch.
    hour = models.IntegerField()
    readings = models.BigIntegerField(default=0)
    connects = models.IntegerField(default=0)
    # Batches that came again and were stored once; batches whose `seq` never came.
    sent_again = models.BigIntegerField(default=0)
    lost = models.BigIntegerField(default=0)
    # Values that were refused, whatever the reason.
    rejected = models.BigIntegerField(default=0)
    online_seconds = models.FloatField(default=0.0)
    # Round trips of the hub's pings: how many by the number of their bucket.
    latency = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device_id", "hour"], name="device_hour_once"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="device_hour_by_hour")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.hour}"
