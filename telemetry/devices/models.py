"""What people edit (devices, groups, rights) and what the hub writes about devices.

Configuration carries `changed_at`, so that each process re-reads what changed;
deleting a device or a series is a tombstone (`deleted_at`). Hot state lives in
tables of its own, which no admin form ever saves.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..protocol import names

if TYPE_CHECKING:
    from django.db.models.base import ModelBase

M = TypeVar("M", bound=models.Model)


def validate_time_zone(name: str) -> None:
    """Refuse a name that the time zone database does not know."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(
            _("expected a time zone such as Europe/Berlin, got “%(name)s”"),
            params={"name": name},
        )


class ChangedQuerySet(models.QuerySet[M]):
    """Keeps `changed_at` true where `save` is not called."""

    def update(self, **fields: Any) -> int:
        fields.setdefault("changed_at", timezone.now())
        return super().update(**fields)


class Changed(models.Model):
    """A row that open sockets depend on: processes re-read it by `changed_at`."""

    changed_at = models.DateTimeField(
        _("changed"), auto_now=True, db_index=True, editable=False
    )

    objects: ClassVar[Any] = ChangedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(
        self,
        *,
        force_insert: bool | tuple[ModelBase, ...] = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        if update_fields is not None:
            update_fields = {*update_fields, "changed_at"}
        super().save(
            force_insert=force_insert,
            force_update=force_update,
            using=using,
            update_fields=update_fields,
        )


class TombstoneQuerySet(ChangedQuerySet[M]):
    """Deleting marks; `alive()` is what there is for people and sockets."""

    def alive(self) -> TombstoneQuerySet[M]:
        return self.filter(deleted_at=None)

    def delete(self) -> tuple[int, dict[str, int]]:
        marked = self.alive().update(deleted_at=timezone.now())
        return marked, {self.model._meta.label: marked}

    # Not on the manager: Django says so of its own `delete`, and templates may not.
    delete.queryset_only = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]


class Tombstone(Changed):
    """A row whose readings outlive it until a job has removed them."""

    deleted_at = models.DateTimeField(
        _("deleted"), null=True, blank=True, editable=False
    )

    objects: ClassVar[Any] = TombstoneQuerySet.as_manager()

    class Meta:
        abstract = True

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        self.deleted_at = timezone.now()
        self.save(using=using, update_fields=["deleted_at"])
        return 1, {self._meta.label: 1}


# RegexValidator searches: without \A the end of a wrong name would do.
slug_validator = RegexValidator(
    rf"\A{names.SLUG.pattern}",
    _("expected a-z, 0-9, “-” and “_”, beginning with a letter or digit"),
)
metric_name_validator = RegexValidator(
    rf"\A{names.METRIC_NAME.pattern}",
    _("expected a letter or “_”, then up to 63 letters, digits or _ . : / -"),
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


class Role(models.TextChoices):
    """What a person may do in a group."""

    VIEWER = "viewer", _("Viewer")
    OPERATOR = "operator", _("Operator")


class GroupAccessQuerySet(ChangedQuerySet[M]):
    """Taking rights away tells the group, which open sockets listen to."""

    def delete(self) -> tuple[int, dict[str, int]]:
        groups = list(self.order_by().values_list("group_id", flat=True))
        with transaction.atomic():
            DeviceGroup.objects.filter(pk__in=groups).update()
            return super().delete()

    delete.queryset_only = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]


class GroupAccess(Changed):
    """A person's, or a group of people's, role in a device group."""

    group = models.ForeignKey(
        DeviceGroup,
        models.CASCADE,
        related_name="access",
        verbose_name=_("device group"),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
    )
    user_group = models.ForeignKey(
        Group,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("group of users"),
    )
    role = models.CharField(
        _("role"), max_length=16, choices=Role.choices, default=Role.VIEWER
    )

    objects: ClassVar[Any] = GroupAccessQuerySet.as_manager()

    class Meta:
        verbose_name = _("access to a group")
        verbose_name_plural = _("access to groups")
        constraints = [
            models.CheckConstraint(
                name="group_access_is_for_one",
                condition=models.Q(user=None) ^ models.Q(user_group=None),
                violation_error_message=_("Choose a user or a group of users, one."),
            ),
            models.UniqueConstraint(
                fields=["group", "user"], name="group_access_once_a_user"
            ),
            models.UniqueConstraint(
                fields=["group", "user_group"], name="group_access_once_a_user_group"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.user_group}: {self.group} ({self.role})"

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=using):
            # The row goes, so the group has to say that rights changed.
            DeviceGroup.objects.filter(pk=self.group_id).update()
            return super().delete(using=using, keep_parents=keep_parents)


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


class Kind(models.TextChoices):
    """What the values of a series are."""

    NUMBER = "number", _("Number")
    BOOLEAN = "boolean", _("Boolean")
    TEXT = "text", _("Text")


class Metric(models.Model):
    """An optional catalogue by name: what a new series of that name starts with."""

    name = models.CharField(
        _("name"), max_length=64, unique=True, validators=[metric_name_validator]
    )
    label = models.CharField(_("label"), max_length=120, blank=True)
    unit = models.CharField(_("unit"), max_length=32, blank=True)
    kind = models.CharField(
        _("kind"), max_length=16, choices=Kind.choices, default=Kind.NUMBER
    )
    decimals = models.PositiveSmallIntegerField(
        _("decimals"), null=True, blank=True, validators=[MaxValueValidator(12)]
    )
    plausible_min = models.FloatField(
        _("lowest plausible value"), null=True, blank=True
    )
    plausible_max = models.FloatField(
        _("highest plausible value"), null=True, blank=True
    )

    class Meta:
        ordering = ["name"]
        verbose_name = _("metric")
        verbose_name_plural = _("metrics")

    def __str__(self) -> str:
        return self.name


class Series(Tombstone):
    """One metric of one device; its id is what a reading carries."""

    device = models.ForeignKey(
        Device, models.CASCADE, related_name="series", verbose_name=_("device")
    )
    name = models.CharField(
        _("name"), max_length=64, validators=[metric_name_validator]
    )
    kind = models.CharField(
        _("kind"), max_length=16, choices=Kind.choices, default=Kind.NUMBER
    )
    unit = models.CharField(_("unit"), max_length=32, blank=True)
    label = models.CharField(_("label"), max_length=120, blank=True)
    decimals = models.PositiveSmallIntegerField(
        _("decimals"), null=True, blank=True, validators=[MaxValueValidator(12)]
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["device", "name"]
        verbose_name = _("series")
        verbose_name_plural = _("series")
        constraints = [
            models.UniqueConstraint(
                fields=["device", "name"],
                condition=models.Q(deleted_at=None),
                name="series_once_a_device",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Theme(models.TextChoices):
    AUTO = "auto", _("As the system")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class Preferences(models.Model):
    """How one user wants to see the pages."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="preferences",
        verbose_name=_("user"),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text=_("Unset: UTC."),
    )
    language = models.CharField(_("language"), max_length=16, blank=True)
    theme = models.CharField(
        _("theme"), max_length=8, choices=Theme.choices, default=Theme.AUTO
    )

    class Meta:
        verbose_name = _("preferences")
        verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return str(self.user)


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
