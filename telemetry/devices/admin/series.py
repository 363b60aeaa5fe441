"""Series in the admin, and the catalogue that new ones start with."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest

from .. import events
from ..models import Device, Metric, Series
from .common import PlainDeletionAdmin
from .forms import SeriesForm


class SeriesInline(admin.TabularInline):  # type: ignore[type-arg]
    """A device's series to read; each links to its own form.

    Hundreds of editable rows would pass Django's limit of fields in one form.
    """

    model = Series
    extra = 0
    can_delete = False
    show_change_link = True
    # Each row's caption is the name, with the link.
    fields = ("kind", "unit", "label", "decimals", "created_at")
    readonly_fields = fields
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Series]:
        return super().get_queryset(request).filter(deleted_at=None)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = request.user.has_perm
        return may("telemetry.view_series") or may("telemetry.change_series")


@admin.register(Series)
class SeriesAdmin(PlainDeletionAdmin):
    form = SeriesForm
    list_display = ("name", "device", "kind", "unit", "label", "decimals")
    list_filter = ("kind",)
    list_select_related = ("device",)
    search_fields = ("name", "label", "device__slug", "device__name")
    show_full_result_count = False
    # What came in already is of this kind, and the device calls it so.
    identity = ("device", "name", "kind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Series]:
        series: QuerySet[Series] = super().get_queryset(request)
        return series.filter(deleted_at=None, device__deleted_at=None)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Series | None = None
    ) -> tuple[str, ...]:
        return self.identity if obj else ()

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "device":
            kwargs["queryset"] = Device.objects.alive()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: Series, form: Any, change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        if form.changed_data:
            events.note_edit([obj.device_id], ["series"])


@admin.register(Metric)
class MetricAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "label", "unit", "kind", "decimals")
    list_filter = ("kind",)
    search_fields = ("name", "label")
