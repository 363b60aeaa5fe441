"""What the admin's pages share: plain deletions, and one log line a changed row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest

# Every page that shows a status or a moment.
STYLE = {"all": ["telemetry/css/devices_admin.css"]}


class PlainDeletionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The page that asks before a deletion names what goes, not every row below it.

    A tombstone takes no other row along, and a group none that anybody wrote.
    """

    def get_deleted_objects(
        self, objs: Iterable[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        opts = self.opts
        needed = set() if self.has_delete_permission(request) else {opts.verbose_name}
        named = [str(obj) for obj in objs]
        counts = {str(opts.verbose_name_plural): len(named)}
        return named, counts, {str(name) for name in needed}, []

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.model._default_manager.filter(pk__in=ids_of(queryset)).delete()


def ids_of(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The selected rows by id: a joined, annotated selection cannot be updated."""
    return queryset.order_by().values("pk")


def log_changes(request: HttpRequest, changed: Sequence[Model], message: str) -> None:
    """A line in the admin's log for each changed row, in one query."""
    if changed and request.user.pk is not None:
        LogEntry.objects.log_actions(
            user_id=request.user.pk,
            queryset=changed,
            action_flag=CHANGE,
            change_message=message,
        )
