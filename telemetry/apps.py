"""The Django app: registers the system checks. No I/O, no signals."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TelemetryConfig(AppConfig):
    name = "telemetry"
    verbose_name = _("Telemetry")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Importing registers: a check runs only when Django asks for it.
        from . import checks  # noqa: F401
