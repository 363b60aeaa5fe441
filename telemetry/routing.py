"""Index of the WebSocket addresses, one line a door."""

from __future__ import annotations

from django.urls import path

from .ingest.consumers import DeviceConsumer
from .live.consumers import LiveConsumer
from .live.echo import EchoConsumer

websocket_urlpatterns = [
    path("ws/device", DeviceConsumer.as_asgi(), name="device-socket"),
    path("ws/live", LiveConsumer.as_asgi(), name="live-socket"),
    path("ws/echo", EchoConsumer.as_asgi(), name="echo-socket"),
]
