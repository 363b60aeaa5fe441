"""The project's addresses: the admin, translations for scripts, and the app's own."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.i18n import JavaScriptCatalog

urlpatterns = [
    path("admin/", admin.site.urls),
    path(
        "jsi18n/",
        JavaScriptCatalog.as_view(packages=["telemetry"]),
        name="javascript-catalog",
    ),
    path("", include("telemetry.urls")),
]

handler500 = "hub_project.errors.failed"
