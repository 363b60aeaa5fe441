"""The forms of access tokens: their secrets are in none of them."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from ..access_token import AccessToken, TokenKind


class AccessTokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """A token that is made, or given another name, end or groups."""

    class Meta:
        model = AccessToken
        fields: ClassVar[list[str]] = ["name", "kind", "user", "groups", "expires_at"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get("kind") or self.instance.kind
        has_groups = "groups" not in cleaned or cleaned["groups"].exists()
        if kind == TokenKind.KIOSK and not has_groups and "groups" not in self.errors:
            self.add_error("groups", _("Expected a group for the screen to show."))
        return cleaned

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        # The field shows whole seconds.
        kept = self.instance.expires_at and self.instance.expires_at.replace(
            microsecond=0
        )
        if expires_at and expires_at != kept and expires_at <= timezone.now():
            raise ValidationError(_("Expected a moment to come, got one that is over."))
        return expires_at
