"""What a person may do in a group, and how a person wants to see the pages."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from .changed import Changed, ChangedQuerySet, M
from .devices import DeviceGroup, validate_time_zone


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
