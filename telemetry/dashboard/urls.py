"""The addresses of the pages."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from . import readings, views

urlpatterns = [
    path("", views.group_list, name="groups"),
    path("g/<slug:slug>", views.group, name="group"),
    path("g/<slug:slug>/readings.json", readings.group_readings, name="readings"),
    path("d/<slug:slug>", views.device, name="device"),
    path("login", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
]
