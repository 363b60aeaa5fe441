"""System checks: each wrong setting has an id and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from . import conf


@register(Tags.compatibility)
def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.E001: a value is wrong; telemetry.E002: there is no such setting."""
    found: list[CheckMessage] = []
    for setting in conf.SETTINGS:
        try:
            conf.value(setting.name)
        except ImproperlyConfigured as error:
            hint = f"{setting.help} Default: {setting.default:,} {setting.unit}."
            found.append(Error(str(error), hint=hint, id="telemetry.E001"))
    for name in dir(settings):
        if name.startswith(conf.PREFIX):
            try:
                conf.check_name(name)
            except ImproperlyConfigured as error:
                hint = "All settings are in docs/reference/settings.md."
                found.append(Error(str(error), hint=hint, id="telemetry.E002"))
    return found


@register(Tags.database)
def check_database(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.E003: the journal needs a database that is not in memory."""
    name = str(connections["default"].settings_dict["NAME"])
    if ":memory:" in name or "mode=memory" in name:
        hint = "Name a file in DATABASE_URL: sqlite:///PATH."
        message = "The journal's thread would see another in-memory database."
        return [Error(message, hint=hint, id="telemetry.E003")]
    return []


@register(Tags.staticfiles)
def check_chart_library(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """telemetry.W001: charts need uPlot, which npm installs."""
    for entry in settings.STATICFILES_DIRS:
        prefix, root = entry if isinstance(entry, tuple) else ("", entry)
        if prefix == "vendor/uplot" and not (root / "uPlot.iife.min.js").is_file():
            hint = "Run `npm ci` (or `make run`, which does)."
            return [Warning("uPlot is missing.", hint=hint, id="telemetry.W001")]
    return []
