"""The addresses of the pages."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from . import (
    bench,
    changes,
    csp,
    device,
    device_parts,
    device_records,
    fleet,
    groups,
    kiosk,
    link_check,
    readings,
    readings_parts,
    search,
    time_zone,
    traces,
    views,
)

urlpatterns = [
    path("", fleet.fleet, name="fleet"),
    path("fleet.json", fleet.fleet_data, name="fleet-data"),
    path("fleet/traces.json", traces.fleet_traces, name="fleet-traces"),
    path("groups", groups.group_list, name="groups"),
    path("g/<slug:slug>", views.group, name="group"),
    path("g/<slug:slug>/readings.json", readings.group_readings, name="readings"),
    path("g/<slug:slug>/readings.html", readings_parts.group_table),
    path("g/<slug:slug>/readings.csv", readings_parts.group_file),
    path("d/<slug:slug>", device.device, name="device"),
    path(
        "d/<slug:slug>/readings.json",
        readings.device_readings,
        name="device-readings",
    ),
    path("d/<slug:slug>/readings.html", readings_parts.device_table),
    path("d/<slug:slug>/readings.csv", readings_parts.device_file),
    path("d/<slug:slug>/changes.json", changes.device_changes, name="device-changes"),
    path("d/<slug:slug>/events", device_parts.events_part, name="device-events-part"),
    path(
        "d/<slug:slug>/connection",
        device_parts.connection_part,
        name="device-connection",
    ),
    path(
        "d/<slug:slug>/events.json", device_records.device_events, name="device-events"
    ),
    path(
        "d/<slug:slug>/quality.json",
        device_records.device_quality,
        name="device-quality",
    ),
    path("link", link_check.link_check, name="link-check"),
    path("search", search.search, name="search"),
    path("time-zone", time_zone.choose, name="time-zone"),
    path("csp", csp.report, name="csp-report"),
    path("g/<slug:slug>/kiosk", kiosk.link_form, name="kiosk-form"),
    path("k/<str:token>", kiosk.open_link, name="kiosk"),
    path("kiosk.json", kiosk.data, name="kiosk-data"),
    path("login", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
]

if settings.DEBUG:
    urlpatterns += [path("bench/charts", bench.charts, name="bench")]
