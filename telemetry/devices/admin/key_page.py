"""The admin's page that makes a key for a device and shows it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import credentials, once
from ..models import Credential, Device
from .forms import NewKeyForm
from .secrets import shown_once

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin


def may_issue(request: HttpRequest) -> bool:
    """Whether this person may make keys."""
    return request.user.has_perm("telemetry.add_credential")


@sensitive_variables("key")
def issue(
    model_admin: ModelAdmin[Device],
    request: HttpRequest,
    device: Device,
    form: NewKeyForm | None = None,
) -> HttpResponse:
    """Make a key and answer with the page that shows it."""
    expires_at = form.cleaned_data["expires_at"] if form else None
    credential, key = credentials.issue(device, expires_at=expires_at)
    message = _("New key %(prefix)s.") % {"prefix": credential}
    model_admin.log_change(request, device, message)
    once.note_done(request)
    return _answer(model_admin, request, device, credential, key)


def new_key(
    model_admin: ModelAdmin[Device], request: HttpRequest, object_id: str
) -> HttpResponse:
    """The object tool “New key”: asks when it ends, then shows it."""
    device = model_admin.get_object(request, object_id)
    if device is None:
        return _gone(request, object_id)
    if not may_issue(request) or not model_admin.has_change_permission(request, device):
        raise PermissionDenied
    if request.method == "POST" and once.is_repeat(request):
        messages.warning(request, _("That key was made and shown before."))
        return HttpResponseRedirect(
            reverse("admin:telemetry_device_change", args=[device.pk])
        )
    form = NewKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return issue(model_admin, request, device, form)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("New key"),
        "subtitle": str(device),
        "opts": model_admin.opts,
        "device": device,
        "form": form,
        "token": once.new_token(),
        "now_usable": _usable(device),
    }
    return TemplateResponse(request, "admin/telemetry/device/new_key.html", context)


@sensitive_variables("key")
def _answer(
    model_admin: ModelAdmin[Device],
    request: HttpRequest,
    device: Device,
    credential: Credential,
    key: str,
) -> HttpResponse:
    context = {
        "title": _("The key of “%(device)s”") % {"device": device},
        "object": device,
        "expires_at": credential.expires_at,
        "shown_prefix": credential,
        "key": key,
        "socket_url": "ws" + settings.HUB_URL.removeprefix("http") + "/ws/device",
        "ingest_url": settings.HUB_URL + reverse("ingest"),
    }
    template = "admin/telemetry/device/key.html"
    return shown_once(request, model_admin, template, context)


def _usable(device: Device) -> int:
    return int(device.credentials.filter(revoked_at=None).count())


def _gone(request: HttpRequest, object_id: str) -> HttpResponse:
    messages.warning(
        request, _("There is no device %(id)s any more.") % {"id": object_id[:20]}
    )
    return HttpResponseRedirect(reverse("admin:telemetry_device_changelist"))
