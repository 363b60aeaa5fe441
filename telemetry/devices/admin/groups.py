"""Device groups in the admin, with who may see them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from ..models import DeviceGroup, GroupAccess
from .common import PlainDeletionAdmin
from .forms import DeviceGroupForm


class GroupAccessInline(admin.TabularInline):  # type: ignore[type-arg]
    model = GroupAccess
    extra = 0
    fields = ("user", "user_group", "role")


@admin.register(DeviceGroup)
class DeviceGroupAdmin(PlainDeletionAdmin):
    form = DeviceGroupForm
    list_display = ("name", "slug", "device_count", "online_count", "auto_create")
    search_fields = ("name", "slug")
    inlines = (GroupAccessInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeviceGroup]:
        is_alive = Q(devices__deleted_at=None)
        groups: QuerySet[DeviceGroup] = super().get_queryset(request)
        return groups.annotate(
            devices_alive=Count("devices", filter=is_alive),
            devices_online=Count(
                "devices", filter=is_alive & Q(devices__presence__is_online=True)
            ),
        )

    def view_on_site(self, group: DeviceGroup) -> str:
        return reverse("group", args=[group.slug])

    @admin.display(description=gettext_lazy("devices"), ordering="devices_alive")
    def device_count(self, group: Any) -> SafeString:
        url = reverse("admin:telemetry_device_changelist")
        return format_html(
            '<a href="{}?groups__id__exact={}">{}</a>',
            url,
            group.pk,
            group.devices_alive,
        )

    @admin.display(description=gettext_lazy("connected"), ordering="devices_online")
    def online_count(self, group: Any) -> int:
        return int(group.devices_online)
