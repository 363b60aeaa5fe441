"""Where devices send to, as pages say it to who has none that sends yet."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse


def sending_addresses() -> dict[str, str]:
    """For the template `_first_reading.html`."""
    return {
        "ingest_url": settings.HUB_URL + reverse("ingest"),
        "socket_url": "ws" + settings.HUB_URL.removeprefix("http") + "/ws/device",
    }
