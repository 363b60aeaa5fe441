"""Devices, their groups and keys, and whether they are there."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable
from typing import Any, ClassVar

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ...protocol import names
from .changed import Changed, ChangedQuerySet, M, Tombstone

# RegexValidator searches: without \A the end of a wrong name would do.
slug_validator = RegexValidator(
    rf"\A{names.SLUG.pattern}",
    _("expected a-z, 0-9, “-” and “_”, beginning with a letter or digit"),
)


def validate_time_zone(name: str) -> None:
    """Refuse a name that the time zone database does not know."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(
            _("expected a time zone such as Europe/Berlin, got “%(name)s”"),
            params={"name": name},
        )


def _end_tokens_of(groups: Iterable[models.Model]) -> None:
    """End the access tokens that are for these device groups alone.

    One of a script would see all that its user sees, once it has no group left.
    """
    tokens = apps.get_model("telemetry", "AccessToken").objects
    gone = [group.pk for group in groups]
    others = DeviceGroup.objects.exclude(pk__in=gone)
    ending = tokens.filter(revoked_at=None, groups__in=gone).exclude(groups__in=others)
    ids = list(ending.order_by().values_list("pk", flat=True))
    tokens.filter(pk__in=ids).update(revoked_at=timezone.now())


class DeviceGroupQuerySet(ChangedQuerySet[M]):
    """Deleting a group tells its devices, which outlive it."""

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            groups = list(self)
            Device.objects.filter(groups__in=groups).update()
            _end_tokens_of(groups)
            return super().delete()

    delete.queryset_only = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]


class DeviceGroup(Changed):
    """Devices that are watched together."""

    slug = models.CharField(
        _("slug"), max_length=64, unique=True, validators=[slug_validator]
    )
    name = models.CharField(_("name"), max_length=120)
    raw_days = models.PositiveIntegerField(
        _("days of raw readings"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Unset: the hub's default."),
    )
    tier_days = models.PositiveIntegerField(
        _("days of 5-minute summaries"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Unset: the hub's default."),
    )
    auto_create = models.BooleanField(
        _("new metrics make new series"),
        default=True,
        help_text=_("Off: values of a metric without a series are rejected."),
    )

    objects: ClassVar[Any] = DeviceGroupQuerySet.as_manager()

    class Meta:
        ordering = ["name", "slug"]
        verbose_name = _("device group")
        verbose_name_plural = _("device groups")

    def __str__(self) -> str:
        return self.name

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=using):
            # The row goes, so its devices have to say that something changed.
            self.devices.update()
            _end_tokens_of([self])
            return super().delete(using=using, keep_parents=keep_parents)


class Device(Tombstone):
    """A thing with an identity and a key."""

    slug = models.CharField(
        _("slug"), max_length=64, db_index=True, validators=[slug_validator]
    )
    name = models.CharField(_("name"), max_length=120)
    serial = models.CharField(_("serial number"), max_length=120, blank=True)
    tags = models.CharField(
        _("tags"), max_length=250, blank=True, help_text=_("Separated by commas.")
    )
    notes = models.TextField(_("notes"), blank=True)
    firmware = models.CharField(_("firmware"), max_length=64, blank=True)
    is_enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("Off: its sockets are closed.")
    )
    is_paused = models.BooleanField(
        _("paused"),
        default=False,
        help_text=_("Its readings are kept, but it is not judged late or offline."),
    )
    expected_period_seconds = models.FloatField(
        _("expected period in seconds"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001)],
        help_text=_("Unset: estimated from its last readings."),
    )
    time_zone = models.CharField(
        _("time zone"), max_length=64, blank=True, validators=[validate_time_zone]
    )
    latitude = models.FloatField(
        _("latitude"),
        null=True,
        blank=True,
        validators=[MinValueValidator(-90), MaxValueValidator(90)],
    )
    longitude = models.FloatField(
        _("longitude"),
        null=True,
        blank=True,
        validators=[MinValueValidator(-180), MaxValueValidator(180)],
    )
    groups = models.ManyToManyField(
        DeviceGroup, verbose_name=_("groups"), related_name="devices", blank=True
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        constraints = [
            models.UniqueConstraint(
                fields=["slug"],
                condition=models.Q(deleted_at=None),
                name="device_slug_once",
                violation_error_message=_("There is a device with this slug."),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Credential(Changed):
    """A device's key, as a hash; several may live at once, so that keys rotate."""

    device = models.ForeignKey(
        Device, models.CASCADE, related_name="credentials", verbose_name=_("device")
    )
    prefix = models.CharField(_("prefix"), max_length=8, unique=True, editable=False)
    sha256 = models.BinaryField(max_length=32, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(
        _("last used"), null=True, blank=True, editable=False
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("key")
        verbose_name_plural = _("keys")

    def __str__(self) -> str:
        return f"hub_{self.prefix}_…"


class DevicePresence(models.Model):
    """Hot state: whether a device's socket is open, and when it was last heard."""

    device = models.OneToOneField(
        Device, models.CASCADE, primary_key=True, related_name="presence"
    )
    is_online = models.BooleanField(default=False)
    # When is_online last became what it is.
    changed_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField(null=True)
    # Why the last socket ended: a close code, 0 while it is open.
    close_code = models.PositiveIntegerField(default=0)
    address = models.CharField(max_length=64, blank=True)
    # Device clock minus hub clock, estimated; null for a device without one.
    skew_ms = models.FloatField(null=True)
    # The process that has, or last had, its socket (a Writer's id); 0: none yet.
    writer_id = models.BigIntegerField(default=0)
    # When this row was last written: what other processes read anew.
    written_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return str(self.device_id)
