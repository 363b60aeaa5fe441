"""Index of the app's addresses, one line a room."""

from __future__ import annotations

from django.urls import include, path

from .ingest.http import ingest
from .ops.health import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("api/v1/ingest", ingest, name="ingest"),
    path("api/v1/", include("telemetry.api.urls")),
    path("", include("telemetry.dashboard.urls")),
]
