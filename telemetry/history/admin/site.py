"""The admin site: Django's, with a page about storage and word of faults."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext as _

from . import fault_list, storage_page


class HubAdminSite(AdminSite):
    """What `django.contrib.admin.site` is in this project."""

    def get_urls(self) -> list[URLPattern | URLResolver]:
        wrap = self.admin_view
        own: list[URLPattern | URLResolver] = [
            path(
                "storage/",
                wrap(lambda request: storage_page.storage(self, request)),
                name="storage",
            ),
            path(
                "storage/faults/<int:fault_id>/dismiss/",
                wrap(fault_list.dismiss),
                name="storage_dismiss",
            ),
        ]
        return [*own, *super().get_urls()]

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        fault_count = fault_list.open_faults().count()
        context = {
            # It has a link of its own to the storage page, with a word about it.
            "app_list": super().get_app_list(request),
            **(extra_context or {}),
            "fault_count": fault_count,
        }
        return super().index(request, context)

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[Any]:
        """With the storage page in the side list, below the hub's own tables."""
        apps = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "telemetry":
                app["models"].append(
                    {
                        "name": _("Storage"),
                        "object_name": "Storage",
                        "admin_url": reverse("admin:storage"),
                        "add_url": None,
                        "view_only": True,
                        "perms": {},
                    }
                )
        return apps
