"""Users in the admin, with how they want to see the pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest

from ..models import Preferences
from .forms import PreferencesForm


class PreferencesInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Preferences
    form = PreferencesForm
    can_delete = False


admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    """Django's own, with what the person prefers."""

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return (PreferencesInline,) if obj else ()
