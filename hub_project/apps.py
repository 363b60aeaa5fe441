"""The admin of this project: Django's, with the hub's own pages in it."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class HubAdminConfig(AdminConfig):
    default_site = "telemetry.history.admin.site.HubAdminSite"
