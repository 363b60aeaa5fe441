"""Within a hub the pages show what it holds in memory, not what the database lags."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from telemetry.devices.models import Series
from telemetry.history.heads import Heads
from telemetry.history.tail import Tail
from telemetry.history.tick import sort_columns

from .conftest import NOON_US, add_device


class ClientOfHub(AsyncClient):
    """Its requests carry a hub, as those of hub_project.asgi do."""

    def __init__(self, hub: SimpleNamespace) -> None:
        super().__init__()
        self.hub = hub

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        return {**super()._base_scope(**request), "telemetry.hub": self.hub}


@pytest.mark.django_db(transaction=True)
async def test_a_page_shows_the_hubs_last_value(plant, people):
    await sync_to_async(add_device)(plant, "pump")
    series = await Series.objects.aget(name="temp")
    heads = Heads()
    columns = sort_columns(
        np.array([series.pk], np.int32),
        np.array([NOON_US + 5_000_000], np.int64),
        np.array([33.25]),
    )
    heads.advance(columns, [], writer=1, number=1, received_us=NOON_US + 5_000_000)
    hub = SimpleNamespace(heads=heads, tail=Tail(1000))
    client = ClientOfHub(hub)
    await client.aforce_login(people.bob)
    answer = await client.get("/g/plant")
    text = answer.content.decode()
    assert "33.25" in text
    assert "12:00:05" in text
