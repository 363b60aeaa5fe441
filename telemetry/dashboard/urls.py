"""The addresses of the pages."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from .device.changes import device_changes
from .device.page import device
from .device.parts import connection_part, events_part
from .device.records import device_events, device_quality
from .fleet.page import fleet, fleet_data
from .fleet.traces import fleet_traces
from .frame import csp, time_zone
from .frame.search import search
from .groups import bench
from .groups.list import group_list
from .groups.page import group
from .kiosk import links
from .link_check import link_check
from .readings.charts import device_readings, group_readings
from .readings.parts import device_file, device_table, group_file, group_table

urlpatterns = [
    path("", fleet, name="fleet"),
    path("fleet.json", fleet_data, name="fleet-data"),
    path("fleet/traces.json", fleet_traces, name="fleet-traces"),
    path("groups", group_list, name="groups"),
    path("g/<slug:slug>", group, name="group"),
    path("g/<slug:slug>/readings.json", group_readings, name="readings"),
    path("g/<slug:slug>/readings.html", group_table),
    path("g/<slug:slug>/readings.csv", group_file),
    path("d/<slug:slug>", device, name="device"),
    path("d/<slug:slug>/readings.json", device_readings, name="device-readings"),
    path("d/<slug:slug>/readings.html", device_table),
    path("d/<slug:slug>/readings.csv", device_file),
    path("d/<slug:slug>/changes.json", device_changes, name="device-changes"),
    path("d/<slug:slug>/events", events_part, name="device-events-part"),
    path("d/<slug:slug>/connection", connection_part, name="device-connection"),
    path("d/<slug:slug>/events.json", device_events, name="device-events"),
    path("d/<slug:slug>/quality.json", device_quality, name="device-quality"),
    path("link", link_check, name="link-check"),
    path("search", search, name="search"),
    path("time-zone", time_zone.choose, name="time-zone"),
    path("csp", csp.report, name="csp-report"),
    path("g/<slug:slug>/kiosk", links.link_form, name="kiosk-form"),
    path("k/<str:token>", links.open_link, name="kiosk"),
    path("kiosk.json", links.data, name="kiosk-data"),
    path("login", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
]

if settings.DEBUG:
    urlpatterns += [path("bench/charts", bench.charts, name="bench")]
