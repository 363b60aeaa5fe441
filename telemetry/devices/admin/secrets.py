"""What keys and access tokens share in the admin: their states, and how one is shown.

A secret is in the answer to a POST and nowhere else: not in an address, the session,
the admin's log or a cache. A page that is loaded again makes no second one (`once`).
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables


class StateFilter(admin.SimpleListFilter):
    """Whether a key or a token still opens anything."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("valid", _("Valid")),
            ("expired", _("Expired")),
            ("revoked", _("Revoked")),
            ("unused", _("Never used")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        is_over = Q(expires_at__lte=timezone.now())
        rules = {
            "valid": Q(revoked_at=None) & ~is_over,
            "expired": Q(revoked_at=None) & is_over,
            "revoked": Q(revoked_at__isnull=False),
            "unused": Q(last_used_at=None),
        }
        rule = rules.get(self.value() or "")
        return queryset if rule is None else queryset.filter(rule)


@sensitive_variables("context")
def shown_once(
    request: HttpRequest,
    model_admin: admin.ModelAdmin[Any],
    template: str,
    context: dict[str, Any],
) -> HttpResponse:
    """The page with a new secret, which nothing on the way may keep.

    context: what `admin/telemetry/secret_base.html` and the template want.
    """
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        **context,
    }
    response = TemplateResponse(request, template, context)
    response.headers["Cache-Control"] = "no-store"
    return response
