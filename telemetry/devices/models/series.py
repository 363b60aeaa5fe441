"""What a device measures: its series, and the catalogue that new ones start with."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ...protocol import names
from .changed import Tombstone
from .devices import Device

# RegexValidator searches: without \A the end of a wrong name would do.
metric_name_validator = RegexValidator(
    rf"\A{names.METRIC_NAME.pattern}",
    _("expected a letter or “_”, then up to 63 letters, digits or _ . : / -"),
)


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
