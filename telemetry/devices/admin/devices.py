"""Devices in the admin: how each one is, and bulk edits.

Deleting is a tombstone and bulk edits go through QuerySet.update, which stamps
`changed_at`: so every edit reaches open sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import events, once
from ..models import Device, DeviceGroup
from . import connection, key_page
from .columns import moment_tag, presence_of, status_at, status_tag
from .common import STYLE, PlainDeletionAdmin, ids_of, log_changes
from .forms import DeviceForm
from .keys import CredentialInline
from .series import SeriesInline


class OnlineFilter(admin.SimpleListFilter):
    """Whether a socket is open."""

    title = gettext_lazy("connection")
    parameter_name = "online"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("yes", _("Connected")),
            ("no", _("Not connected")),
            ("never", _("Never seen")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Device]
    ) -> QuerySet[Device]:
        if self.value() == "yes":
            return queryset.filter(presence__is_online=True)
        if self.value() == "no":
            return queryset.exclude(presence__is_online=True)
        if self.value() == "never":
            return queryset.filter(presence__last_seen_at=None)
        return queryset


@admin.register(Device)
class DeviceAdmin(PlainDeletionAdmin):
    form = DeviceForm
    list_display = ("name", "status", "slug", "in_groups", "last_seen", "firmware")
    list_display_links = ("name",)
    list_filter = (OnlineFilter, "groups", "is_enabled", "is_paused")
    list_select_related = ("presence",)
    list_per_page = 100
    show_full_result_count = False
    search_fields = (
        *("name", "slug", "serial", "tags", "firmware"),
        "credentials__prefix",
    )
    search_help_text = gettext_lazy(
        "Name, slug, serial number, tag, firmware, or the prefix of a key"
    )
    filter_horizontal = ("groups",)
    readonly_fields = (
        *("status", "firmware", "created_at"),
        *("connected", "last_seen", "address", "last_close", "clock"),
    )
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ["name", "slug", "groups", "is_enabled", "is_paused"]}),
        (
            gettext_lazy("State"),
            {"fields": ["status", "firmware", "created_at"]},
        ),
        (
            gettext_lazy("Connection"),
            {"fields": ["connected", "last_seen", "address", "last_close", "clock"]},
        ),
        (
            gettext_lazy("Details"),
            {
                "fields": [
                    *("expected_period_seconds", "serial", "tags", "notes"),
                    *("time_zone", "latitude", "longitude"),
                ]
            },
        ),
    ]
    inlines = (CredentialInline, SeriesInline)
    actions = ("enable", "disable", "pause", "resume")
    save_on_top = True
    change_form_template = "admin/telemetry/device/change_form.html"

    class Media:
        css = STYLE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        devices: QuerySet[Device] = super().get_queryset(request)
        return devices.filter(deleted_at=None).select_related("presence")

    def get_fieldsets(self, request: HttpRequest, obj: Device | None = None) -> Any:
        # A device that is being added has no state yet.
        return [*self.fieldsets[:1], *self.fieldsets[1 if obj else 3 :]]

    def get_inlines(self, request: HttpRequest, obj: Device | None) -> Any:
        return self.inlines if obj else ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        changelist.queryset = changelist.queryset.prefetch_related("groups")
        changelist.result_list = changelist.result_list.prefetch_related("groups")
        return changelist

    def view_on_site(self, device: Device) -> str:
        return reverse("device", args=[device.slug])

    # Columns.

    @admin.display(description=gettext_lazy("status"))
    def status(self, device: Device) -> SafeString:
        return status_tag(status_at(device, timezone.now()))

    @admin.display(description=gettext_lazy("groups"))
    def in_groups(self, device: Device) -> str:
        return ", ".join(group.name for group in device.groups.all())

    @admin.display(
        description=gettext_lazy("last seen"), ordering="presence__last_seen_at"
    )
    def last_seen(self, device: Device) -> str:
        presence = presence_of(device)
        seen_at = presence.last_seen_at if presence else None
        return moment_tag(seen_at, timezone.now())

    @admin.display(description=gettext_lazy("last address"))
    def address(self, device: Device) -> str:
        presence = presence_of(device)
        return (presence and presence.address) or "—"

    @admin.display(description=gettext_lazy("connection"))
    def connected(self, device: Device) -> SafeString | str:
        return connection.state(presence_of(device), timezone.now())

    @admin.display(description=gettext_lazy("last connection ended because"))
    def last_close(self, device: Device) -> str:
        return connection.last_close(presence_of(device))

    @admin.display(description=gettext_lazy("clock"))
    def clock(self, device: Device) -> str:
        return connection.clock(presence_of(device))

    # Edits.

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        new_key = path(
            "<path:object_id>/new-key/",
            wrap(lambda request, object_id: key_page.new_key(self, request, object_id)),
            name="telemetry_device_new_key",
        )
        return [new_key, *super().get_urls()]

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method == "POST" and once.is_repeat(request):
            messages.warning(
                request, _("That device was created, and its key shown, before.")
            )
            return HttpResponseRedirect(reverse("admin:telemetry_device_changelist"))
        context = {**(extra_context or {}), "token": once.new_token()}
        return super().add_view(request, form_url, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        may_issue = key_page.may_issue(request) and self.has_change_permission(request)
        context = {**(extra_context or {}), "may_issue": may_issue}
        return super().change_view(request, object_id, form_url, context)

    def response_add(
        self, request: HttpRequest, obj: Device, post_url_continue: str | None = None
    ) -> HttpResponse:
        if not key_page.may_issue(request):
            messages.info(request, _("Somebody who may make keys has to make one."))
            return super().response_add(request, obj, post_url_continue)
        return key_page.issue(self, request, obj)

    def save_related(
        self, request: HttpRequest, form: ModelForm[Device], formsets: Any, change: bool
    ) -> None:
        device = form.instance
        before = set(device.groups.values_list("pk", flat=True))
        super().save_related(request, form, formsets, change)
        after = set(device.groups.values_list("pk", flat=True))
        edited = [*form.changed_data]
        edited += [
            formset.prefix for formset in formsets if change and formset.has_changed()
        ]
        if change and edited:
            events.note_edit([device.pk], edited)
        # Joining and leaving changes the group as well.
        DeviceGroup.objects.filter(pk__in=before ^ after).update()

    # Actions.

    @admin.action(
        description=gettext_lazy("Enable the selected devices"), permissions=["change"]
    )
    def enable(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._set(request, queryset, "is_enabled", True, _enabled)

    @admin.action(
        description=gettext_lazy("Disable the selected devices"), permissions=["change"]
    )
    def disable(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._set(request, queryset, "is_enabled", False, _disabled)

    @admin.action(
        description=gettext_lazy("Pause the selected devices"), permissions=["change"]
    )
    def pause(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._set(request, queryset, "is_paused", True, _paused)

    @admin.action(
        description=gettext_lazy("Resume the selected devices"), permissions=["change"]
    )
    def resume(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._set(request, queryset, "is_paused", False, _resumed)

    def _set(
        self,
        request: HttpRequest,
        queryset: QuerySet[Device],
        column: str,
        is_on: bool,
        told: Callable[[int], str],
    ) -> None:
        selected = Device.objects.filter(pk__in=ids_of(queryset))
        others = list(selected.filter(**{column: not is_on}))
        changed = [device.pk for device in others]
        with transaction.atomic():
            Device.objects.filter(pk__in=changed).update(**{column: is_on})
            events.note_edit(changed, [column])
        message = told(len(others)) % {"count": len(others)}
        log_changes(request, others, message)
        messages.success(request, message)


def _enabled(count: int) -> str:
    return ngettext("Enabled %(count)d device.", "Enabled %(count)d devices.", count)


def _disabled(count: int) -> str:
    return ngettext("Disabled %(count)d device.", "Disabled %(count)d devices.", count)


def _paused(count: int) -> str:
    return ngettext("Paused %(count)d device.", "Paused %(count)d devices.", count)


def _resumed(count: int) -> str:
    return ngettext("Resumed %(count)d device.", "Resumed %(count)d devices.", count)
