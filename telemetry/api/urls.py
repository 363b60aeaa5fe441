"""The addresses for programs."""

from __future__ import annotations

from django.urls import path

from . import errors, imports, readings

urlpatterns = [
    path("readings", readings.of_devices, name="api-readings"),
    path("series/<str:id>/readings", readings.of_series, name="api-series-readings"),
    path("import", imports.import_readings, name="api-import"),
    path("<path:address>", errors.no_address, name="api-none"),
]
