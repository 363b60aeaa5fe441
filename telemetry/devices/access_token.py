"""Access tokens: what a screen on a wall or a script shows instead of logging in."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .models import Changed, DeviceGroup


class TokenKind(models.TextChoices):
    """Whom a token is for."""

    KIOSK = "kiosk", _("Kiosk")
    SCRIPT = "script", _("Script")


class AccessToken(Changed):
    """A read-only right of one user, handed on as a link or to a script; a hash."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="access_tokens",
        verbose_name=_("user"),
        help_text=_("It never sees more than this user does."),
    )
    kind = models.CharField(_("kind"), max_length=8, choices=TokenKind.choices)
    name = models.CharField(_("name"), max_length=120)
    groups = models.ManyToManyField(
        DeviceGroup,
        verbose_name=_("groups"),
        related_name="access_tokens",
        blank=True,
        help_text=_(
            "A kiosk shows these; a script without any sees all that its user sees."
        ),
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
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")

    def __str__(self) -> str:
        return self.name

    @property
    def shown_prefix(self) -> str:
        """What lists and logs call it."""
        return f"hubt_{self.prefix}_…"

    def is_usable(self, now: datetime) -> bool:
        """Whether it still opens anything; its user's own end is asked of the user."""
        is_over = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not is_over
