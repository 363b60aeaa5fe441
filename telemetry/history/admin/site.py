"""The admin site: Django's, with a page about storage and word of faults."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

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
        context = {**(extra_context or {}), "fault_count": fault_count}
        return super().index(request, context)
