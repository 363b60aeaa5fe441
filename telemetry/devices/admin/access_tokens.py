"""Access tokens in the admin: made, listed, ended. A secret is shown once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_variables

from .. import once, tokens
from ..access_token import AccessToken, TokenKind
from .columns import moment_tag
from .common import STYLE, log_changes
from .secrets import StateFilter, shown_once
from .token_forms import AccessTokenForm

# Where a request keeps the secret that it has just made.
SECRET = "_new_secret"  # noqa: S105


@admin.register(AccessToken)
class AccessTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """All tokens: which screen or script, what it sees, whether it is used."""

    form = AccessTokenForm
    list_display = (
        *("name", "kind", "user", "state", "in_groups", "last_used", "expires_at"),
        "shown_prefix",
    )
    list_filter = (StateFilter, "kind", "groups")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username")
    search_help_text = gettext_lazy("Name, user, or the 8 characters of the prefix")
    show_full_result_count = False
    filter_horizontal = ("groups",)
    actions = ("revoke",)
    # What it was made for stays: a screen's link becomes no script's.
    kept = (
        *("kind", "user", "shown_prefix", "state", "created_at", "last_used"),
        "revoked_at",
    )
    change_form_template = "admin/telemetry/accesstoken/change_form.html"

    class Media:
        css = STYLE

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessToken]:
        found: QuerySet[AccessToken] = super().get_queryset(request)
        return found.prefetch_related("groups")

    def get_fields(self, request: HttpRequest, obj: AccessToken | None = None) -> Any:
        fields = ("name", "groups", "expires_at")
        return (*fields, *self.kept) if obj else ("kind", "user", *fields)

    def get_readonly_fields(
        self, request: HttpRequest, obj: AccessToken | None = None
    ) -> tuple[str, ...]:
        return self.kept if obj else ()

    # Columns.

    @admin.display(description=gettext_lazy("state"))
    def state(self, token: AccessToken) -> str:
        if token.revoked_at is not None:
            return _("Revoked")
        if not token.is_usable(timezone.now()):
            return _("Expired")
        return _("Valid") if token.user.is_active else _("Its user is inactive")

    @admin.display(description=gettext_lazy("groups"))
    def in_groups(self, token: AccessToken) -> str:
        names = ", ".join(group.name for group in token.groups.all())
        return names or _("all that its user sees")

    @admin.display(description=gettext_lazy("last used"), ordering="last_used_at")
    def last_used(self, token: AccessToken) -> str:
        return moment_tag(token.last_used_at, timezone.now())

    @admin.display(description=gettext_lazy("in lists"), ordering="prefix")
    def shown_prefix(self, token: AccessToken) -> SafeString:
        return format_html('<code translate="no">{}</code>', token.shown_prefix)

    # Making one.

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method == "POST" and once.is_repeat(request):
            messages.warning(request, _("That token was made and shown before."))
            return HttpResponseRedirect(_list_url())
        context = {**(extra_context or {}), "token": once.new_token()}
        return super().add_view(request, form_url, context)

    @sensitive_variables("secret")
    def save_model(
        self,
        request: HttpRequest,
        obj: AccessToken,
        form: ModelForm[AccessToken],
        change: bool,
    ) -> None:
        if not change:
            # As long as this answer is made, and no longer.
            setattr(request, SECRET, tokens.give_secret(obj))
        super().save_model(request, obj, form, change)

    @sensitive_variables("secret", "context")
    def response_add(
        self,
        request: HttpRequest,
        obj: AccessToken,
        post_url_continue: str | None = None,
    ) -> HttpResponse:
        once.note_done(request)
        secret: str = getattr(request, SECRET)
        is_kiosk = obj.kind == TokenKind.KIOSK
        context = {
            "title": _("The secret of “%(name)s”") % {"name": obj},
            "object": obj,
            "expires_at": obj.expires_at,
            "shown_prefix": obj.shown_prefix,
            "secret": secret,
            "kiosk_link": settings.HUB_URL + reverse("kiosk", args=[secret])
            if is_kiosk
            else "",
            "socket_url": "ws" + settings.HUB_URL.removeprefix("http") + "/ws/live",
            "readings_url": settings.HUB_URL + reverse("api-readings"),
        }
        template = "admin/telemetry/accesstoken/secret.html"
        return shown_once(request, self, template, context)

    # Ending some.

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("telemetry.change_accesstoken")

    @admin.action(
        description=gettext_lazy("Revoke the selected access tokens…"),
        permissions=["revoke"],
    )
    def revoke(
        self, request: HttpRequest, queryset: QuerySet[AccessToken]
    ) -> HttpResponse | None:
        open_ones = [each for each in queryset if each.revoked_at is None]
        if open_ones and request.POST.get("is_confirmed") != "yes":
            return self._ask(request, open_ones)
        revoked = [each for each in open_ones if tokens.revoke(each)]
        message = ngettext(
            "Revoked %(count)d access token.",
            "Revoked %(count)d access tokens.",
            len(revoked),
        ) % {"count": len(revoked)}
        log_changes(request, revoked, message)
        messages.success(request, message)
        return None

    def _ask(
        self, request: HttpRequest, selected: list[AccessToken]
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Revoke access tokens?"),
            "opts": self.opts,
            "selected": selected,
            "field": ACTION_CHECKBOX_NAME,
        }
        template = "admin/telemetry/accesstoken/revoke.html"
        return TemplateResponse(request, template, context)


def _list_url() -> str:
    return reverse("admin:telemetry_accesstoken_changelist")
