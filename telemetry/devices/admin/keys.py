"""Keys in the admin: whose, used when, ended how. Never their hashes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import credentials
from ..models import Credential
from .columns import moment_tag
from .common import STYLE, log_changes
from .forms import RevokeForm
from .secrets import StateFilter


class KeyColumns:
    """What people may know of a key. Never its hash."""

    @admin.display(description=gettext_lazy("key"), ordering="prefix")
    def shown_prefix(self, credential: Credential) -> SafeString:
        return format_html("<code>{}</code>", credential)

    @admin.display(description=gettext_lazy("state"))
    def state(self, credential: Credential) -> str:
        if credential.revoked_at is not None:
            return _("Revoked")
        if credential.expires_at and credential.expires_at <= timezone.now():
            return _("Expired")
        return _("Valid")

    @admin.display(description=gettext_lazy("last used"), ordering="last_used_at")
    def last_used(self, credential: Credential) -> str:
        return moment_tag(credential.last_used_at, timezone.now())


class CredentialInline(KeyColumns, admin.TabularInline):  # type: ignore[type-arg]
    """A device's keys; the box revokes. New ones come from the tool “New key”."""

    model = Credential
    form = RevokeForm
    extra = 0
    can_delete = False
    # Each row's caption is the key's prefix.
    fields = (
        *("state", "created_at", "last_used", "expires_at", "revoked_at"),
        "revoke",
    )
    readonly_fields = fields[:-1]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Credential)
class CredentialAdmin(KeyColumns, admin.ModelAdmin):  # type: ignore[type-arg]
    """All keys: whose is the one that leaked, which is never used, which ends soon."""

    list_display = (
        *("shown_prefix", "device", "state", "created_at", "last_used", "expires_at"),
    )
    list_filter = (StateFilter,)
    list_select_related = ("device",)
    search_fields = ("prefix", "device__slug", "device__name")
    search_help_text = gettext_lazy("The 8 characters of the prefix, or a device")
    show_full_result_count = False
    actions = ("revoke",)
    fields = (
        *("device", "shown_prefix", "state", "created_at", "last_used"),
        *("expires_at", "revoked_at"),
    )
    readonly_fields = fields

    class Media:
        css = STYLE

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may_view = request.user.has_perm("telemetry.view_credential")
        return may_view or self.has_revoke_permission(request)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("telemetry.change_credential")

    @admin.action(
        description=gettext_lazy("Revoke the selected keys"), permissions=["revoke"]
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[Credential]) -> None:
        revoked = [each for each in queryset if credentials.revoke(each)]
        message = ngettext(
            "Revoked %(count)d key.", "Revoked %(count)d keys.", len(revoked)
        ) % {"count": len(revoked)}
        log_changes(request, revoked, message)
        messages.success(request, message)
