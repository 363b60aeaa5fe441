"""Rows that say when they changed, and those that deleting only marks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.db.models.base import ModelBase

M = TypeVar("M", bound=models.Model)


class ChangedQuerySet(models.QuerySet[M]):
    """Keeps `changed_at` true where `save` is not called."""

    def update(self, **fields: Any) -> int:
        fields.setdefault("changed_at", timezone.now())
        return super().update(**fields)


class Changed(models.Model):
    """A row that open sockets depend on: processes re-read it by `changed_at`."""

    changed_at = models.DateTimeField(
        _("changed"), auto_now=True, db_index=True, editable=False
    )

    objects: ClassVar[Any] = ChangedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(
        self,
        *,
        force_insert: bool | tuple[ModelBase, ...] = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        if update_fields is not None:
            update_fields = {*update_fields, "changed_at"}
        super().save(
            force_insert=force_insert,
            force_update=force_update,
            using=using,
            update_fields=update_fields,
        )


class TombstoneQuerySet(ChangedQuerySet[M]):
    """Deleting marks; `alive()` is what there is for people and sockets."""

    def alive(self) -> TombstoneQuerySet[M]:
        return self.filter(deleted_at=None)

    def delete(self) -> tuple[int, dict[str, int]]:
        marked = self.alive().update(deleted_at=timezone.now())
        return marked, {self.model._meta.label: marked}

    # Not on the manager: Django says so of its own `delete`, and templates may not.
    delete.queryset_only = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]


class Tombstone(Changed):
    """A row whose readings outlive it until a job has removed them."""

    deleted_at = models.DateTimeField(
        _("deleted"), null=True, blank=True, editable=False
    )

    objects: ClassVar[Any] = TombstoneQuerySet.as_manager()

    class Meta:
        abstract = True

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        self.deleted_at = timezone.now()
        self.save(using=using, update_fields=["deleted_at"])
        return 1, {self._meta.label: 1}
